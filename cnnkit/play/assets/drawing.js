/* The pad to draw on: strokes of a round pen on paper, with mouse, finger, pen or keys. */

const PAD = 280, PEN = 22; // pixels: the pad's side, the pen's width
const STEP = 10; // pixels that an arrow key moves the pen

/* changed(): is called after each new point. */
function drawingPad(changed) {
  const canvas = element("canvas", { width: PAD, height: PAD, class: "pad", tabindex: 0, role: "application",
    "aria-label": "Pad to draw on. Arrow keys move the pen, Space puts it down or lifts it, Backspace takes back." });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const pad = { canvas, strokes: [], pen: null, under: null, at: [PAD / 2, PAD / 2] };

  function line(from, to) {
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = "#000";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
  }

  function redraw() {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, PAD, PAD);
    if (pad.under) {
      const { width, height } = pad.under, scale = PAD / Math.max(width, height);
      context.imageSmoothingEnabled = false;
      context.drawImage(pad.under, (PAD - width * scale) / 2, (PAD - height * scale) / 2, width * scale, height * scale);
    }
    for (const stroke of pad.strokes) stroke.forEach((point, i) => line(stroke[Math.max(0, i - 1)], point));
  }

  function extend(point) {
    const stroke = pad.strokes.at(-1);
    stroke.push(point);
    line(stroke.at(-2) ?? point, point);
    changed();
  }

  function begin(point) {
    if (pad.under) pad.show([]);
    pad.strokes.push([]);
    pad.pen = true;
    extend(point);
  }

  const place = event => {
    const box = canvas.getBoundingClientRect();
    const inside = x => Math.round(Math.min(Math.max(x, 0), PAD));
    return [inside(((event.clientX - box.left) / box.width) * PAD), inside(((event.clientY - box.top) / box.height) * PAD)];
  };

  canvas.addEventListener("pointerdown", event => {
    canvas.setPointerCapture(event.pointerId);
    begin(place(event));
  });
  canvas.addEventListener("pointermove", event => pad.pen && event.buttons && extend(place(event)));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (pad.pen = null));
  canvas.addEventListener("keydown", event => keys(pad, event, { begin, extend }));

  /* under: a canvas that is shown until the pen goes down: an image that was not drawn here. */
  pad.show = (strokes, under = null) => { Object.assign(pad, { strokes, under, pen: null }); redraw(); };
  pad.undo = () => { pad.show(pad.strokes.slice(0, -1)); changed(); };
  pad.clear = () => { pad.show([]); changed(); };
  pad.picture = () => context.getImageData(0, 0, PAD, PAD);
  redraw();
  return pad;
}

function keys(pad, event, { begin, extend }) {
  const step = { ArrowUp: [0, -STEP], ArrowDown: [0, STEP], ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0] }[event.key];
  if (step) {
    pad.at = pad.at.map((x, i) => Math.min(Math.max(x + step[i], 0), PAD));
    if (pad.pen) extend([...pad.at]);
  } else if (event.key === " ") {
    if (pad.pen) pad.pen = null;
    else begin([...pad.at]);
  } else if (event.key === "Backspace") pad.undo();
  else return;
  event.preventDefault();
}

/* Strokes as short text: each point is two numbers in base 36, a stroke ends with a dot. */
const strokesText = strokes => strokes.map(stroke => stroke.map(([x, y]) =>
  x.toString(36).padStart(2, "0") + y.toString(36).padStart(2, "0")).join("")).join(".");

function strokesOf(text) {
  const number = part => Math.min(parseInt(part, 36) || 0, PAD);
  return text.split(".").filter(part => part.length >= 4).map(part =>
    Array.from({ length: Math.floor(part.length / 4) }, (_, i) =>
      [number(part.slice(4 * i, 4 * i + 2)), number(part.slice(4 * i + 2, 4 * i + 4))]));
}
