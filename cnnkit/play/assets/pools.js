/* The poolings of `cnnkit/nn/pools.py`: what k × k cells of a map become. */

/* Loops: `reduce` takes ten times as long on large arrays. */
function sumOf(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum;
}

function largestOf(values) {
  let largest = -Infinity;
  for (let i = 0; i < values.length; i++) if (values[i] > largest) largest = values[i];
  return largest;
}

function smallestOf(values) {
  let smallest = Infinity;
  for (let i = 0; i < values.length; i++) if (values[i] < smallest) smallest = values[i];
  return smallest;
}

const meanOf = values => sumOf(values) / values.length;

/* (mean x^p)^(1/p) of values of 0 or more, divided by the largest first, so that nothing overflows. */
function powerMean(values, p) {
  const largest = largestOf(values);
  if (largest <= 0) return 0;
  return largest * meanOf(values.map(x => (x / largest) ** p)) ** (1 / p);
}

function softMean(values, beta) {
  const largest = largestOf(values), weights = values.map(x => Math.exp(beta * (x - largest)));
  return sumOf(values.map((x, i) => x * weights[i])) / sumOf(weights);
}

function expectation(values) {
  const sum = sumOf(values);
  return sum > 0 ? sumOf(values.map(x => x * x)) / sum : 0;
}

function medianOf(values) {
  const ordered = new Float64Array(values).sort(), middle = values.length >> 1;
  return values.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
}

const mixture = (values, share) => share * largestOf(values) + (1 - share) * meanOf(values);

/* The weights of a gated pooling's map: [C, 1, k, k] -> k² numbers. */
const gateOf = (pooling, c) => pooling.weight.data.subarray(c * pooling.k ** 2, (c + 1) * pooling.k ** 2);
const shareOf = (pooling, values, c) => sigmoid(sumOf(values.map((x, i) => x * gateOf(pooling, c)[i])));

/* A learned setting is one number for each map, another the same for all. */
const setting = (value, c) => (typeof value === "number" ? value : value.data[c]);

/* Of one cell, an array of k² values of map c: the value that takes its place. `parts`: several of these. */
const CELLS = {
  stride: () => values => values[0],
  max: () => largestOf,
  avg: () => meanOf,
  mixed: pooling => (values, c) => mixture(values, pooling.share.data[c]),
  gated: pooling => (values, c) => mixture(values, shareOf(pooling, values, c)),
  soft: pooling => (values, c) => softMean(values, setting(pooling.beta, c)),
  lp: pooling => (values, c) => powerMean(values, setting(pooling.p, c)),
  stochastic: () => expectation,
  median: () => medianOf,
};
const PARTS = { concat: ["max", "avg"] };

/* The k² values of the cell (row, column) of map c. */
function cellOf(maps, k, c, row, column) {
  const [, height, width] = maps.shape, values = new Array(k * k);
  for (let i = 0; i < k * k; i++)
    values[i] = maps.data[(c * height + row * k + Math.floor(i / k)) * width + column * k + (i % k)];
  return values;
}

/* [C, H, W] -> [C, ⌊H/k⌋, ⌊W/k⌋] */
function reduced(maps, k, reduce) {
  const [channels, height, width] = maps.shape;
  const rows = Math.floor(height / k), columns = Math.floor(width / k);
  const result = tensor([channels, rows, columns]);
  for (let c = 0, i = 0; c < channels; c++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        result.data[i++] = reduce(cellOf(maps, k, c, row, column), c);
  return result;
}

/* Several [C, h, w] with equal grids, one behind the other. */
function stacked(parts) {
  const [, rows, columns] = parts[0].shape;
  const result = tensor([parts.reduce((all, part) => all + part.shape[0], 0), rows, columns]);
  parts.reduce((start, part) => (result.data.set(part.data, start), start + part.data.length), 0);
  return result;
}

/* `binomialOf(2)`: 1/4, 1/2, 1/4 */
function binomialOf(k) {
  let row = [1];
  for (let i = 0; i < 2 * k - 2; i++) row = [...row, 0].map((x, j) => (x + (row[j - 1] ?? 0)) / 2);
  return row;
}

/* The maxima of k × k values from every place on, and then a binomial filter at every k-th place. */
function blurred(maps, k) {
  const [channels, height, width] = maps.shape, filter = binomialOf(k), reach = k - 1;
  const at = (c, y, x) =>
    y < 0 || x < 0 || y >= height || x >= width ? -Infinity : maps.data[(c * height + y) * width + x];
  const result = tensor([channels, Math.floor(height / k), Math.floor(width / k)]);
  const maximum = (c, y, x) => {
    let largest = -Infinity;
    for (let i = 0; i < k * k; i++) largest = Math.max(largest, at(c, y + Math.floor(i / k), x + (i % k)));
    return largest;
  };
  const [, rows, columns] = result.shape;
  for (let c = 0, n = 0; c < channels; c++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++, n++)
        for (let i = 0; i < filter.length; i++)
          for (let j = 0; j < filter.length; j++)
            result.data[n] += filter[i] * filter[j] * maximum(c, row * k + i - reach, column * k + j - reach);
  return result;
}

/* What a pooling makes of maps: [C, H, W] -> [C or 2C, ⌊H/k⌋, ⌊W/k⌋] */
function pooled(maps, pooling) {
  const { name, k } = pooling, [, height, width] = maps.shape;
  if (name === "conv")
    return correlation(maps, pooling.weight, pooling.bias, k, Math.floor(height / k), Math.floor(width / k));
  if (name === "blur") return blurred(maps, k);
  if (PARTS[name]) return stacked(PARTS[name].map(part => reduced(maps, k, CELLS[part](pooling))));
  return reduced(maps, k, CELLS[name](pooling));
}

const isKnownPooling = name => name in CELLS || name in PARTS || name === "conv" || name === "blur";
