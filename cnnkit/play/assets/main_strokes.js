/* The strokes of one drawing among all ink, as `cnnkit/data/strokes.py` finds them. */

const FAINT = 0.35, CLEAR = 0.6; // of the strongest ink: a stroke is clear somewhere, and nowhere fainter
const GAP = 0.15; // of the largest stroke's extent: two strokes nearer than this may be one drawing
const DUST = 0.12; // of the largest stroke's pixels: less is no object of its own
const SPECK = 0.02; // of the largest stroke's pixels: less belongs to no drawing

/* Connected pixels of a mask, corners too: {labels, parts}; a part has its pixels and its box. */
function connected(mask, width, height) {
  const labels = new Int32Array(mask.length), queue = new Int32Array(mask.length), parts = [];
  let found = 0;
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || labels[start]) continue;
    const first = found, number = parts.length + 1, box = { top: height, bottom: 0, left: width, right: 0 };
    queue[found++] = start;
    labels[start] = number;
    for (let n = first; n < found; n++) {
      const y = Math.floor(queue[n] / width), x = queue[n] % width;
      if (y < box.top) box.top = y;
      if (y > box.bottom) box.bottom = y;
      if (x < box.left) box.left = x;
      if (x > box.right) box.right = x;
      const top = y > 0 ? y - 1 : 0, bottom = y < height - 1 ? y + 1 : y;
      const left = x > 0 ? x - 1 : 0, right = x < width - 1 ? x + 1 : x;
      for (let v = top; v <= bottom; v++)
        for (let near = v * width + left; near <= v * width + right; near++)
          if (mask[near] && !labels[near]) {
            labels[near] = number;
            queue[found++] = near;
          }
    }
    parts.push({ ...box, pixels: queue.subarray(first, found) });
  }
  return { labels, parts };
}

function maskOf(values, least) {
  const mask = new Uint8Array(values.length);
  for (let i = 0; i < mask.length; i++) mask[i] = values[i] > least ? 1 : 0;
  return mask;
}

/* A mask of the connected pixels above FAINT of which one is above CLEAR. ink: a plane. */
function clearStrokes({ width, height, data }) {
  const { parts } = connected(maskOf(data, FAINT), width, height), clear = new Uint8Array(data.length);
  for (const { pixels } of parts) if (pixels.some(p => data[p] > CLEAR)) pixels.forEach(p => (clear[p] = 1));
  return clear;
}

/* What touches the picture's edge is rather a shadow: it counts a fifth. */
function weightOf(part, width, height) {
  const edge = part.top === 0 || part.left === 0 || part.bottom === height - 1 || part.right === width - 1;
  return part.pixels.length * (edge ? 0.2 : 1);
}

/* Pixels of a part that have a neighbour outside of it: the nearest to another part is one of them. */
function outline(part, labels, width, height) {
  return part.pixels.filter(p => {
    const x = p % width, y = Math.floor(p / width), own = labels[p];
    const inside = x > 0 && x < width - 1 && y > 0 && y < height - 1;
    return !inside || [p - 1, p + 1, p - width, p + width].some(near => labels[near] !== own);
  });
}

function distance(one, other, width) {
  let least = Infinity;
  for (const p of one)
    for (const q of other) {
      const dx = (p % width) - (q % width), dy = Math.floor(p / width) - Math.floor(q / width);
      least = Math.min(least, dx * dx + dy * dy);
    }
  return Math.sqrt(least);
}

/* A bar of a 5 lies above its body; the other half of a 4 beside it, within its height and width. */
function belongs(part, main) {
  const size = part.pixels.length / main.pixels.length, width = part.right - part.left + 1;
  const shared = Math.min(part.right, main.right) - Math.max(part.left, main.left) + 1;
  return (SPECK <= size && size < DUST) || (size >= DUST && shared >= 0.3 * width);
}

/* {chosen: the pixels of the drawing as a mask, others: how many more objects there are,
   share: of all ink pixels, those of the drawing} */
function mainDrawing(mask, width, height) {
  const { labels, parts } = connected(mask, width, height);
  const main = parts.reduce((best, part) =>
    weightOf(part, width, height) > weightOf(best, width, height) ? part : best);
  const extent = Math.max(main.bottom - main.top, main.right - main.left) + 1;
  const edge = parts.length > 1 ? outline(main, labels, width, height) : [];
  const chosen = new Uint8Array(mask.length);
  let others = 0;
  for (const part of parts) {
    const near = part === main || distance(outline(part, labels, width, height), edge, width) <= GAP * extent;
    if (part === main || (near && belongs(part, main))) part.pixels.forEach(p => (chosen[p] = 1));
    else if (part.pixels.length >= DUST * main.pixels.length) others++;
  }
  return { chosen, others, share: sumOf(chosen) / sumOf(mask) };
}
