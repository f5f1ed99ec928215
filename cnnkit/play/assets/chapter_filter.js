/* A filter slides over an image: numbers to edit, a size, a stride, with padding and without. */

/* Of each filter the number in a row and a column, both counted from the middle; and how many a row has. */
const KERNELS = {
  "top edge": y => Math.sign(-y) || 0,
  "bottom edge": y => Math.sign(y),
  "left edge": (y, x) => Math.sign(-x) || 0,
  blur: (y, x, size) => 1 / size ** 2,
  sharpen: (y, x) => [5, -1][Math.abs(Math.ceil(y)) + Math.abs(Math.ceil(x))] ?? 0,
};

function kernelOf(name, size) {
  const middle = (size - 1) / 2;
  return Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => KERNELS[name](i - middle, j - middle, size)));
}

/* A person's own numbers in another size: the middle stays, zeros come around it. */
function resizedKernel(kernel, size) {
  const shift = Math.floor((kernel.length - 1) / 2) - Math.floor((size - 1) / 2);
  return Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => kernel[i + shift]?.[j + shift] ?? 0));
}

/* The image that a chapter works on, 0 … 1, one channel: a test image, else a ring with a bar. */
function lessonImage(samples) {
  const sample = samples.find(one => one.shape[1] <= 64 && one.shape[1] >= 8);
  if (sample) {
    const cells = sample.shape[1] * sample.shape[2];
    return tensor([1, ...sample.shape.slice(1)], sample.data.slice(0, cells).map(x => x / 255));
  }
  const image = tensor([1, 24, 24]);
  image.data.forEach((_, i) => {
    const y = Math.floor(i / 24) - 11.5, x = (i % 24) - 11.5, far = Math.hypot(x, y);
    image.data[i] = (far > 6 && far < 9) || (Math.abs(x) < 1.5 && Math.abs(y) < 5) ? 1 : 0;
  });
  return image;
}

/* Without padding the filter stays inside the image. Grids are rounded up, as a convolution has them. */
function slid(image, kernel, stride, pads) {
  const size = kernel.length, before = Math.floor((size - 1) / 2);
  const around = pads ? padded(image, before, size - 1 - before) : image;
  const count = side => Math.floor((side - size) / stride) + 1;
  const weight = tensor([1, 1, size, size], Float32Array.from(kernel.flat()));
  return correlation(around, weight, null, stride, count(around.shape[1]), count(around.shape[2]));
}

CHAPTERS.push({
  id: "filter",
  title: "A filter slides over an image",
  sentence: "At every place the numbers of the filter are multiplied with the pixels below them, and added up: one sum is one cell of the map. " +
    "A stride skips places. With stride 2 a quarter of the cells is left. Padding puts zeros around the image, so that the grid stays.",
  draw({ samples }) {
    const image = lessonImage(samples), state = { name: "top edge", kernel: kernelOf("top edge", 3), stride: 1, pads: true, place: [1 / 3, 1 / 2] };
    const numbers = element("div"), maps = element("div", { class: "large-maps" }), told = element("p", { role: "status" });
    const sums = element("div", { class: "sums" });
    const names = buttons("filter", Object.keys(KERNELS).map(name => [name, name]), "top edge", name => { state.name = name; resize(state.kernel.length); });
    const edit = (i, j, value) => {
      state.own = state.kernel.map((row, y) => row.map((x, at) => (y === i && at === j ? value : x)));
      Object.assign(state, { name: null, kernel: state.own });
      names.press(null);
      drawMaps();
    };
    const resize = size => {
      state.kernel = state.name ? kernelOf(state.name, size) : resizedKernel(state.own, size);
      drawKernel();
    };
    const drawKernel = () => {
      const size = state.kernel.length;
      fill(numbers, element("div", { class: `kernel k${size}` }, ...state.kernel.flatMap((row, i) => row.map((value, j) =>
        element("input", { type: "number", step: 0.1, value: Number(value.toFixed(3)), "aria-label": `row ${i + 1}, column ${j + 1} of the filter`,
          oninput: event => edit(i, j, Number(event.target.value)) })))));
      drawMaps();
    };
    const drawMaps = () => {
      const made = slid(image, state.kernel, state.stride, state.pads), [, rows, columns] = made.shape, size = state.kernel.length;
      const weight = tensor([1, 1, size, size], Float32Array.from(state.kernel.flat()));
      const step = { kind: state.pads ? "convolution" : "conv", name: "conv", given: image, maps: made, layer: { weight, stride: state.stride } };
      const from = pointable(imageCanvas(tensor(image.shape, image.data.map(x => 255 * x)), false, "the image"), ...image.shape.slice(1));
      const to = pointable(mapCanvas(made, 0, strongestOf(made.data), "the map"), rows, columns, point, "the map that the filter makes");
      const margin = state.pads ? Math.floor((size - 1) / 2) : 0;
      function point(row, column) {
        state.place = [row / rows, column / columns]; // which stays where the grid gets smaller
        to.mark(row, column, 1, 1);
        from.mark(row * state.stride - margin, column * state.stride - margin, size, size);
        fill(sums, ...convolutionArithmetic(step, 0, row, column));
      }
      const share = (rows * columns) / (image.shape[1] * image.shape[2]);
      told.textContent = `${grid(image.shape)} pixels become ${times(rows, columns)} cells: ${(100 * share).toFixed(0)} % of the grid is left.` +
        (size === 1 && / edge/.test(state.name) ? " One number has no neighbours: it finds no edge." : "");
      fill(maps, figure(from, "the image, and what the filter covers"), figure(to, "the map: point at a cell"));
      point(...[rows, columns].map((count, i) => Math.min(Math.round(state.place[i] * count), count - 1)));
    };
    drawKernel();
    return [
      names,
      slider("kernel size", { min: 1, max: Math.min(7, image.shape[1]), value: 3 }, resize, size => `${size} × ${size}`),
      slider("stride", { min: 1, max: 4, value: 1 }, stride => { state.stride = stride; drawMaps(); }),
      choice("padding", [["same", "zeros around"], ["none", "none"]], "same", value => { state.pads = value === "same"; drawMaps(); }),
      element("div", { class: "toy" }, numbers, maps), told, sums,
    ];
  },
});
