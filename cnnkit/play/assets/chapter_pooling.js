/* Poolings side by side: what each makes of the same cell, whose numbers can be changed. */

/* A pooling of one map with settings as before training: shares of a half, a learned filter that averages. */
const untrained = (name, k, beta, p) => ({
  name, k, beta, p,
  share: tensor([1], Float32Array.of(0.5)),
  weight: name === "conv" ? tensor([1, 1, k, k], new Float32Array(k * k).fill(1 / (k * k))) : tensor([1, 1, k, k]),
  bias: tensor([1]),
});

CHAPTERS.push({
  id: "pooling",
  title: "Pooling: many cells become one",
  sentence: "A pooling makes one value of k × k cells. The maximum keeps the strongest sign of something, wherever in the cell it lies; " +
    "the mean asks how much of it there is; concat keeps both, as two maps.",
  draw({ families, samples }) {
    const before = activated(slid(lessonImage(samples), kernelOf("top edge", 3), 1, true), "relu");
    const state = { k: 2, beta: 1, p: 3, other: "stride", at: strongestCell(before, 0), values: [] };
    const table = element("div", { class: "scroll" }), numbers = element("div"), maps = element("div", { class: "large-maps" });
    const all = Object.keys(families.poolings).filter(isKnownPooling);
    const poolingOf = name => untrained(name, state.k, state.beta, state.p);
    const drawTable = () => {
      const cell = tensor([1, state.k, state.k], Float32Array.from(state.values));
      const rows = all.map(name => element("tr", {}, element("th", { scope: "row" }, name),
        element("td", { class: "num" }, Array.from(pooled(cell, poolingOf(name)).data, x => short(x)).join(", ")),
        element("td", { class: "muted" }, families.poolings[name].summary)));
      fill(table, element("table", { class: "results" },
        element("thead", {}, element("tr", {}, ...["pooling", "result", "what it is"].map(word => element("th", { scope: "col" }, word)))),
        element("tbody", {}, ...rows)));
    };
    const take = values => {
      state.values = Array.from(values, x => Number(x.toFixed(2)));
      fill(numbers, element("div", { class: `kernel k${state.k}` }, ...state.values.map((value, i) =>
        element("input", { type: "number", step: 0.1, min: 0, value, "aria-label": `value ${i + 1} of the cell`,
          oninput: event => { state.values[i] = Math.max(0, Number(event.target.value)); drawTable(); } }))));
      drawTable();
    };
    const drawMaps = () => {
      const [, height, width] = before.shape, strongest = strongestOf(before.data), marked = [];
      const figures = ["max", "avg", "concat", state.other].map(name => {
        const after = pooled(before, poolingOf(name)), [channels, rows, columns] = after.shape;
        const boxes = Array.from({ length: channels }, (_, c) => pointable(mapCanvas(after, c, strongest, `the map after ${name}`), rows, columns));
        marked.push(...boxes);
        return figure(boxes.length > 1 ? element("div", { class: "pair" }, ...boxes) : boxes[0], `${name}: ${counted(channels, "map")} of ${grid(after.shape)}`);
      });
      const from = pointable(mapCanvas(before, 0, strongest, "a map before pooling"), height, width, point, "a map before pooling", true);
      function point(y, x) {
        const row = Math.min(Math.floor(y / state.k), Math.floor(height / state.k) - 1), column = Math.min(Math.floor(x / state.k), Math.floor(width / state.k) - 1);
        state.at = [y, x];
        from.mark(row * state.k, column * state.k, state.k, state.k, state.at);
        marked.forEach(box => box.mark(row, column, 1, 1));
        take(cellOf(before, state.k, 0, row, column));
      }
      fill(maps, figure(from, "a map: press on a cell of it"), ...figures);
      point(...state.at);
    };
    drawMaps();
    return [
      slider("k", { min: 2, max: 4, value: 2 }, k => { state.k = k; drawMaps(); }, k => `${k} × ${k}`),
      choice("beside max, avg and concat", all.filter(name => !["max", "avg", "concat"].includes(name)).map(name => [name, name]), state.other,
        name => { state.other = name; drawMaps(); }),
      slider("beta of soft", { min: 0, max: 10, step: 0.5, value: 1 }, beta => { state.beta = beta; drawMaps(); }),
      slider("p of lp", { min: 1, max: 12, step: 0.5, value: 3 }, p => { state.p = p; drawMaps(); }),
      maps,
      element("p", {}, "The same cell, number by number: change one, and see which poolings notice."),
      element("div", { class: "toy" }, element("div", {}, numbers,
        element("div", { class: "row" }, button("one strong value", () => take(state.values.map((_, i) => (i === 1 ? 0.9 : 0.1)))),
          button("all equal", () => take(state.values.map(() => 0.3))))), table),
      element("p", { class: "muted" }, "mixed, gated and conv learn their weights: here they are as before training. " +
        "blur also looks at the cells around: in the table there are none."),
    ];
  },
});
