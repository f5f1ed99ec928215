/* Dropout as training applies it: values, random numbers, the mask, the product; and evaluation. */

const DROPPED = 8; // values that are shown

CHAPTERS.push({
  id: "dropout",
  title: "Dropout: some values are left out, by chance",
  sentence: "In training each value gets a random number from 0 to 1. Where the number is below the dropout factor, the mask is 0 and the value is left out. " +
    "What stays is scaled up: divided by 1 − factor. In evaluation nothing is left out and nothing is scaled, " +
    "and thanks to the scaling in training the next layer then sees sums of the size that it learned with.",
  draw({ samples }) {
    const image = lessonImage(samples), maps = activated(slid(image, kernelOf("top edge", 3), 2, true), "relu"), cells = Array.from(maps.data);
    const shown = cells.map((value, i) => ({ value, i })).sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, DROPPED).sort((a, b) => a.i - b.i);
    const state = { rate: 0.5, mode: "training", numbers: [], sums: [] }, pictures = element("div", { class: "large-maps" });
    const table = element("div", { class: "scroll" }), told = element("p", { role: "status" });
    const again = (times = 1) => {
      for (let n = 0; n < times; n++) {
        state.numbers = cells.map(() => Math.random());
        state.sums.push(sumOf(cells.map((x, i) => (state.numbers[i] < state.rate ? 0 : x / (1 - state.rate)))));
      }
      draw();
    };
    const draw = () => {
      const training = state.mode === "training", keeps = i => !training || state.numbers[i] >= state.rate;
      const factor = training ? 1 / (1 - state.rate) : 1, after = cells.map((x, i) => (keeps(i) ? x * factor : 0));
      const strongest = strongestOf(cells) * 2, as = values => tensor(maps.shape, Float32Array.from(values));
      fill(pictures, figure(mapCanvas(maps, 0, strongest, "the filtered image"), "filtered image, after ReLU"),
        ...(training ? [figure(mapCanvas(as(state.numbers), 0, 1, "random numbers"), "random numbers"),
          figure(mapCanvas(as(cells.map((_, i) => Number(keeps(i)))), 0, 1, "the mask"), "mask: 1 where it is kept")] : []),
        figure(mapCanvas(as(after), 0, strongest, "the product"), training ? "the product, scaled up" : "in evaluation: as it is"));
      const words = training ? ["value", "random number", "mask", `product × ${short(factor)}`] : ["value", "product"];
      const rows = shown.map(({ value, i }) => element("tr", { class: keeps(i) ? "" : "gone" },
        ...(training ? [short(value), short(state.numbers[i]), keeps(i) ? "1" : "0", short(after[i])] : [short(value), short(after[i])]).map(text => element("td", { class: "num" }, text))));
      fill(table, element("table", { class: "results" }, element("caption", {}, `the ${shown.length} largest of ${counted(cells.length, "value")}`), element("thead", {}, element("tr", {}, ...words.map(word => element("th", { scope: "col" }, word)))), element("tbody", {}, ...rows)));
      const kept = cells.filter((_, i) => keeps(i)).length;
      told.textContent = training
        ? `${kept} of ${cells.length} values are kept. Sum of all values: ${short(sumOf(cells))}; of what is kept, scaled up: ${short(sumOf(after))}; mean of this over ${counted(state.sums.length, "mask")}: ${short(meanOf(state.sums))}.`
        : `All ${cells.length} values are kept, and nothing is scaled. Sum of all values: ${short(sumOf(cells))}.`;
    };
    again();
    return [
      buttons("when", [["training", "training"], ["evaluation", "evaluation"]], "training", mode => { state.mode = mode; draw(); }),
      slider("dropout factor", { min: 0, max: 0.9, step: 0.05, value: 0.5 }, rate => { state.rate = rate; state.sums = []; again(); }, rate => short(rate)),
      element("div", { class: "row" }, button("another mask", () => again()), button("a hundred masks", () => again(100))),
      told, pictures, table,
    ];
  },
});
