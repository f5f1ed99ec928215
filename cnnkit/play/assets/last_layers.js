/* After the last stage: the evidence of each cell, and the last dense layer as the dot product it is. */

const TERMS = 6; // of a dot product that are written out, the largest first

function lastLayers(network, result) {
  const parts = element("div", { class: "two" }), chosen = { class: result.best };
  const draw = () => fill(parts, evidencePart(network, result, chosen.class), dotPart(network, result, chosen.class));
  draw();
  const options = network.classes.map((name, i) => [String(i), name]);
  return [
    element("h3", {}, "The last grid and the dense layer"),
    choice("class", options, String(result.best), value => { chosen.class = Number(value); draw(); }),
    parts,
  ];
}

/* Each cell's evidence for a class, less its mean over all classes, which changes no answer. */
function evidencePart(network, result, of) {
  const [, rows, columns] = result.maps.shape, cells = evidence(network, result.maps);
  const values = cells.map(scores => scores[of] - meanOf(scores));
  const maps = tensor([1, rows, columns], Float32Array.from(values));
  const told = element("p", {});
  const picture = pointable(mapCanvas(maps, 0, strongestOf(values), `evidence for ${network.classes[of]}`), rows, columns, point, "evidence of each cell");
  function point(row, column) {
    picture.mark(row, column, 1, 1);
    const value = values[row * columns + column];
    told.textContent = `This cell speaks ${value < 0 ? "against" : "for"} ${network.classes[of]}: ${short(value)}.`;
  }
  const strongest = values.indexOf(Math.max(...values));
  point(Math.floor(strongest / columns), strongest % columns);
  return element("div", {}, element("h4", {}, `Evidence of each of ${rows} × ${columns} cells for ${network.classes[of]}`),
    figure(picture, "orange: for it; blue: against it"), told);
}

function dotPart(network, result, of) {
  const { layer, given } = result.layers.at(-1), inputs = given.shape[0];
  const terms = Array.from({ length: inputs }, (_, i) => ({ i, value: given.data[i], weight: layer.weight.data[of * inputs + i] }))
    .map(term => ({ ...term, product: term.value * term.weight }))
    .sort((a, b) => Math.abs(b.product) - Math.abs(a.product));
  const shown = terms.slice(0, TERMS), rest = sumOf(terms.slice(TERMS).map(term => term.product));
  const rows = shown.map(term => element("tr", {}, ...[String(term.i), short(term.value), short(term.weight, 3), short(term.product)].map(text => element("td", {}, text))));
  if (terms.length > TERMS) rows.push(element("tr", {}, element("td", { colspan: 3 }, counted(terms.length - TERMS, "other product")), element("td", {}, short(rest))));
  rows.push(element("tr", {}, element("td", { colspan: 3 }, "bias"), element("td", {}, short(layer.bias.data[of]))));
  rows.push(element("tr", { class: "total" }, element("td", { colspan: 3 }, `logit of ${network.classes[of]}`), element("td", {}, short(result.logits[of]))));
  return element("div", {}, element("h4", {}, `The dot product for ${network.classes[of]}`),
    element("table", { class: "terms" },
      element("thead", {}, element("tr", {}, ...["feature", "value", "weight", "product"].map(word => element("th", { scope: "col" }, word)))),
      element("tbody", {}, ...rows)),
    element("p", { class: "muted" }, `Softmax makes probabilities of the ${result.logits.length} logits: ${percent(result.probabilities[of])} here.`));
}
