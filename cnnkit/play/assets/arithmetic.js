/* Where a value comes from, and the arithmetic that makes it, for each kind of step. */

/* The square of the map before that a cell is made of: {top, left, height, width}, inside of the map. */
function sourceOf(step, row, column) {
  const [, height, width] = step.given.shape;
  let top = row, left = column, size = 1;
  if (step.kind === "convolution") {
    size = step.layer.weight.shape[2];
    top = row * step.layer.stride - Math.floor((size - 1) / 2);
    left = column * step.layer.stride - Math.floor((size - 1) / 2);
  } else if (step.kind === "pooling") {
    const k = step.layer.k, wide = step.name === "blur";
    size = wide ? 3 * k - 2 : k;
    top = row * k - (wide ? k - 1 : 0);
    left = column * k - (wide ? k - 1 : 0);
  }
  const bottom = Math.min(top + size, height), right = Math.min(left + size, width);
  top = Math.max(top, 0);
  left = Math.max(left, 0);
  return { top, left, height: bottom - top, width: right - left };
}

/* The square of the image that a cell of steps[number] depends on. */
function receptiveField(steps, number, row, column) {
  let field = { top: row, left: column, height: 1, width: 1 };
  for (let n = number; n >= 0; n--) {
    const first = sourceOf(steps[n], field.top, field.left);
    const last = sourceOf(steps[n], field.top + field.height - 1, field.left + field.width - 1);
    field = { top: first.top, left: first.left,
      height: last.top + last.height - first.top, width: last.left + last.width - first.left };
  }
  return field;
}

/* Which map of those before a map is made of; null: of all. */
function channelBefore(step, channel) {
  if (step.kind === "convolution" || step.name === "conv") return null;
  return step.kind === "pooling" ? channel % step.given.shape[0] : channel;
}

/* A table of numbers. values: row by row; null is left out, as beyond the edge. */
function numbersTable(values, columns, caption, mark = () => false) {
  const rows = [];
  for (let i = 0; i < values.length; i += columns)
    rows.push(element("tr", {}, ...values.slice(i, i + columns).map((value, j) =>
      element("td", { class: mark(i + j) ? "marked" : "" }, value === null ? "·" : short(value)))));
  return element("table", { class: "numbers" }, element("caption", {}, caption), element("tbody", {}, ...rows));
}

/* Values, weights and products of one filter over one map. */
function productsOf(given, weight, output, input, top, left) {
  const [, height, width] = given.shape, [, inputs, size] = weight.shape, values = [], weights = [];
  for (let i = 0; i < size * size; i++) {
    const y = top + Math.floor(i / size), x = left + (i % size);
    values.push(y < 0 || x < 0 || y >= height || x >= width ? 0 : given.data[(input * height + y) * width + x]);
    weights.push(weight.data[(output * inputs + input) * size * size + i]);
  }
  return { values, weights, products: values.map((x, i) => x * weights[i]), size };
}

const sign = text => element("span", { class: "operator" }, text);

/* The convolution of one cell: of several maps before, the products of one are written out. */
function convolutionArithmetic(step, channel, row, column, input = 0) {
  const { weight, bias } = step.layer, size = weight.shape[2], inputs = step.given.shape[0];
  const stride = step.layer.stride ?? step.layer.k, margin = step.kind === "convolution" ? Math.floor((size - 1) / 2) : 0;
  const sums = Array.from({ length: inputs }, (_, input) => {
    const parts = productsOf(step.given, weight, channel, input, row * stride - margin, column * stride - margin);
    return { input, ...parts, sum: sumOf(parts.products) };
  });
  const shown = sums[input];
  const total = sumOf(sums.map(one => one.sum)) + (bias ? bias.data[channel] : 0);
  const others = inputs > 1 ? ` + ${short(total - shown.sum - (bias ? bias.data[channel] : 0))} from the other ${counted(inputs - 1, "map")}` : "";
  const more = others + (bias ? ` + bias ${short(bias.data[channel])}` : "");
  const told = `${counted(size * size, "product")}, their sum: ${short(shown.sum)}${more ? `${more} = ${short(total)}` : ""}`;
  return [
    element("div", { class: "equation scroll" },
      numbersTable(shown.values, size, inputs > 1 ? `map ${shown.input + 1}` : "values"), sign("×"),
      numbersTable(shown.weights, size, "filter"), sign("="), numbersTable(shown.products, size, "products")),
    element("p", {}, told),
    inputs > 2 ? element("p", { class: "muted" }, `Most comes from ${mostOf(sums).map(one => `map ${one.input + 1}: ${short(one.sum)}`).join(", ")}.`) : null,
  ];
}

const mostOf = sums => [...sums].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum)).slice(0, 3);

const WORDS_OF_POOLING = {
  max: values => `the largest of ${values.length} values`,
  avg: values => `the sum ${short(sumOf(values))} of ${values.length} values, divided by ${values.length}`,
  median: values => `the middle of ${values.length} values in order`,
  soft: () => "a mean in which larger values weigh more",
  lp: () => "the root of the mean power",
  mixed: () => "a learned share of the maximum, the rest of the mean",
  gated: () => "a share of the maximum that depends on the cell, the rest of the mean",
  stochastic: () => "the sum of the squares, divided by the sum",
  blur: () => "a blurred mean of the maxima around",
};

function poolingArithmetic(step, channel, row, column, input) {
  if (step.name === "conv") return convolutionArithmetic(step, channel, row, column, input);
  const before = step.given.shape[0], part = PARTS[step.name]?.[Math.floor(channel / before)] ?? step.name;
  const { top, left, height, width } = sourceOf(step, row, column), values = [];
  for (let i = 0; i < height * width; i++)
    values.push(step.given.data[((channel % before) * step.given.shape[1] + top + Math.floor(i / width)) * step.given.shape[2] + left + (i % width)]);
  const result = step.maps.data[(channel * step.maps.shape[1] + row) * step.maps.shape[2] + column];
  return [
    element("div", { class: "equation scroll" }, numbersTable(values, width, "the cell", i => part === "max" && values[i] === result),
      sign("→"), numbersTable([result], 1, part)),
    element("p", {}, `${WORDS_OF_POOLING[part](values)}: ${short(result)}`),
  ];
}

/* What is written under the maps for the chosen cell. input: of several maps before, the one that is shown. */
function arithmeticOf(step, channel, row, column, input) {
  if (step.kind === "convolution") return convolutionArithmetic(step, channel, row, column, input);
  if (step.kind === "pooling") return poolingArithmetic(step, channel, row, column, input);
  const place = (channel * step.maps.shape[1] + row) * step.maps.shape[2] + column;
  const [from, to] = [step.given.data[place], step.maps.data[place]];
  if (step.kind === "activation") return [element("p", {}, `${step.name}(${short(from)}) = ${short(to)}`)];
  const { scale, shift } = step.layer;
  return [element("p", {}, `${short(from)} × ${short(scale.data[channel], 3)} + ${short(shift.data[channel], 3)} = ${short(to)}`)];
}
