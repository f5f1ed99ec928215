/* The dense layer as dot products, and softmax. */

const FEATURES = ["top edge", "hole", "long stroke"], TOY_CLASSES = ["0", "1", "7"];
const TOY_WEIGHTS = [[0.2, 2, -1], [-1, -1.5, 2], [2, -1.5, 1]];

CHAPTERS.push({
  id: "dense",
  title: "The dense layer adds up evidence",
  sentence: "Each class has a weight for each feature. Its logit is the dot product: feature times weight, added up. " +
    "A positive weight speaks for the class, a negative one against it.",
  draw() {
    const features = [1, 0.1, 0.8], out = element("div", { class: "scroll" });
    const draw = () => {
      const layer = { weight: tensor([3, 3], Float32Array.from(TOY_WEIGHTS.flat())), bias: tensor([3]) };
      const logits = dense(tensor([3], Float32Array.from(features)), layer).data, best = logits.indexOf(Math.max(...logits));
      const rows = TOY_CLASSES.map((name, c) => element("tr", {}, element("th", { scope: "row" }, name),
        element("td", {}, TOY_WEIGHTS[c].map((w, i) => times(short(features[i], 1), short(w, 1))).join(" + ")),
        element("td", { class: "num" }, element(c === best ? "b" : "span", {}, short(logits[c])))));
      fill(out, element("table", { class: "results" }, element("thead", {}, element("tr", {}, ...["class", "feature × weight", "logit"].map(word => element("th", { scope: "col" }, word)))),
        element("tbody", {}, ...rows)));
    };
    draw();
    return [...FEATURES.map((name, i) => slider(name, { min: 0, max: 1, step: 0.1, value: features[i] }, value => { features[i] = value; draw(); }, value => short(value, 1))), out,
      element("p", { class: "muted" }, "The features and weights here are made up. Those of a trained network are under “Inside a network”.")];
  },
});

CHAPTERS.push({
  id: "softmax",
  title: "Softmax makes probabilities of logits",
  sentence: "Each logit z becomes e^z, divided by the sum of all: the results are above 0 and add up to 1. " +
    "Only differences between logits count. A temperature divides the logits: above 1 the answer gets less sure, and stays the same answer. " +
    "A share that is spread evenly over all classes leaves each class a little, however small its logit is.",
  draw() {
    const logits = [2, 1, -1], state = { temperature: 1, spread: 0, plus: 0 }, out = element("div", { class: "scroll" });
    const draw = () => {
      const shifted = logits.map(z => z + state.plus), shares = softmax(shifted, state.temperature, state.spread);
      const rows = shifted.map((z, i) => {
        const bar = element("span", { class: "bar-fill" });
        bar.style.transform = `scaleX(${shares[i]})`;
        return element("tr", {}, element("th", { scope: "row" }, TOY_CLASSES[i]), element("td", { class: "num" }, short(z, 1)),
          element("td", { class: "num" }, short(Math.exp(z / state.temperature))), element("td", {}, element("span", { class: "bar-track softmax" }, bar)), element("td", { class: "num" }, percent(shares[i])));
      });
      fill(out, element("table", { class: "results" }, element("thead", {}, element("tr", {}, ...["class", "logit", "e^(z / temperature)", "share", "probability"].map(word => element("th", { scope: "col" }, word)))),
        element("tbody", {}, ...rows)));
    };
    draw();
    return [...logits.map((z, i) => slider(`logit of ${TOY_CLASSES[i]}`, { min: -5, max: 5, step: 0.5, value: z }, value => { logits[i] = value; draw(); }, value => short(value, 1))),
      slider("temperature", { min: 0.25, max: 4, step: 0.25, value: 1 }, value => { state.temperature = value; draw(); }, value => short(value)),
      slider("spread over all classes", { min: 0, max: 0.5, step: 0.05, value: 0 }, value => { state.spread = value; draw(); }, percent),
      slider("add to all", { min: -3, max: 3, step: 0.5, value: 0 }, value => { state.plus = value; draw(); }, value => short(value, 1)), out];
  },
});
