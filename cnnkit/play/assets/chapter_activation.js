/* Activations: the curve, a value to move, and a map before and after. */

function curveOf(f, at) {
  const [left, right, low, high] = [-5, 5, -2, 5], px = x => ((x - left) / (right - left)) * 300, py = y => ((high - y) / (high - low)) * 210;
  const points = Array.from({ length: 101 }, (_, i) => left + i / 10).map(x => `${px(x).toFixed(1)},${py(f(x)).toFixed(1)}`);
  return svgElement("svg", { class: "plot", viewBox: "0 0 300 210", role: "img", "aria-label": "the curve of the activation" },
    svgElement("line", { class: "axis", x1: 0, x2: 300, y1: py(0), y2: py(0) }),
    svgElement("line", { class: "axis", x1: px(0), x2: px(0), y1: 0, y2: 210 }),
    ...[[left, 0, 2, -4, "start"], [right, 0, -2, -4, "end"], [0, high, 6, 12, "start"], [0, low, 6, -4, "start"]].map(([x, y, dx, dy, anchor]) =>
      svgElement("text", { x: px(x) + dx, y: py(y) + dy, "text-anchor": anchor }, minus(String(x || y)))),
    svgElement("polyline", { class: "curve", points: points.join(" ") }),
    svgElement("circle", { class: "dot", cx: px(at), cy: py(f(at)), r: 5 }));
}

CHAPTERS.push({
  id: "activation",
  title: "ReLU and the other activations",
  sentence: "An activation bends each value on its own. ReLU makes 0 of what is below 0 and keeps the rest. " +
    "Without a bend, many layers could do no more than one.",
  draw({ samples, families }) {
    const state = { name: "relu", x: -1 }, image = lessonImage(samples);
    const before = slid(image, kernelOf("top edge", 3), 1, true), plot = element("div"), maps = element("div", { class: "large-maps" }), told = element("p", { role: "status" });
    const draw = () => {
      const f = ACTIVATIONS[state.name], after = activated(before, state.name), strongest = strongestOf(before.data);
      fill(plot, curveOf(f, state.x));
      told.textContent = `${state.name}(${short(state.x, 1)}) = ${short(f(state.x))}: ${families.activations[state.name]?.summary ?? ""}.`;
      fill(maps, figure(mapCanvas(before, 0, strongest, "the map before"), "a map after a convolution"),
        figure(mapCanvas(after, 0, strongest, "the map after"), `after ${state.name}`));
    };
    draw();
    return [
      buttons("activation", Object.keys(ACTIVATIONS).map(name => [name, name]), "relu", name => { state.name = name; draw(); }),
      slider("value", { min: -5, max: 5, step: 0.1, value: -1 }, x => { state.x = x; draw(); }, x => short(x, 1)),
      told, element("div", { class: "toy" }, plot, maps),
    ];
  },
});
