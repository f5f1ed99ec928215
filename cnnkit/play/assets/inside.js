/* Inside one network: its steps in the order in which it computes, their maps, and one cell's arithmetic. */

const FEW_MAPS = 12; // of a step, before the others are unfolded

const titleOf = step => ({ convolution: step.layer.stride > 1 ? `convolution, stride ${step.layer.stride}` : "convolution",
  pooling: `${step.name} pooling` })[step.kind] ?? step.name;

/* networks: those that answer. The view shows the result that it is given, of the network that is chosen. */
function insideView(networks) {
  const state = { network: networks[0], result: null, step: 0, channel: 0, input: null, cell: null, unfolded: new Set() };
  const steps = element("div", { class: "steps" }), bench = element("div", { class: "bench", "aria-live": "off" });
  const last = element("div", { class: "last" });
  const view = element("div", {}, steps, last);
  const redraw = () => {
    if (!state.result) return;
    const rows = stepRows(state, redraw);
    fill(steps, ...rows.slice(0, state.step + 1), bench, ...rows.slice(state.step + 1));
    drawBench(bench, state);
  };
  view.show = (network, result) => {
    if (network !== state.network) Object.assign(state, { step: 0, channel: 0, input: null, unfolded: new Set() });
    Object.assign(state, { network, result });
    state.cell = null;
    redraw();
    fill(last, ...lastLayers(network, result));
  };
  view.empty = () => {
    [bench, last].forEach(part => fill(part));
    fill(steps, element("p", { class: "muted" }, "Draw something first: then every step is shown here."));
  };
  return view;
}

function stepRows(state, redraw) {
  const { result, network } = state;
  return result.steps.map((step, number) => {
    const [channels] = step.maps.shape, strongest = strongestOf(step.maps.data);
    const all = state.unfolded.has(number), shown = all ? channels : Math.min(channels, FEW_MAPS);
    const choose = channel => {
      const place = () => document.querySelector(`[data-map="${number}-${channel}"]`), top = () => place().getBoundingClientRect().top, before = top();
      Object.assign(state, { step: number, channel, input: null, cell: null });
      redraw();
      place().focus({ preventScroll: true });
      scrollBy({ top: top() - before, behavior: "instant" }); // the map that was pressed stays where it was
    };
    const maps = Array.from({ length: shown }, (_, channel) => {
      const chosen = number === state.step && channel === state.channel;
      const label = `stage ${step.stage + 1}, ${titleOf(step)}, map ${channel + 1}`;
      return element("button", { type: "button", class: "map", "data-map": `${number}-${channel}`,
        "aria-pressed": String(chosen), "aria-label": label, onclick: () => choose(channel) },
        mapCanvas(step.maps, channel, strongest, label));
    });
    const more = channels > FEW_MAPS ? button(all ? "fewer" : `all ${channels}`,
      () => { all ? state.unfolded.delete(number) : state.unfolded.add(number); redraw(); }, { class: "quiet" }) : null;
    const first = number === 0 || result.steps[number - 1].stage !== step.stage;
    return element("div", { class: "step" }, first ? element("h3", {}, `Stage ${step.stage + 1}`) : null,
      element("p", { class: "step-name" }, element("b", {}, titleOf(step)),
        element("span", { class: "muted" }, ` ${counted(channels, "map")} of ${grid(step.maps.shape)}`)),
      element("div", { class: "strip" }, ...maps, more));
  });
}

/* The image, the map before and the chosen map, large; and the arithmetic of the chosen cell. */
function drawBench(bench, state) {
  const { result, network } = state, step = result.steps[state.step];
  const [channels, rows, columns] = step.maps.shape;
  state.channel = Math.min(state.channel, channels - 1);
  const from = channelBefore(step, state.channel), shownBefore = from ?? state.input ?? strongestInput(step, state.channel);
  const [, beforeRows, beforeColumns] = step.given.shape;
  const image = pointable(imageCanvas(result.image, network.frame.as_is, "what the network sees"), ...result.image.shape.slice(1));
  const before = pointable(mapCanvas(step.given, shownBefore, strongestOf(step.given.data), "the map before"), beforeRows, beforeColumns);
  const sums = element("div", { class: "sums", "aria-live": "polite" });
  const after = pointable(mapCanvas(step.maps, state.channel, strongestOf(step.maps.data), "the chosen map"), rows, columns, point,
    `map ${state.channel + 1} of the ${titleOf(step)}`);

  function point(row, column) {
    state.cell = [row, column];
    after.mark(row, column, 1, 1);
    const source = sourceOf(step, row, column), field = receptiveField(result.steps, state.step, row, column);
    before.mark(source.top, source.left, source.height, source.width);
    image.mark(field.top, field.left, field.height, field.width);
    fill(sums, element("p", { class: "muted" }, `Cell in row ${row + 1}, column ${column + 1}. It sees ${times(field.height, field.width)} pixels of the image.`),
      ...arithmeticOf(step, state.channel, row, column, shownBefore));
  }

  const chooseBefore = input => {
    Object.assign(state, { input: Number(input) });
    drawBench(bench, state);
    bench.querySelector("select").focus({ preventScroll: true });
  };
  const inputs = from === null && step.given.shape[0] > 1
    ? choice("map before", Array.from({ length: step.given.shape[0] }, (_, i) => [String(i), `map ${i + 1}`]), String(shownBefore), chooseBefore) : null;
  const filter = step.kind === "convolution" ? filterFigure(step, state.channel, shownBefore) : null;
  const beforeWords = state.step === 0 ? "the image, with mean 0" : `map ${shownBefore + 1} before${from === null && step.given.shape[0] > 1 ? `, one of ${step.given.shape[0]}` : ""}`;
  fill(bench,
    element("h3", {}, `Stage ${step.stage + 1}, ${titleOf(step)}: map ${state.channel + 1}`),
    element("p", { class: "muted" }, "Point at a cell of the last map, or choose it with arrow keys."),
    element("div", { class: "large-maps" }, figure(image, "what the cell sees of the image"), figure(before, beforeWords), filter,
      figure(after, `map ${state.channel + 1}`)),
    inputs, sums);
  point(...(state.cell ?? strongestCell(step.maps, state.channel)));
}

/* [row, column] of the largest value of a map, of either sign. */
function strongestCell(maps, channel) {
  const values = valuesOf(maps, channel).map(Math.abs), place = values.indexOf(largestOf(values));
  return [Math.floor(place / maps.shape[2]), place % maps.shape[2]];
}

const figure = (picture, words) => element("figure", { class: "large" }, picture, element("figcaption", {}, words));

/* The map that a filter weighs most: the sum of its weights' sizes. */
function strongestInput(step, channel) {
  const [, inputs, size] = step.layer.weight.shape, cells = size * size, weights = step.layer.weight.data;
  const sizes = Array.from({ length: inputs }, (_, i) =>
    sumOf(weights.subarray((channel * inputs + i) * cells, (channel * inputs + i + 1) * cells).map(Math.abs)));
  return sizes.indexOf(Math.max(...sizes));
}

function filterFigure(step, channel, input) {
  const [, inputs, size] = step.layer.weight.shape, cells = size * size, start = (channel * inputs + input) * cells;
  const weights = tensor([1, size, size], step.layer.weight.data.slice(start, start + cells));
  const words = `filter ${channel + 1}, ${times(size, size)}${inputs > 1 ? `, its part for map ${input + 1}` : ""}`;
  return figure(mapCanvas(weights, 0, strongestOf(weights.data), words), words);
}
