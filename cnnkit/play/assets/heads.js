/* The heads of `cnnkit/nn/heads.py`: what the dense layers see of the last maps. */

function logSumExp(values, sharpness) {
  const largest = largestOf(values);
  return largest + Math.log(meanOf(values.map(x => Math.exp(sharpness * (x - largest))))) / sharpness;
}

const topMean = (values, t) => meanOf([...values].sort((a, b) => b - a).slice(0, t));

/* Of one map, an array of its values, the value that stands for it. */
const OF_MAP = {
  avg: () => meanOf,
  max: () => largestOf,
  gem: head => (values, c) => powerMean(values, setting(head.p, c)),
  logsumexp: head => values => logSumExp(values, head.sharpness),
  top: head => values => topMean(values, head.t),
};

const valuesOf = (maps, c) => {
  const cells = maps.shape[1] * maps.shape[2];
  return Array.from(maps.data.subarray(c * cells, (c + 1) * cells));
};

function ofMaps(maps, of) {
  return Array.from({ length: maps.shape[0] }, (_, c) => of(valuesOf(maps, c), c));
}

/* Each cell's weight: the softmax over the cells of how well it answers the query. */
function attention(maps, query) {
  const [channels, rows, columns] = maps.shape, answers = new Array(rows * columns).fill(0);
  for (let c = 0; c < channels; c++)
    for (let i = 0; i < answers.length; i++)
      answers[i] += (query.data[c] * maps.data[c * answers.length + i]) / Math.sqrt(channels);
  return softmax(answers);
}

/* [C, H, W] -> [H · W · C]: channels last, as the network's weights lie. */
function flattened(maps) {
  const [channels, rows, columns] = maps.shape, cells = rows * columns;
  return Array.from({ length: channels * cells }, (_, i) =>
    maps.data[(i % channels) * cells + Math.floor(i / channels)]);
}

/* [C, H, W] -> [features] */
function headOf(maps, head) {
  let features;
  if (head.name === "flatten") features = flattened(maps);
  else if (head.name === "concat") features = [...ofMaps(maps, largestOf), ...ofMaps(maps, meanOf)];
  else if (head.name === "attention") {
    const weights = attention(maps, head.query);
    features = ofMaps(maps, values => sumOf(values.map((x, i) => x * weights[i])));
  } else features = ofMaps(maps, OF_MAP[head.name](head));
  return tensor([features.length], Float32Array.from(features));
}

const isKnownHead = name => name in OF_MAP || ["flatten", "concat", "attention"].includes(name);
