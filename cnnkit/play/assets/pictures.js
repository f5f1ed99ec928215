/* Maps and images as small canvases. Values lie in the opacity, so that 0 has the colour of the page. */

const POSITIVE = [213, 94, 0], NEGATIVE = [0, 114, 178];

function canvasOf(width, height, paint, attributes) {
  const canvas = element("canvas", { width, height, ...attributes });
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
  paint(pixels.data);
  context.putImageData(pixels, 0, 0);
  return canvas;
}

/* One map of [C, H, W]: vermillion above 0, blue below, opaque at `strongest`. */
function mapCanvas(maps, channel, strongest, label) {
  const [, height, width] = maps.shape, start = channel * width * height;
  return canvasOf(width, height, out => {
    for (let i = 0; i < width * height; i++) {
      const value = maps.data[start + i], colour = value >= 0 ? POSITIVE : NEGATIVE;
      out.set(colour, 4 * i);
      out[4 * i + 3] = 255 * Math.min(1, Math.abs(value) / (strongest || 1));
    }
  }, { class: "pixels signed", role: "img", "aria-label": label });
}

const strongestOf = values => values.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-12);

/* An image [C, H, W], 0 … 255, as black ink, or in its own colours. */
function imageCanvas(image, asIs, label) {
  const [channels, height, width] = image.shape, cells = height * width;
  return canvasOf(width, height, out => {
    for (let i = 0; i < cells; i++)
      if (asIs) out.set([0, 1, 2].map(c => image.data[(c % channels) * cells + i]).concat(255), 4 * i);
      else out.set([0, 0, 0, image.data[i]], 4 * i);
  }, { class: `pixels ${asIs ? "as-it-is" : "ink"}`, role: "img", "aria-label": label });
}

/* A canvas with squares over it, which a person can point at: with the pointer, or with arrow keys.
   pick(row, column): is called with the cell that is pointed at; with `drag` only while it is pressed. */
function pointable(canvas, rows, columns, pick, label, drag = false) {
  const box = element("div", { class: "pointable", tabindex: pick ? 0 : undefined, role: pick ? "group" : undefined,
    "aria-label": pick ? `${label}; arrow keys choose a cell` : undefined }, canvas);
  const marks = svgElement("svg", { viewBox: `0 0 ${columns} ${rows}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  box.append(marks);
  let at = [0, 0];
  const go = (row, column) => {
    at = [Math.min(Math.max(row, 0), rows - 1), Math.min(Math.max(column, 0), columns - 1)];
    pick(...at);
  };
  if (pick) {
    const point = event => {
      if (drag && event.type === "pointermove" && !event.buttons) return;
      const around = box.getBoundingClientRect();
      go(Math.floor(((event.clientY - around.top) / around.height) * rows),
        Math.floor(((event.clientX - around.left) / around.width) * columns));
    };
    box.addEventListener("pointermove", point);
    box.addEventListener("pointerdown", point);
    box.addEventListener("keydown", event => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      go(at[0] + step[0], at[1] + step[1]);
    });
  }
  /* Draws the outline of a rectangle of cells; the cursor goes on from there, or from `cursor`. */
  box.mark = (top, left, height, width, cursor = [top, left]) => {
    at = cursor;
    const place = { x: left, y: top, width, height };
    fill(marks, svgElement("rect", { ...place, class: "halo" }), svgElement("rect", { ...place, class: "line" }));
  };
  return box;
}
