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
    "the mean asks how much of it there is; concat keeps both. Change a number, and see which of them notice.",
  draw({ families }) {
    const state = { k: 2, beta: 1, p: 3 }, table = element("div", { class: "scroll" }), numbers = element("div");
    let values = [0.1, 0.9, 0.2, 0.1], first = null;
    const all = Object.keys(families.poolings).filter(isKnownPooling);
    const result = name => Array.from(pooled(tensor([1, state.k, state.k], Float32Array.from(values)), untrained(name, state.k, state.beta, state.p)).data);
    const draw = () => {
      const made = all.map(result);
      first = first ?? made;
      const rows = all.map((name, i) => element("tr", {}, element("th", { scope: "row" }, name),
        element("td", { class: "num" }, made[i].map(x => short(x)).join(", ")),
        element("td", { class: "muted" }, families.poolings[name].summary)));
      fill(table, element("table", { class: "results" },
        element("thead", {}, element("tr", {}, ...["pooling", "result", "what it is"].map(word => element("th", { scope: "col" }, word)))),
        element("tbody", {}, ...rows)));
    };
    const drawNumbers = () => {
      fill(numbers, element("div", { class: `kernel k${state.k}` }, ...values.map((value, i) =>
        element("input", { type: "number", step: 0.1, min: 0, value, "aria-label": `value ${i + 1} of the cell`,
          oninput: event => { values[i] = Math.max(0, Number(event.target.value)); draw(); } }))));
      draw();
    };
    const resize = k => {
      state.k = k;
      values = Array.from({ length: k * k }, (_, i) => (i === k + 1 || (k === 2 && i === 1) ? 0.9 : 0.1));
      drawNumbers();
    };
    drawNumbers();
    return [
      slider("k", { min: 2, max: 4, value: 2 }, resize),
      slider("beta of soft", { min: 0, max: 10, step: 0.5, value: 1 }, beta => { state.beta = beta; draw(); }),
      slider("p of lp", { min: 1, max: 12, step: 0.5, value: 3 }, p => { state.p = p; draw(); }),
      element("div", { class: "toy" }, element("div", {}, numbers,
        element("div", { class: "row" }, button("one strong value", () => resize(state.k)),
          button("all equal", () => { values = values.map(() => 0.3); drawNumbers(); }))), table),
      element("p", { class: "muted" }, "mixed, gated and conv learn their weights: here they are as before training."),
    ];
  },
});
