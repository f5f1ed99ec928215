/* Small pieces of a page. Text is set as text, so that no name can become markup. */

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined));
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

function svgElement(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const fill = (parent, ...children) => parent.replaceChildren(...children.filter(child => child !== null && child !== undefined));
const byId = id => document.getElementById(id);

/* A strategy's marker and name, as in the report. */
function named(network) {
  const marker = svgElement("svg", { class: `marker c${network.series}`, viewBox: "-7 -7 14 14", "aria-hidden": "true" },
    svgElement("path", { d: network.marker }));
  return element("span", { class: "strategy" }, marker, element("span", { class: "name" }, network.name));
}

/* A labelled slider; `told` writes its value. change is called with the number. */
function slider(label, { min, max, step = 1, value }, change, told = String) {
  const output = element("output", { class: "num" }, told(value));
  const input = element("input", { type: "range", min, max, step, value,
    oninput: () => { output.textContent = told(Number(input.value)); change(Number(input.value)); } });
  return element("label", { class: "field" }, element("span", {}, label), input, output);
}

/* A labelled choice. options: [value, words] each. */
function choice(label, options, value, change, attributes = {}) {
  const select = element("select", { ...attributes, onchange: () => change(select.value) },
    ...options.map(([key, words]) => element("option", { value: key, selected: key === value }, words)));
  return element("label", { class: "field" }, element("span", {}, label), select);
}

/* Buttons of which one is pressed. */
function buttons(label, options, value, change) {
  const group = element("div", { class: "buttons", role: "group", "aria-label": label });
  const press = key => group.querySelectorAll("button").forEach((b, i) => b.setAttribute("aria-pressed", String(options[i][0] === key)));
  group.append(...options.map(([key, words]) =>
    element("button", { type: "button", onclick: () => { press(key); change(key); } }, words)));
  press(value);
  group.press = press; // a key, or null: none of them
  return group;
}

const button = (words, action, attributes = {}) => element("button", { type: "button", onclick: action, ...attributes }, words);

/* Numbers with a minus that is as long as a plus, and few digits. */
const minus = text => text.replace("-", "−");
function short(value, digits = 2) {
  if (Math.abs(value) >= 1000) return minus(Math.round(value).toLocaleString("en"));
  const text = value.toFixed(Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? Math.min(1, digits) : digits);
  return minus(Number(text) === 0 ? text.replace("-", "") : text);
}
const percent = share => (share > 0.9995 && share < 1 ? ">99.9 %" : share > 0 && share < 0.0005 ? "<0.1 %" : `${(100 * share).toFixed(1)} %`);
const times = (a, b) => `${a}\u00a0×\u00a0${b}`; // on one line
const grid = shape => (shape.length === 3 ? times(shape[1], shape[2]) : `${shape[0]}`);
const counted = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
