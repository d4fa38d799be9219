// The figures that move. A figure of a page is
//   <figure class="live" data-figure="KIND"> the static picture, <script type="application/json">, a caption </figure>
// and here the static picture makes way for what the function of that kind draws: KINDS[kind](element, data, language).
// `reslab.learn.live:script` joins this file, the words and the files of the kinds, in one scope.

const KINDS = {};
const SVG = "http://www.w3.org/2000/svg";
const calm = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)");
let names = 0; // of groups of radio buttons

const STYLE = `
figure.live { --card: #ffffff; --soft: #f1efe9; --ink: #1d2329; --quiet: #58626c; --rule: #e2e0da; --edge: #8a929a;
  --blue: #2a5f9e; --amber: #a84b0a; --green: #2a6f45; color-scheme: light; }
@media (prefers-color-scheme: dark) { figure.live { --card: #1b1f23; --soft: #252a30; --ink: #e4e6e8; --quiet: #9aa4ae;
  --rule: #2f353b; --edge: #6f7983; --blue: #7fb0e6; --amber: #eda05a; --green: #7cc79a; color-scheme: dark; } }
:root[data-theme="light"] figure.live { --card: #ffffff; --soft: #f1efe9; --ink: #1d2329; --quiet: #58626c; --rule: #e2e0da;
  --edge: #8a929a; --blue: #2a5f9e; --amber: #a84b0a; --green: #2a6f45; color-scheme: light; }
:root[data-theme="dark"] figure.live { --card: #1b1f23; --soft: #252a30; --ink: #e4e6e8; --quiet: #9aa4ae; --rule: #2f353b;
  --edge: #6f7983; --blue: #7fb0e6; --amber: #eda05a; --green: #7cc79a; color-scheme: dark; }
figure.live > [hidden] { display: none; }
.live-body, .live-body * { box-sizing: border-box; line-height: 1.5; }
.live-body { color: var(--ink); background: var(--card); border: 1px solid var(--rule); border-radius: 12px; padding: 14px;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
  text-align: start; }
.live-body svg { display: block; max-width: 100%; overflow: visible; touch-action: manipulation; }
.live-body text { fill: var(--ink); font: 12px system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
.live-body text.quiet, .live-body .quiet { fill: var(--quiet); color: var(--quiet); }
.live-body :focus-visible, .live-body label:has(:focus-visible) { outline: 2px solid var(--blue); outline-offset: 2px; }
.live-body label :focus-visible { outline: none; }
.live-row { display: flex; flex-wrap: wrap; gap: 8px 18px; align-items: end; margin: 0 0 10px; }
.live-row.middle { align-items: center; }
.live-body fieldset { border: 0; margin: 0; padding: 0; min-width: 0; display: inline-flex; flex-wrap: wrap; }
.live-body legend, .live-name { color: var(--quiet); font-size: 13px; padding: 0 0 2px; }
.live-body fieldset label { border: 1px solid var(--edge); margin-inline-start: -1px; padding: 3px 11px; min-height: 34px; cursor: pointer;
  display: inline-flex; align-items: center; position: relative; font-size: 14px; }
.live-body fieldset label:first-of-type { border-radius: 8px 0 0 8px; margin-inline-start: 0; }
.live-body fieldset label:last-of-type { border-radius: 0 8px 8px 0; }
.live-body fieldset label:has(:checked) { background: var(--blue); border-color: var(--blue); color: var(--card); z-index: 1; }
.live-body fieldset label:has(:disabled) { color: var(--quiet); background: var(--soft); cursor: default; opacity: 0.6; }
.live-body fieldset label:has(:focus-visible) { z-index: 2; }
.live-body fieldset input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: inherit; }
.live-slider { display: inline-grid; grid-template-columns: auto auto; gap: 0 10px; min-width: min(220px, 100%); flex: 1 1 220px; }
.live-slider output { text-align: end; font-variant-numeric: tabular-nums; font-size: 14px; }
.live-slider input { grid-column: 1 / -1; width: 100%; height: 28px; margin: 0; accent-color: var(--blue); }
.live-tick { display: inline-flex; align-items: center; gap: 7px; min-height: 34px; cursor: pointer; font-size: 14px; border-radius: 6px; }
.live-tick input { width: 18px; height: 18px; margin: 0; accent-color: var(--blue); }
.live-body button { font: inherit; font-size: 14px; color: var(--ink); background: var(--card); border: 1px solid var(--edge); border-radius: 8px;
  padding: 3px 13px; min-height: 34px; cursor: pointer; }
.live-body button:hover { background: var(--soft); }
.live-body button:disabled { opacity: 0.5; cursor: default; }
.live-body button.main { background: var(--blue); border-color: var(--blue); color: var(--card); min-width: 6.5em; }
.live-says { margin: 10px 0 0; min-height: 3em; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.live-body .rule { stroke: var(--rule); } .live-body .axis { stroke: var(--quiet); } .live-body .dashed { stroke: var(--edge); stroke-dasharray: 3 3; }
.live-body .line { fill: none; stroke-width: 2; stroke-linejoin: round; } .live-body .line.pale { opacity: 0.28; }
.live-body .line.blue { stroke: var(--blue); } .live-body .line.amber { stroke: var(--amber); }
.live-body .blue:not(.line) { fill: var(--blue); } .live-body .amber:not(.line) { fill: var(--amber); }
@media (max-width: 640px) { .live-body { padding: 12px; } .live-says { min-height: calc(1.5em * var(--lines)); } }
`;

/** Children may be elements or text; a function is a listener (`onclick`), true an attribute without value, false none. */
function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

const h = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
const s = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);
const label = (x, y, text, attributes = {}) => s("text", { x, y, ...attributes }, text);

/** A phrase of the table in that language, its {blanks} filled in. */
const speaker = (language) => (key, values = {}) =>
  WORDS[key][language === "zh" ? 1 : 0].replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** Sentences one after the other; Chinese has no blank between them. */
const sentences = (language, ...parts) => parts.filter(Boolean).join(language === "zh" ? "" : " ");

// ---------------------------------------------------------------- numbers

const minus = (text) => String(text).replace(/-/g, "\u2212");
const whole = (n) => n.toLocaleString("en");
const raised = (n) => String(n).replace(/./g, (sign) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(sign)]);

/** Three significant digits at most, powers of ten beyond 0.01 and 10,000. */
function short(x, digits = 2) {
  if (x === 0 || !Number.isFinite(x)) return x === 0 ? "0" : x > 0 ? "∞" : "−∞";
  if (Math.abs(x) >= 0.01 && Math.abs(x) < 9999.5) return minus(Number(x.toPrecision(digits + 1)));
  const [front, exponent] = x.toExponential(digits - 1).split("e");
  return `${minus(front)}\u202f·\u202f10${raised(Number(exponent))}`;
}

/** Random numbers in [0, 1) from a seed, the same in every browser and in Python (mulberry32). */
function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

// ---------------------------------------------------------------- controls

/** One of several: radio buttons side by side. `options` are [value, text, disabled?]. `set` chooses from outside. */
function choice(name, options, value, change) {
  const group = `live-${++names}`;
  const inputs = options.map(([each, , disabled]) =>
    h("input", { type: "radio", name: group, value: each, checked: each === value, disabled, onchange: () => change(each) }));
  const made = h("fieldset", {}, h("legend", {}, name), ...options.map(([, text], i) => h("label", {}, inputs[i], text)));
  made.inputs = inputs;
  made.set = (each) => inputs.forEach((input) => { input.checked = input.value === String(each); });
  return made;
}

/** A number from a range; `shown` writes it. */
function slider(name, range, shown, change) {
  const output = h("output", {}, shown(range.value));
  const input = h("input", { type: "range", "aria-label": name, "aria-valuetext": shown(range.value), ...range });
  const made = h("label", { class: "live-slider" }, h("span", { class: "live-name" }, name), output, input);
  const tell = () => {
    output.textContent = shown(Number(input.value));
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => { tell(); change(Number(input.value)); });
  made.input = input;
  made.set = (value, extra = {}) => { filled(input, extra, []); input.value = value; tell(); };
  return made;
}

function tick(name, checked, change) {
  const input = h("input", { type: "checkbox", checked, onchange: () => change(input.checked) });
  return h("label", { class: "live-tick" }, input, name);
}

const button = (name, onclick, style = false) => h("button", { type: "button", class: style, onclick }, name);

/** Buttons "play" and "step". `advance()` does one step and says whether there is another. Nothing plays by itself, and what
 * changes while it plays is not read aloud. */
function player(say, told, advance, delay) {
  let timer = null;
  const play = button(say("play"), () => (timer ? stop() : begin()), "main");
  const step = button(say("step"), () => { stop(); advance(); });
  function begin() {
    play.textContent = say("pause");
    told.setAttribute("aria-live", "off");
    const next = () => { if (!advance()) stop(); };
    timer = setInterval(next, calm?.matches ? Math.max(delay, 400) : delay);
    next();
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = say("play");
    told.removeAttribute("aria-live");
  }
  return { parts: [play, step], stop };
}

const row = (...parts) => h("div", { class: "live-row" }, ...parts);
/** What the figure says, with room for so many lines on a phone. */
const says = (lines) => h("p", { class: "live-says", role: "status", style: `--lines: ${lines}` });

/** Draw now and whenever the width changes, so that letters keep their size on a phone. */
function fitted(element, draw) {
  let width = 0;
  const fit = () => {
    const now = Math.floor(element.clientWidth);
    if (now && now !== width) draw((width = now));
  };
  fit();
  new ResizeObserver(fit).observe(element);
}

/** Axes: rules and names of both scales. `y` is logarithmic. Returns the drawing, places, and a line through values. */
function logChart(width, height, { x, y, names: [xName, yName], title }) {
  const [left, right, top, bottom] = [46, width - 8, 22, height - 34];
  const px = (value) => left + ((value - x.low) / (x.high - x.low)) * (right - left);
  const clamp = (value) => Math.min(Math.max(value > 0 ? Math.log10(value) : y.low, y.low), y.high);
  const py = (value) => bottom - ((clamp(value) - y.low) / (y.high - y.low)) * (bottom - top);
  const svg = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title });
  const every = [1, 2, 3, 4, 5, 10, 20].find((n) => (y.high - y.low) / n <= 7) ?? 50;
  for (let power = Math.ceil(y.low / every) * every; power <= y.high; power += every) {
    const at = py(10 ** power);
    svg.append(s("line", { class: "rule", x1: left, x2: right, y1: at, y2: at }));
    svg.append(label(left - 6, at + 4, `10${raised(power)}`, { class: "quiet", "text-anchor": "end" }));
  }
  svg.append(s("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }));
  for (const value of x.ticks) svg.append(label(px(value), bottom + 15, value, { class: "quiet", "text-anchor": "middle" }));
  svg.append(label(right, bottom + 30, xName, { class: "quiet", "text-anchor": "end" }), label(0, 11, yName, { class: "quiet" }));
  const path = (points) => points.map(([a, b], i) => `${i ? "L" : "M"}${px(a).toFixed(1)} ${py(b).toFixed(1)}`).join("");
  const line = (style, points) => s("path", { class: `line ${style}`, d: path(points) || false });
  return { svg, px, py, path, line, left, right, top, bottom };
}

// ---------------------------------------------------------------- start

/** Enhance every figure of the page; one that fails keeps its static picture. */
function start() {
  document.head.append(h("style", {}, STYLE));
  for (const figure of document.querySelectorAll("figure.live[data-figure]")) {
    const kind = KINDS[figure.dataset.figure];
    const json = figure.querySelector('script[type="application/json"]');
    if (!kind || !json) continue;
    const language = figure.closest("[lang]")?.lang.startsWith("zh") ? "zh" : "en";
    const body = h("div", { class: "live-body", role: "group", "aria-label": speaker(language)(`${figure.dataset.figure}.title`) });
    const still = [...figure.children].filter((child) => !child.matches("script, figcaption"));
    json.before(body);
    for (const child of still) child.hidden = true;
    try {
      kind(body, JSON.parse(json.textContent), language);
    } catch (error) {
      console.error(error);
      body.remove();
      for (const child of still) child.hidden = false;
    }
  }
}
