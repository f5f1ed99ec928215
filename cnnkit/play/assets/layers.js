/* The layers between poolings, as `cnnkit/nn/layers.py` and torch compute them, outside training. */

/* Maps with `before` zeros at the left and the top, and `after` at the right and the bottom. */
function padded(maps, before, after) {
  const [channels, height, width] = maps.shape;
  const wide = width + before + after, high = height + before + after;
  const result = tensor([channels, high, wide]);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < height; y++) {
      const row = (c * height + y) * width;
      result.data.set(maps.data.subarray(row, row + width), (c * high + y + before) * wide + before);
    }
  return result;
}

/* [C, H, W] -> [O, rows, columns]: weight [O, C, K, K] is laid at every `stride`th place of padded maps.
   Four filters at once share what is read of the maps: that halves the time. */
function correlation(maps, weight, bias, stride, rows, columns) {
  const [channels, height, width] = maps.shape, [filters, , size] = weight.shape;
  const taps = channels * size * size, offsets = new Int32Array(taps);
  for (let t = 0; t < taps; t++) {
    const c = Math.floor(t / (size * size)), y = Math.floor(t / size) % size;
    offsets[t] = (c * height + y) * width + (t % size);
  }
  const result = tensor([filters, rows, columns]), cells = rows * columns;
  const w = weight.data, x = maps.data, out = result.data;
  for (let o = 0; o < filters; o += 4) {
    const w0 = o * taps, w1 = Math.min(o + 1, filters - 1) * taps;
    const w2 = Math.min(o + 2, filters - 1) * taps, w3 = Math.min(o + 3, filters - 1) * taps;
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) {
        const corner = i * stride * width + j * stride;
        let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (let t = 0; t < taps; t++) {
          const value = x[corner + offsets[t]];
          s0 += value * w[w0 + t];
          s1 += value * w[w1 + t];
          s2 += value * w[w2 + t];
          s3 += value * w[w3 + t];
        }
        const sums = [s0, s1, s2, s3], place = i * columns + j;
        for (let n = 0; n < 4 && o + n < filters; n++)
          out[(o + n) * cells + place] = sums[n] + (bias ? bias.data[o + n] : 0);
      }
  }
  return result;
}

/* "Same" padding: at stride 1 the grid stays. An even kernel has its extra zeros at the bottom and right. */
function convolution(maps, layer, stride = 1) {
  const [, height, width] = maps.shape, size = layer.weight.shape[2];
  const before = Math.floor((size - 1) / 2), around = padded(maps, before, size - 1 - before);
  const rows = Math.floor(height / stride), columns = Math.floor(width / stride);
  return correlation(around, layer.weight, layer.bias, stride, rows, columns);
}

/* Batch normalisation outside training: a factor and a shift for each map. */
function normalised(maps, norm) {
  const result = tensor(maps.shape), cells = maps.shape[1] * maps.shape[2];
  for (let i = 0; i < result.data.length; i++) {
    const channel = Math.floor(i / cells);
    result.data[i] = maps.data[i] * norm.scale.data[channel] + norm.shift.data[channel];
  }
  return result;
}

/* Pixels 0 … 255 -> mean 0 and deviation 1 of the training images, in each channel. */
function standardised(image, mean, std) {
  const result = tensor(image.shape), cells = image.shape[1] * image.shape[2];
  for (let i = 0; i < result.data.length; i++) {
    const channel = Math.floor(i / cells);
    result.data[i] = (image.data[i] - mean.data[channel]) / std.data[channel];
  }
  return result;
}

const sigmoid = x => 1 / (1 + Math.exp(-x));

/* The error function, to 1.5e-7: Abramowitz & Stegun 1964, formula 7.1.26. */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const sum = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
  return Math.sign(x) * (1 - sum * Math.exp(-x * x));
}

const ACTIVATIONS = {
  relu: x => Math.max(x, 0),
  leaky_relu: x => (x < 0 ? 0.01 * x : x),
  elu: x => (x < 0 ? Math.expm1(x) : x),
  gelu: x => (x * (1 + erf(x / Math.SQRT2))) / 2,
  silu: x => x * sigmoid(x),
  mish: x => x * Math.tanh(x > 20 ? x : Math.log1p(Math.exp(x))),
  hardswish: x => (x * Math.min(Math.max(x + 3, 0), 6)) / 6,
  tanh: Math.tanh,
  sigmoid,
  identity: x => x,
};

function activated(values, name) {
  const f = ACTIVATIONS[name], result = tensor(values.shape);
  for (let i = 0; i < result.data.length; i++) result.data[i] = f(values.data[i]);
  return result;
}

/* A dense layer: each output is the dot product of the values with one row of weights, plus a bias. */
function dense(values, layer) {
  const [outputs, inputs] = layer.weight.shape, result = tensor([outputs]);
  for (let o = 0; o < outputs; o++) {
    let sum = layer.bias.data[o];
    for (let i = 0; i < inputs; i++) sum += values.data[i] * layer.weight.data[o * inputs + i];
    result.data[o] = sum;
  }
  return result;
}

/* Logits -> probabilities. temperature: what the logits are divided by. uniformShare: the share of the
   probability that is spread evenly over all classes. */
function softmax(logits, temperature = 1, uniformShare = 0) {
  const largest = Math.max(...logits), powers = Array.from(logits, z => Math.exp((z - largest) / temperature));
  const sum = powers.reduce((all, power) => all + power, 0);
  return powers.map(power => (1 - uniformShare) * power / sum + uniformShare / powers.length);
}
