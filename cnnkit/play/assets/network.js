/* A whole network, as `cnnkit/nn/model.py` has it, with everything that it computes on its way. */

/* The steps of one stage: each {stage, kind, name, layer, given, maps}, given and maps [C, H, W].
   A strided convolution computes only the values that it keeps, so that nothing is left to reduce. */
function stageSteps(network, number, maps) {
  const stage = network.stages[number], steps = [];
  const step = (kind, name, layer, result) => {
    steps.push({ stage: number, kind, name, layer, given: maps, maps: result });
    maps = result;
  };
  const norm = layer => layer && step("norm", "batch norm", layer, normalised(maps, layer));
  const activation = () =>
    step("activation", network.activation, { name: network.activation }, activated(maps, network.activation));
  const convolve = (layer, stride) =>
    step("convolution", "convolution", { ...layer, stride }, convolution(maps, layer, stride));
  const pooling = stage.pooling;
  const reduce = () =>
    pooling.name !== "stride" && step("pooling", pooling.name, pooling, pooled(maps, pooling));

  for (const layer of stage.before) {
    convolve(layer.convolution, 1);
    norm(layer.norm);
    activation();
  }
  convolve(stage.convolution, pooling.name === "stride" ? pooling.k : 1);
  if (stage.pools_first) reduce();
  norm(stage.norm);
  activation();
  if (!stage.pools_first) reduce();
  return steps;
}

/* The dense layers: each {layer, given, values} with values after the activation that follows. */
function denseSteps(network, features) {
  const steps = [];
  for (const layer of network.dense) {
    const last = layer === network.dense.at(-1), sums = dense(features, layer);
    const values = last ? sums : activated(sums, network.activation);
    steps.push({ layer, given: features, values });
    features = values;
  }
  return steps;
}

/* image: [C, H, W], pixels 0 … 255, as the network takes it. */
function computed(network, image) {
  const seen = standardised(image, network.mean, network.std), steps = [];
  let maps = seen;
  for (let number = 0; number < network.stages.length; number++) {
    const more = stageSteps(network, number, maps);
    steps.push(...more);
    maps = more.at(-1).maps;
  }
  const features = headOf(maps, network.head), layers = denseSteps(network, features);
  const logits = layers.at(-1).values.data;
  const probabilities = softmax(logits, network.temperature, network.uniform_share);
  const best = probabilities.indexOf(largestOf(probabilities));
  return { image, seen, steps, maps, features, layers, logits, probabilities, best };
}

/* What each cell of the last grid tells of each class: a list over the cells of lists over the classes.
   As `cnnkit/nn/evidence.py`: the logits of that cell alone; where the head keeps every cell, by how much
   the cell alone changes the logits of a grid of zeros. */
function evidence(network, maps) {
  const [channels, rows, columns] = maps.shape, cells = rows * columns;
  const keeps = network.head.name === "flatten";
  const logitsOf = features => Array.from(denseSteps(network, features).at(-1).values.data);
  const zeros = keeps ? logitsOf(tensor([channels * cells])) : null;
  return Array.from({ length: cells }, (_, cell) => {
    const alone = tensor([channels, 1, 1]);
    for (let c = 0; c < channels; c++) alone.data[c] = maps.data[c * cells + cell];
    if (!keeps) return logitsOf(headOf(alone, network.head));
    const features = tensor([channels * cells]);
    features.data.set(alone.data, cell * channels);
    return logitsOf(features).map((logit, i) => logit - zeros[i]);
  });
}

/* Why a network cannot be computed here; empty where it can. */
function notComputable(network) {
  const pooling = network.stages.map(stage => stage.pooling.name).find(name => !isKnownPooling(name));
  if (pooling !== undefined) return `its pooling ${pooling} is not known to this page`;
  if (!isKnownHead(network.head.name)) return `its head ${network.head.name} is not known to this page`;
  if (!(network.activation in ACTIVATIONS)) return `its activation ${network.activation} is not known to this page`;
  return "";
}
