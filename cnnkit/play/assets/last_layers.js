/* After the last stage: the evidence of each cell, and the dense layers as the dot products they are. */

const TERMS = 6; // of a dot product that are written out, the largest first

function lastLayers(network, result) {
  const parts = element("div", { class: "two" }), chosen = { class: result.best, units: {} };
  const draw = () => fill(parts, evidencePart(network, result, chosen.class),
    ...dotParts(network, result, chosen.class, chosen.units, (layer, unit) => {
      chosen.units[layer] = unit;
      draw();
      parts.querySelector(`select[data-layer="${layer}"]`)?.focus({ preventScroll: true });
    }));
  draw();
  const options = network.classes.map((name, i) => [String(i), name]);
  return [
    element("h3", {}, "The last grid and the dense layers"),
    choice("class", options, String(result.best), value => { Object.assign(chosen, { class: Number(value), units: {} }); draw(); }),
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
  return element("div", {}, element("h4", {}, `Evidence of each of ${times(rows, columns)} cells for ${network.classes[of]}`),
    figure(picture, "orange: for it, blue: against"), told);
}

/* What a feature is that the first dense layer sees. maps: the last ones. */
function featureName(head, maps, i) {
  const [channels, , columns] = maps.shape, cell = Math.floor(i / channels);
  if (head === "flatten") return `map\u00a0${(i % channels) + 1}, row\u00a0${Math.floor(cell / columns) + 1}, column\u00a0${(cell % columns) + 1}`;
  if (head === "concat") return `${i < channels ? "max" : "avg"} of map ${(i % channels) + 1}`;
  return `${head} of map ${i + 1}`;
}

/* The dot product of one unit of layer `number`: [its words, its products, the largest first]. */
function termsOf(network, result, number, unit) {
  const { layer, given } = result.layers[number], inputs = given.shape[0];
  const nameOf = i => (number ? `unit ${i + 1}` : featureName(network.head.name, result.maps, i));
  return Array.from({ length: inputs }, (_, i) => {
    const value = given.data[i], weight = layer.weight.data[unit * inputs + i];
    return { i, name: nameOf(i), value, weight, product: value * weight };
  }).sort((a, b) => Math.abs(b.product) - Math.abs(a.product));
}

function termsTable(terms, bias, of) {
  const shown = terms.slice(0, TERMS), rest = sumOf(terms.slice(TERMS).map(term => term.product));
  const cells = (...texts) => texts.map(text => element("td", {}, text));
  const line = (words, value, attributes = {}) => element("tr", attributes, element("td", { colspan: 3 }, words), ...cells(short(value)));
  const rows = shown.map(term => element("tr", {}, ...cells(term.name, short(term.value), short(term.weight, 3), short(term.product))));
  if (terms.length > TERMS) rows.push(line(counted(terms.length - TERMS, "other product"), rest));
  rows.push(line("bias", bias), line(of, sumOf(terms.map(term => term.product)) + bias, { class: "total" }));
  return element("table", { class: "terms" },
    element("thead", {}, element("tr", {}, ...["feature", "value", "weight", "product"].map(word => element("th", { scope: "col" }, word)))),
    element("tbody", {}, ...rows));
}

/* The logit of a class; and of each layer before, one unit: that which counts most, or one that is chosen. */
function dotParts(network, result, of, units, choose) {
  const last = result.layers.length - 1, parts = [];
  for (let number = last, unit = of; number >= 0; number--) {
    const terms = termsOf(network, result, number, unit), bias = result.layers[number].layer.bias.data[unit], name = network.classes[of];
    if (number === last)
      parts.push(element("div", {}, element("h4", {}, `The dot product for ${name}`), termsTable(terms, bias, `logit of ${name}`),
        element("p", { class: "muted" }, `Softmax makes probabilities of the ${result.logits.length} logits: ${percent(result.probabilities[of])} here.`)));
    else {
      const after = result.layers[number].values.data[unit], all = Array.from(result.layers[number].values.data, (_, i) => [String(i), `unit ${i + 1}`]);
      const at = number;
      parts.push(element("div", {}, element("h4", {}, `The dot product of unit ${unit + 1} of dense layer ${number + 1}`),
        choice(`unit of layer ${number + 1}`, all, String(unit), value => choose(at, Number(value)), { "data-layer": number }), termsTable(terms, bias, "sum"),
        element("p", { class: "muted" }, `After ${network.activation} the unit is ${short(after)}: a feature of the next layer.`)));
    }
    unit = units[number - 1] ?? terms[0].i;
  }
  return parts;
}
