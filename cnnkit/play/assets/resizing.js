/* Images of one channel, {width, height, data}, made another size as Pillow does: each new pixel is a
   weighted mean of all pixels that it covers. */

const plane = (width, height, data) => ({ width, height, data: data ?? new Float32Array(width * height) });

/* As Python rounds: a half goes to the even neighbour. */
function rounded(x) {
  const floor = Math.floor(x), rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

const FILTERS = {
  box: { reach: 0.5, weight: x => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { reach: 1, weight: x => Math.max(0, 1 - Math.abs(x)) },
};

/* Of each of `count` new pixels: the first old one that it covers, and the weights from there on.
   start, length: the part of the old pixels that is used; may be fractions. */
function coverage(old, start, length, count, filter) {
  const scale = length / count, wide = Math.max(scale, 1), reach = filter.reach * wide;
  return Array.from({ length: count }, (_, i) => {
    const centre = start + (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(old, Math.trunc(centre + reach + 0.5));
    const weights = [];
    for (let x = first; x < last; x++) weights.push(filter.weight((x - centre + 0.5) / wide));
    const sum = sumOf(weights);
    return { first, weights: weights.map(weight => weight / sum) };
  });
}

/* resampling: "box" or "bilinear". part: {x, y, width, height} of the image that is used, all by default. */
function resized(image, width, height, resampling, part) {
  part = part ?? { x: 0, y: 0, width: image.width, height: image.height };
  const filter = FILTERS[resampling];
  const columns = coverage(image.width, part.x, part.width, width, filter);
  const rows = coverage(image.height, part.y, part.height, height, filter);
  const narrow = plane(width, image.height), result = plane(width, height);
  for (let y = 0; y < image.height; y++)
    for (let x = 0; x < width; x++) {
      const { first, weights } = columns[x];
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * image.data[y * image.width + first + i];
      narrow.data[y * width + x] = sum;
    }
  for (let y = 0; y < height; y++) {
    const { first, weights } = rows[y];
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let i = 0; i < weights.length; i++) sum += weights[i] * narrow.data[(first + i) * width + x];
      result.data[y * width + x] = sum;
    }
  }
  return result;
}
