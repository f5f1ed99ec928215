/* A picture -> what a network takes, as `cnnkit/data/own_images.py` frames it for `cnnkit predict`. */

const FAINTEST = 0.02; // of black to white: less contrast is one colour
const INK = 0.2; // of the strongest contrast: what counts as ink
const FAINTEST_INK = 0.05; // of the paper's light: ink on uneven paper that takes less cannot be told from grain
const STROKES = 0.995; // of a picture's pixels at most are fainter than the strokes of its drawing
const EVEN = 0.1; // of the strongest contrast: paper whose edges vary less is evenly lit and has no lines
const MOSTLY = 0.5; // of all ink: a drawing with less of it does not stand out
const LONGEST_SIDE = 640; // pixels; larger pictures are made smaller first

/* RGBA bytes {width, height, data} -> brightness 0 … 1; what is transparent is paper. */
function greyOf(picture) {
  const { width, height, data } = picture, grey = plane(width, height);
  let ink = 0, opaque = 0;
  const light = i => ((data[4 * i] * 19595 + data[4 * i + 1] * 38470 + data[4 * i + 2] * 7471 + 32768) >> 16) / 255;
  for (let i = 0; i < grey.data.length; i++) {
    ink += (light(i) * data[4 * i + 3]) / 255;
    opaque += data[4 * i + 3] / 255;
  }
  const paper = ink / Math.max(opaque, 1e-6) < 0.5 ? 1 : 0;
  for (let i = 0; i < grey.data.length; i++) {
    const share = data[4 * i + 3] / 255;
    grey.data[i] = light(i) * share + paper * (1 - share);
  }
  return grey;
}

function edgeOf({ width, height, data }) {
  const edge = [...data.subarray(0, width), ...data.subarray((height - 1) * width)];
  for (let y = 0; y < height; y++) edge.push(data[y * width], data[y * width + width - 1]);
  return edge;
}

function smaller(grey) {
  const { width, height } = grey;
  const factor = Math.min(Math.max(width, height) / LONGEST_SIDE, Math.min(width, height) / 64);
  return factor <= 1 ? grey : resized(grey, rounded(width / factor), rounded(height / factor), "box");
}

/* Ink up to 1 on a ground of 0: what contrasts more with the ground, dark or light. */
function lightOnDark(grey, ground, darker) {
  const ink = plane(grey.width, grey.height), sign = darker ? -1 : 1;
  for (let i = 0; i < ink.data.length; i++) ink.data[i] = Math.max(0, sign * (grey.data[i] - ground));
  const strongest = largestOf(ink.data);
  for (let i = 0; i < ink.data.length; i++) ink.data[i] /= strongest;
  return ink;
}

/* Ink of a photo of paper that is lit unevenly or ruled, up to 1, and a mask of its clear strokes. */
function inkOfPhoto(grey) {
  const { width, height } = grey, found = withoutLighting(grey), strongest = quantileOf(found.data, STROKES);
  if (strongest < FAINTEST_INK) throw new Error("It shows nothing: no ink stands out from the paper.");
  const ink = plane(width, height, found.data.map(x => Math.min(x / strongest, 1)));
  const plain = withoutLines(maskOf(ink.data, FAINT), width, height);
  const mask = clearStrokes(plane(width, height, ink.data.map((x, i) => x * plain[i])));
  // A line from edge to edge, and nothing else, is the drawing.
  return { ink, mask: mask.includes(1) ? mask : clearStrokes(ink) };
}

function quantileOf(values, share) {
  const ordered = values.slice().sort(), place = share * (values.length - 1), before = Math.floor(place);
  return ordered[before] + (place - before) * ((ordered[before + 1] ?? 0) - ordered[before]);
}

/* The largest drawing alone, with the soft edge of its strokes: the fainter pixels up to 3 away. */
function drawingAlone(ink, mask) {
  const { width, height } = ink;
  const { chosen, others, share } = mainDrawing(mask, width, height);
  let wide = chosen;
  for (let n = 0; n < 3; n++) {
    const grown = wide.slice();
    for (let i = 0; i < wide.length; i++) {
      if (!wide[i]) continue;
      const x = i % width;
      if (x > 0) grown[i - 1] = 1;
      if (x < width - 1) grown[i + 1] = 1;
      if (i >= width) grown[i - width] = 1;
      if (i + width < wide.length) grown[i + width] = 1;
    }
    wide = grown;
  }
  const alone = plane(width, height);
  for (let i = 0; i < mask.length; i++) if (wide[i] && (chosen[i] || !mask[i])) alone.data[i] = ink.data[i];
  return { ink: alone, others, share };
}

function remarkOf({ others, share }) {
  if (share < MOSTLY && others > 3) return "No drawing stands out: marks are all over the picture.";
  return others ? `${others + 1} objects in the picture: the largest was taken.` : "";
}

/* Cuts out the ink, scales it to its share of the frame, and sets it in the middle. */
function inFrame(ink, frame, width, height) {
  const box = { left: ink.width, right: -1, top: ink.height, bottom: -1 };
  for (let i = 0; i < ink.data.length; i++) {
    if (ink.data[i] <= INK) continue;
    const x = i % ink.width, y = Math.floor(i / ink.width);
    box.left = Math.min(box.left, x);
    box.right = Math.max(box.right, x);
    box.top = Math.min(box.top, y);
    box.bottom = Math.max(box.bottom, y);
  }
  const wide = box.right - box.left + 1, high = box.bottom - box.top + 1, cut = plane(wide, high);
  for (let y = 0; y < high; y++)
    for (let x = 0; x < wide; x++)
      cut.data[y * wide + x] = ink.data[(box.top + y) * ink.width + box.left + x];
  const scale = frame.ink_share * Math.min(height / high, width / wide);
  const small = resized(cut, Math.max(1, rounded(wide * scale)), Math.max(1, rounded(high * scale)), frame.resampling);
  const strongest = Math.max(largestOf(small.data), 1e-6);
  small.data.forEach((x, i) => (small.data[i] = Math.min(Math.max(x / strongest, 0), 1)));
  return placed(small, frame, width, height);
}

function placed(small, frame, width, height) {
  const byMass = frame.centred_by === "mass", total = sumOf(small.data);
  let middleX = (small.width - 1) / 2, middleY = (small.height - 1) / 2;
  if (byMass) {
    middleX = small.data.reduce((all, ink, i) => all + ink * (i % small.width), 0) / total;
    middleY = small.data.reduce((all, ink, i) => all + ink * Math.floor(i / small.width), 0) / total;
  }
  const within = (first, room) => Math.min(Math.max(rounded(first), 0), room);
  const left = within((byMass ? width / 2 : (width - 1) / 2) - middleX, width - small.width);
  const top = within((byMass ? height / 2 : (height - 1) / 2) - middleY, height - small.height);
  const result = plane(width, height);
  for (let y = 0; y < small.height; y++)
    result.data.set(small.data.subarray(y * small.width, (y + 1) * small.width), (top + y) * width + left);
  return result;
}

/* A photograph is fitted as the training images were, on white paper: [C, height, width], 0 … 255. */
function photograph(picture, frame, width, height) {
  const channels = frame.shape[0], result = tensor([channels, height, width]);
  const { width: w, height: h, data } = picture;
  const onPaper = (i, n) => 255 + ((data[4 * i + n] - 255) * data[4 * i + 3]) / 255;
  const planes = Array.from({ length: channels }, () => plane(w, h));
  for (let i = 0; i < w * h; i++) {
    if (channels === 1) planes[0].data[i] = 0.299 * onPaper(i, 0) + 0.587 * onPaper(i, 1) + 0.114 * onPaper(i, 2);
    else for (let c = 0; c < 3; c++) planes[c].data[i] = onPaper(i, c);
  }
  const [fitted, left, top] = fitting(w, h, width, height, frame.fit);
  planes.forEach((one, c) => {
    const small = resized(one, fitted.to[0], fitted.to[1], "bilinear", fitted.part);
    for (let y = 0; y < small.height; y++)
      for (let x = 0; x < small.width; x++)
        result.data[(c * height + top + y) * width + left + x] = rounded(small.data[y * small.width + x]);
  });
  return result;
}

/* Which part of a picture is used, the size it gets, and where it then lies: as Pillow's fit and pad. */
function fitting(w, h, width, height, fit) {
  const all = { x: 0, y: 0, width: w, height: h };
  if (fit === "stretch") return [{ part: all, to: [width, height] }, 0, 0];
  const wider = w / h > width / height;
  if (fit === "contain") {
    const to = wider ? [width, rounded((h / w) * width)] : [rounded((w / h) * height), height];
    return [{ part: all, to }, rounded((width - to[0]) / 2), rounded((height - to[1]) / 2)];
  }
  const cut = wider ? [(h * width) / height, h] : [w, (w * height) / width];
  const part = { x: (w - cut[0]) / 2, y: (h - cut[1]) / 2, width: cut[0], height: cut[1] };
  return [{ part, to: [width, height] }, 0, 0];
}

/* The part of an image [C, H, W] that is left where `crop` pixels are cut off each side. */
function cropped(image, crop) {
  const [channels, height, width] = image.shape, rows = height - 2 * crop, columns = width - 2 * crop;
  const result = tensor([channels, rows, columns]);
  for (let c = 0, i = 0; c < channels; c++)
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++)
        result.data[i++] = image.data[(c * height + y + crop) * width + x + crop];
  return result;
}

/* {image: [C, H, W] after the crop, 0 … 255, warning}; throws an Error, in words, where nothing is shown.
   even: the paper is known to be evenly lit, as that of the pad is, also where a stroke reaches the edge. */
function framed(picture, frame, even = false) {
  const [, h, w] = frame.shape, width = w + 2 * frame.crop, height = h + 2 * frame.crop;
  if (frame.photographs) return { image: cropped(photograph(picture, frame, width, height), frame.crop), warning: "" };
  const whole = greyOf(picture), same = whole.width === width && whole.height === height;
  const grey = same ? whole : smaller(whole), edge = edgeOf(grey), ground = even ? 1 : medianOf(edge);
  const least = smallestOf(grey.data), most = largestOf(grey.data);
  const contrast = Math.max(most - ground, ground - least), darker = ground - least > most - ground;
  if (contrast < FAINTEST) throw new Error("It shows nothing: it is one colour throughout.");
  let ink, warning = "";
  if (same) ink = darker ? plane(width, height, grey.data.map(x => 1 - x)) : grey;
  else {
    ink = lightOnDark(grey, ground, darker);
    if (frame.strokes) {
      let mask = maskOf(ink.data, INK);
      if (!even && largestOf(edge) - smallestOf(edge) > EVEN * contrast) ({ ink, mask } = inkOfPhoto(grey));
      const found = drawingAlone(ink, mask);
      ink = found.ink;
      warning = remarkOf(found);
    }
    ink = inFrame(ink, frame, width, height);
  }
  const image = tensor([1, height, width], ink.data.map(x => rounded(x * 255)));
  return { image: cropped(image, frame.crop), warning };
}
