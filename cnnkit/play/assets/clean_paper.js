/* Takes away what is no ink in a photo of handwriting, as `cnnkit/data/paper.py` does: how the paper is lit,
   and the lines printed on it. Greys are planes, masks have 1 where a pixel is ink. */

const WINDOW = 0.3; // of the shorter side: a pen's stroke is narrower than this, a shadow wider
const GRAIN = 0.004; // of the longer side: the blur that removes the grain of paper and camera
const TILTS = Array.from({ length: 81 }, (_, i) => ((i / 2 - 20) * Math.PI) / 180); // of printed lines
const THICKEST_LINE = 0.02; // of the shorter side
const SHORTEST_LINE = 0.35; // of the shorter side: a shorter one, across a corner, may be a stroke
const SPANNED = 0.85; // of its way across the picture: how much of a printed line must be there

/* The weighted mean of each pixel's neighbours, down and then across; the edge is a mirror.
   weights: of an odd number of neighbours in a line. */
function smoothed({ width, height, data }, weights) {
  const reach = (weights.length - 1) / 2, mirrored = (i, n) => Math.min((i %= 2 * n) < 0 ? (i += 2 * n) : i, 2 * n - 1 - i);
  const along = (from, lines, count, place) => {
    const result = plane(width, height), around = new Float64Array(count + 2 * reach);
    for (let line = 0; line < lines; line++) {
      for (let i = 0; i < around.length; i++) around[i] = from[place(line, mirrored(i - reach, count))];
      for (let i = 0; i < count; i++) {
        let sum = 0;
        for (let n = 0; n < weights.length; n++) sum += weights[n] * around[i + n];
        result.data[place(line, i)] = sum;
      }
    }
    return result;
  };
  const down = along(data, width, height, (column, i) => i * width + column);
  return along(down.data, height, width, (row, i) => row * width + i);
}

function gaussian(sigma) {
  const reach = Math.trunc(4 * sigma + 0.5);
  const weights = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp((-0.5 * (i - reach) ** 2) / sigma ** 2));
  return weights.map(weight => weight / sumOf(weights));
}

/* A function of each pixel, as a plane. */
function planeOf(width, height, valueAt) {
  const result = plane(width, height);
  for (let y = 0, i = 0; y < height; y++) for (let x = 0; x < width; x++) result.data[i++] = valueAt(y, x);
  return result;
}

/* The median of an odd number of values, which it puts into another order: sorting takes five times as long. */
function middleOf(values) {
  const middle = (values.length - 1) / 2;
  for (let low = 0, high = values.length - 1; low < high; ) {
    const pivot = values[middle];
    let i = low, j = high;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i <= j) [values[i++], values[j--]] = [values[j], values[i]];
    }
    if (j < middle) low = i;
    if (i > middle) high = j;
  }
  return values[middle];
}

/* Whether the strokes are darker than their paper, however that is lit. */
function darkerThanPaper(grey) {
  const step = Math.max(1, rounded(Math.max(grey.width, grey.height) / 80)), half = Math.floor(step / 2);
  // The window of an even size begins one pixel further before its middle, as scipy's does.
  const means = Array.from({ length: 2 * half + 1 }, (_, i) => (i < step ? 1 / step : 0));
  const mean = smoothed(grey, means), count = side => Math.ceil((side - half) / step);
  const coarse = planeOf(count(grey.width), count(grey.height), (y, x) => mean.data[(half + y * step) * grey.width + half + x * step]);
  const reach = (rounded(0.5 * Math.min(coarse.width, coarse.height)) | 1) >> 1, around = new Float64Array((2 * reach + 1) ** 2);
  const inside = (i, n) => Math.min(Math.max(i, 0), n - 1);
  const paper = planeOf(coarse.width, coarse.height, (y, x) => {
    let n = 0;
    for (let v = y - reach; v <= y + reach; v++)
      for (let u = x - reach; u <= x + reach; u++) around[n++] = coarse.data[inside(v, coarse.height) * coarse.width + inside(u, coarse.width)];
    return middleOf(around);
  });
  // Paper varies to both sides alike; strokes are few, and far from it on one side.
  return sumOf(coarse.data.map((value, i) => (value - paper.data[i]) ** 3)) <= 0;
}

/* Makes each value the largest of those at 0, step, … (window - 1) · step after it. */
function largestAhead(values, window, step) {
  const ahead = by => {
    for (let i = 0; i + by < values.length; i++) if (values[i + by] > values[i]) values[i] = values[i + by];
  };
  let wide = 1;
  for (; 2 * wide <= window; wide *= 2) ahead(wide * step);
  ahead((window - wide) * step);
}

/* Fills dark strokes that are narrower than the window: the largest value around, then the least of those.
   Rows run into each other at the edges, and values less than a window from an edge are not right: they lie in
   the margin that is cut off. */
function fillDark({ width, data }, window) {
  for (let n = 0; n < 2; n++) {
    for (const step of [1, width]) largestAhead(data, window, step);
    data.reverse().forEach((value, i) => (data[i] = -value)); // to look back, and for the least
  }
}

/* Brightness 0 … 1 -> the share of light that ink takes from its paper, 0 … 1, dark or light ink alike. */
function withoutLighting(grey) {
  const { width, height } = grey, darker = darkerThanPaper(grey);
  const bright = plane(width, height, grey.data.map(x => Math.max(darker ? x : 1 - x, 0.02)));
  const smooth = smoothed(bright, gaussian(GRAIN * Math.max(width, height)));
  const window = rounded(WINDOW * Math.min(width, height)) | 1, wide = width + 2 * window;
  const inside = (i, n) => Math.min(Math.max(i, 0), n - 1), at = (y, x) => smooth.data[y * width + x];
  // A slope goes on behind the edge, so closing leaves it as it is; strokes get no bright mirror image.
  const turned = (y, x, edge) => 2 * at(y, edge) - at(y, inside(2 * edge - x, width));
  const across = (y, x) => (x === inside(x, width) ? at(y, x) : turned(y, x, inside(x, width)));
  const falling = (y, x, edge) => (y === edge ? across(y, x) : 2 * across(edge, x) - across(inside(2 * edge - y, height), x));
  const padded = planeOf(wide, height + 2 * window, (v, u) => {
    const y = v - window, x = u - window, edge = inside(y, height);
    return Math.min(falling(y, x, edge), at(edge, inside(x, width)));
  });
  fillDark(padded, window);
  const ink = planeOf(width, height, (y, x) => 1 - at(y, x) / Math.max(padded.data[(y + window) * wide + x + window], 0.02));
  const middle = medianOf(ink.data);
  return plane(width, height, ink.data.map(x => Math.min(Math.max(x - middle, 0), 1)));
}

/* A mask without lines from edge to edge; where a stroke crosses, its pixels stay. */
function withoutLines(mask, width, height) {
  // One after the other: else the crossings of squared paper would stay.
  for (const turn of [0, Math.PI / 2]) mask = withoutBundle(mask, width, height, TILTS.map(tilt => tilt + turn));
  return mask;
}

function withoutBundle(mask, width, height, tilts) {
  const cleaned = mask.slice(), pixels = [];
  mask.forEach((ink, i) => ink && pixels.push(i));
  for (const { tilt, offset, half } of linesOf(mask, width, height, pixels, tilts)) {
    const [cos, sin] = [Math.cos(tilt), Math.sin(tilt)];
    for (const i of pixels) {
      const y = Math.floor(i / width), x = i % width, across = y * cos + x * sin - offset;
      const thin = [-1, 1].every(side => {
        const reach = side * (half + 2) - across;
        return !inkAt(mask, width, height, y + reach * cos, x + reach * sin);
      });
      if (Math.abs(across) <= half && thin) cleaned[i] = 0;
    }
  }
  return cleaned;
}

/* The mask at a point that may lie outside, where there is no ink. */
function inkAt(mask, width, height, row, column) {
  const y = rounded(row), x = rounded(column);
  return y >= 0 && y < height && x >= 0 && x < width && mask[y * width + x];
}

/* Lines that cross the whole picture: the pixels with row · cos(tilt) + column · sin(tilt) = offset, and half
   of their thickness; of several that lie on each other the fullest. */
function linesOf(mask, width, height, pixels, tilts) {
  const thickest = Math.max(3, THICKEST_LINE * Math.min(width, height)), taken = [], lines = [];
  const candidates = tilts.flatMap(tilt => peaksOf(pixels, width, height, tilt));
  candidates.sort((a, b) => b.count - a.count || b.tilt - a.tilt || b.offset - a.offset);
  for (const { tilt, offset } of candidates) {
    const middle = offset - (height * Math.cos(tilt) + width * Math.sin(tilt)) / 2;
    if (taken.some(other => Math.abs(middle - other) < 2 * thickest)) continue;
    const half = halfThickness(mask, width, height, tilt, offset, thickest);
    if (!half) continue;
    taken.push(middle);
    lines.push({ tilt, offset, half });
  }
  return lines;
}

/* The strips, 2 pixels wide, that hold as many pixels as a line has. */
function peaksOf(pixels, width, height, tilt) {
  const [cos, sin] = [Math.cos(tilt), Math.sin(tilt)], counts = new Map();
  for (const i of pixels) {
    const strip = Math.floor((Math.floor(i / width) * cos + (i % width) * sin) / 2);
    counts.set(strip, (counts.get(strip) ?? 0) + 1);
  }
  return [...counts].filter(([, count]) => count > 0.5 * Math.min(width, height))
    .map(([strip, count]) => ({ count, tilt, offset: 2 * strip + 1 }));
}

/* Half of a line's thickness; 0 where it is none: broken, too thick, or ending inside the picture. */
function halfThickness(mask, width, height, tilt, offset, thickest) {
  const [cos, sin] = [Math.cos(tilt), Math.sin(tilt)], points = [];
  for (let along = -height - width; along <= height + width; along++) {
    const y = offset * cos - along * sin, x = offset * sin + along * cos;
    if (y >= 0 && y <= height - 1 && x >= 0 && x <= width - 1) points.push([y, x]);
  }
  if (points.length < SHORTEST_LINE * Math.min(width, height)) return 0;
  const hit = ([y, x], step) => inkAt(mask, width, height, y + step * cos, x + step * sin);
  const part = found => found.filter(Boolean).length / found.length;
  const near = points.map(point => [-1, 0, 1].some(step => hit(point, step))), share = part(near);
  const end = Math.max(2, Math.floor(points.length / 16));
  if (share < SPANNED || !near.slice(0, end).some(Boolean) || !near.slice(-end).some(Boolean)) return 0;
  const reach = Math.ceil(thickest), steps = Array.from({ length: 2 * reach + 1 }, (_, i) => i - reach);
  const full = steps.filter(step => part(points.map(point => hit(point, step))) > 0.5 * share);
  return full.length <= thickest ? Math.max(1, ...full.map(Math.abs)) + 1 : 0;
}
