/* The bear in a 7 × 7 grid: what each head says, wherever the bear is, however small, with clutter beside it. */

const CELLS_OF_GRID = 7;

/* How much of each cell a bear covers that has this size, in cells; and faint clutter in some other cells. */
function bearGrid({ row, column, size, clutter }) {
  const maps = tensor([1, CELLS_OF_GRID, CELLS_OF_GRID]);
  const covered = (cell, middle) => Math.max(0, Math.min(cell + 1, middle + 0.5 + size / 2) - Math.max(cell, middle + 0.5 - size / 2));
  for (let i = 0; i < maps.data.length; i++) {
    const y = Math.floor(i / CELLS_OF_GRID), x = i % CELLS_OF_GRID;
    maps.data[i] = Math.min(1, covered(y, row) * covered(x, column));
    if (((i * 17) % 49) / 49 < clutter) maps.data[i] = Math.max(maps.data[i], 0.35); // spread, always the same cells
  }
  return maps;
}

/* A bear's face around 0, one cell high. */
function bearFace() {
  const round = (kind, cx, cy, r) => svgElement("circle", { class: kind, cx, cy, r });
  return svgElement("g", {}, round("fur", -0.28, -0.3, 0.15), round("fur", 0.28, -0.3, 0.15), round("fur", 0, 0.03, 0.42),
    round("eye", -0.15, -0.06, 0.05), round("eye", 0.15, -0.06, 0.05), round("eye", 0, 0.15, 0.08));
}

const BEAR_HEADS = { avg: { name: "avg" }, max: { name: "max" }, concat: { name: "concat" }, logsumexp: { name: "logsumexp", sharpness: 5 } };

CHAPTERS.push({
  id: "bear",
  title: "Is there a bear in one of 7 × 7 cells?",
  sentence: "Each cell tells how much it looks like a bear. The average over all cells misses a small bear, and takes much clutter for one; " +
    "the maximum finds a bear of one cell. Drag the bear, or move it with arrow keys; make it small; add clutter.",
  draw({ families }) {
    const state = { row: 2, column: 4, size: 1, clutter: 0 }, told = element("p", { role: "status" });
    const scene = element("div", { class: "scene" }), results = element("div", { class: "scroll" });
    const point = (row, column) => { Object.assign(state, { row, column }); draw(); };
    const canvas = element("canvas", { width: CELLS_OF_GRID, height: CELLS_OF_GRID, class: "pixels" });
    const box = pointable(canvas, CELLS_OF_GRID, CELLS_OF_GRID, point, "grid with a bear", true);
    const lines = Array.from({ length: CELLS_OF_GRID - 1 }, (_, i) => i + 1).flatMap(at => [
      svgElement("line", { x1: at, x2: at, y1: 0, y2: CELLS_OF_GRID }), svgElement("line", { y1: at, y2: at, x1: 0, x2: CELLS_OF_GRID })]);
    box.prepend(svgElement("svg", { class: "lines", viewBox: `0 0 ${CELLS_OF_GRID} ${CELLS_OF_GRID}`, "aria-hidden": "true" }, ...lines));
    const bear = svgElement("svg", { class: "bear", viewBox: `0 0 ${CELLS_OF_GRID} ${CELLS_OF_GRID}`, "aria-hidden": "true" }, bearFace());
    box.append(bear);
    scene.append(figure(box, "the stronger a cell's colour, the more it looks like a bear"));
    const sayOf = values => values.map(value => short(value)).join(", ");
    const draw = () => {
      const maps = bearGrid(state), painted = mapCanvas(maps, 0, 1, "");
      canvas.getContext("2d").clearRect(0, 0, CELLS_OF_GRID, CELLS_OF_GRID);
      canvas.getContext("2d").drawImage(painted, 0, 0);
      box.mark(state.row, state.column, 1, 1);
      bear.firstChild.setAttribute("transform", `translate(${state.column + 0.5} ${state.row + 0.5}) scale(${state.size})`);
      const alone = bearGrid({ ...state, size: 0 });
      const rows = Object.entries(BEAR_HEADS).map(([name, head]) => element("tr", {}, element("th", { scope: "row" }, name),
        ...[maps, alone].map(one => element("td", { class: "num" }, sayOf(Array.from(headOf(one, head).data)))),
        element("td", { class: "muted" }, families.heads[name]?.summary ?? "")));
      fill(results, element("table", { class: "results" },
        element("thead", {}, element("tr", {}, ...["head", "with the bear", "without it", "what it is"].map(word => element("th", { scope: "col" }, word)))),
        element("tbody", {}, ...rows)));
      const of = name => headOf(maps, BEAR_HEADS[name]).data[0] - headOf(alone, BEAR_HEADS[name]).data[0];
      told.textContent = `The bear raises the average by ${short(of("avg"))}, the maximum by ${short(of("max"))}.`;
    };
    draw();
    return [
      slider("size of the bear, cells", { min: 0.5, max: 5, step: 0.5, value: 1 }, size => { state.size = size; draw(); }),
      slider("clutter", { min: 0, max: 1, step: 0.05, value: 0 }, clutter => { state.clutter = clutter; draw(); }, share => `${Math.round(100 * share)} %`),
      told, element("div", { class: "toy" }, scene, results),
    ];
  },
});
