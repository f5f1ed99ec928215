/* Where an image comes from: the pad, the test images that travel in the page, or a person's own file. */

/* A test image as RGBA bytes, as any other picture: grey ink is drawn as it lies, light on dark. */
function pictureOf(sample) {
  const [channels, height, width] = sample.shape, cells = width * height;
  const data = new Uint8ClampedArray(4 * cells).fill(255);
  for (let i = 0; i < cells; i++)
    for (let c = 0; c < 3; c++) data[4 * i + c] = sample.data[(c % channels) * cells + i];
  return { width, height, data };
}

/* What a network sees of a test image: its own pixels, after its crop, where they have its size. */
function seenOfSample(sample, frame) {
  const [channels, height, width] = sample.shape, [c, h, w] = frame.shape;
  if (channels === c && height === h + 2 * frame.crop && width === w + 2 * frame.crop)
    return { image: cropped(sample, frame.crop), warning: "" };
  return framed(pictureOf(sample), frame);
}

const SIDE_OF_FILE = 4096; // pixels; a larger picture is made smaller by the browser, which blurs otherwise than `predict`

/* An image file -> RGBA bytes; throws an Error in words where it is none. */
async function pictureOfFile(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name || "This"} is no image that this browser can read.`);
  }
  const scale = Math.min(1, SIDE_OF_FILE / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale)), height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = element("canvas", { width, height }), context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/* A picture as the pad shows it: ink dark on white, as on paper, or in its own colours. */
function shownPicture({ width, height, data }, asIs) {
  const canvas = element("canvas", { width, height }), shown = new ImageData(width, height);
  shown.data.set(data.map((value, i) => (asIs || i % 4 === 3 ? value : 255 - value)));
  canvas.getContext("2d").putImageData(shown, 0, 0);
  return canvas;
}

const unpackedSample = sample => ({ ...sample, data: Float32Array.from(bytesOf(sample.pixels)) });

/* Buttons to go through the test images. show(number): shows one. */
function stepper(samples, show) {
  let at = -1;
  const told = element("span", { class: "muted" });
  const go = by => {
    at = (at + by + samples.length) % samples.length;
    show(at);
  };
  const bar = element("div", { class: "row", role: "group", "aria-label": "test images" },
    button("‹", () => go(at < 0 ? samples.length : -1), { "aria-label": "the test image before" }),
    button("next test image ›", () => go(1)), told);
  bar.tell = number => {
    at = number;
    told.textContent = number < 0 ? "" : `${number + 1} of ${samples.length}`;
  };
  return bar;
}

/* Takes files that are chosen, dropped on the page, or pasted. take(file) */
function fileInput(take) {
  const input = element("input", { type: "file", accept: "image/*", onchange: () => input.files[0] && take(input.files[0]) });
  addEventListener("dragover", event => event.preventDefault());
  addEventListener("drop", event => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
  addEventListener("paste", event => {
    const file = [...event.clipboardData.files].find(one => one.type.startsWith("image/"));
    if (file) take(file);
  });
  return element("label", { class: "field file" }, element("span", {}, "or choose, drop or paste an image file"), input);
}
