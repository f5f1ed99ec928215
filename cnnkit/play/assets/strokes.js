/* The strokes of one drawing among all ink, as `cnnkit/data/strokes.py` finds them. */

const GAP = 0.15; // of the largest stroke's extent: two strokes nearer than this may be one drawing
const DUST = 0.12; // of the largest stroke's pixels: less is no object of its own
const SPECK = 0.02; // of the largest stroke's pixels: less belongs to no drawing

/* Connected pixels of a mask, corners too: {labels, parts}; a part has its pixels and its box. */
function connected(mask, width, height) {
  const labels = new Int32Array(mask.length), parts = [];
  for (let start = 0; start < mask.length; start++) {
    if (!mask[start] || labels[start]) continue;
    const part = { pixels: [start], top: height, bottom: 0, left: width, right: 0 };
    parts.push(part);
    labels[start] = parts.length;
    for (let n = 0; n < part.pixels.length; n++) {
      const y = Math.floor(part.pixels[n] / width), x = part.pixels[n] % width;
      part.top = Math.min(part.top, y);
      part.bottom = Math.max(part.bottom, y);
      part.left = Math.min(part.left, x);
      part.right = Math.max(part.right, x);
      for (let v = Math.max(0, y - 1); v <= Math.min(height - 1, y + 1); v++)
        for (let u = Math.max(0, x - 1); u <= Math.min(width - 1, x + 1); u++) {
          const near = v * width + u;
          if (mask[near] && !labels[near]) {
            labels[near] = parts.length;
            part.pixels.push(near);
          }
        }
    }
  }
  return { labels, parts };
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

/* {chosen: the pixels of the drawing as a mask, others: how many more objects there are} */
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
  return { chosen, others };
}
