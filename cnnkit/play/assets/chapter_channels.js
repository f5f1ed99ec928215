/* Red, green and blue: a colour image is three maps, and a filter has a part for each. */

/* A colour test image, else a drawn one: a red sun, a green hill, a blue sky. [3, H, W], 0 … 255 */
function colourImage(samples) {
  const sample = samples.find(one => one.shape[0] === 3 && one.shape[1] <= 64);
  if (sample) return tensor(sample.shape, sample.data);
  const side = 32, image = tensor([3, side, side]);
  for (let i = 0; i < side * side; i++) {
    const y = Math.floor(i / side), x = i % side;
    const colour = Math.hypot(x - 22, y - 9) < 5.5 ? [235, 70, 40] : y > 21 + 3 * Math.sin(x / 5) ? [60, 150, 60] : [120, 180, 235];
    colour.forEach((value, c) => (image.data[c * side * side + i] = value));
  }
  return image;
}

CHAPTERS.push({
  id: "channels",
  title: "Red, green and blue",
  sentence: "A colour image is three maps. A filter has one part for each, and adds up what the three parts find: " +
    "so it can look for a colour. Give each colour a weight, and see what is left.",
  draw({ samples }) {
    const image = colourImage(samples), cells = image.shape[1] * image.shape[2], names = ["red", "green", "blue"];
    const weights = [1, -0.5, -0.5], result = element("div", { class: "large-maps" }), told = element("p", {});
    const draw = () => {
      const sum = tensor([1, ...image.shape.slice(1)]);
      for (let i = 0; i < cells; i++) sum.data[i] = sumOf(weights.map((w, c) => (w * image.data[c * cells + i]) / 255));
      fill(result, figure(imageCanvas(image, true, "the colour image"), "the image"),
        ...names.map((name, c) => figure(mapCanvas(tensor(image.shape, image.data.map(x => (weights[c] * x) / 255)), c, 1, `the ${name} channel, weighted`), `${short(weights[c], 1)} × ${name}`)),
        figure(mapCanvas(sum, 0, Math.max(1, strongestOf(sum.data)), "the sum"), "the sum: orange above 0, blue below"));
      told.textContent = `Each cell: ${weights.map((w, c) => times(short(w, 1), names[c])).join(" + ")}. This filter is 1 × 1; a larger one has such numbers for each of its places.`;
    };
    draw();
    return [
      ...names.map((name, c) => slider(name, { min: -1, max: 1, step: 0.1, value: weights[c] }, value => { weights[c] = value; draw(); }, value => short(value, 1))),
      result, told,
    ];
  },
});
