/* Tensors: {shape, data}. shape: [C, H, W] of maps, [N] of a vector; data: a Float32Array, row by row. */

function tensor(shape, data) {
  return { shape, data: data ?? new Float32Array(shape.reduce((all, side) => all * side, 1)) };
}

/* base64 -> bytes */
function bytesOf(text) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return bytes;
}

/* Bits of float16 -> numbers. An exponent of 0 means numbers below 2^-14, one of 31 infinity. */
function floatsOfHalves(halves) {
  const floats = new Float32Array(halves.length);
  const bits = new Uint32Array(floats.buffer);
  for (let i = 0; i < halves.length; i++) {
    const sign = (halves[i] & 0x8000) << 16, exponent = (halves[i] >> 10) & 31, fraction = halves[i] & 1023;
    if (exponent === 0) floats[i] = (sign ? -1 : 1) * fraction * 2 ** -24;
    else bits[i] = sign | ((exponent === 31 ? 255 : exponent + 112) << 23) | (fraction << 13);
  }
  return floats;
}

/* {shape, type: "float16" or "float32", data: base64, little-endian} -> a tensor */
function decoded(travelled) {
  const bytes = bytesOf(travelled.data);
  const half = travelled.type === "float16";
  const data = half ? floatsOfHalves(new Uint16Array(bytes.buffer)) : new Float32Array(bytes.buffer);
  return tensor(travelled.shape, data);
}

/* Everything that travelled, at any depth of objects and lists. */
function unpacked(tree) {
  if (tree === null || typeof tree !== "object") return tree;
  if (Array.isArray(tree)) return tree.map(unpacked);
  if (tree.type !== undefined && tree.shape !== undefined) return decoded(tree);
  return Object.fromEntries(Object.entries(tree).map(([name, part]) => [name, unpacked(part)]));
}
