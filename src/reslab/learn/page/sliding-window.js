// A convolution by hand: a filter at one place of a padded digit, its products, their sum, and the output so far.

KINDS["sliding-window"] = (element, data, language) => {
  const say = speaker(language);
  const side = 8;
  const state = { k: 3, s: 1, p: 1, at: 29, filter: data.filters.vertical.slice() };
  const told = says(5);
  const play = player(say, told, advance, 350);
  const kernel = choice("k", [1, 2, 3, 4, 5].map((n) => [n, n]), state.k, (k) => set({ k, filter: Array.from({ length: k * k }, (_, i) => Number(i === Math.floor((k * k) / 2))) }));
  const stride = choice("s", [1, 2, 3].map((n) => [n, n]), state.s, (n) => set({ s: n }));
  const padding = choice("p", [0, 1, 2].map((n) => [n, n]), state.p, (p) => set({ p }));
  const presets = h("select", { "aria-label": say("window.preset"), onchange: () => {
    if (!presets.value) return;
    kernel.set(3);
    set({ k: 3, filter: data.filters[presets.value].slice() });
  } }, h("option", { value: "" }, say("window.preset")), ...Object.keys(data.filters).map((name) => h("option", { value: name }, say(`window.${name}`))));
  const cells = h("div", { class: "window-cells", role: "group", "aria-label": say("window.filter") });
  const input = h("div"), output = h("div"), formula = h("p", { class: "window-formula" });
  const part = (name, ...content) => h("div", { class: "window-part" }, h("div", { class: "live-name" }, name), ...content);
  element.append(
    h("style", {}, WINDOW_STYLE), row(kernel, stride, padding, presets), formula,
    h("div", { class: "window-parts" }, part(say("window.input"), input), part(say("window.filter"), cells), part(say("window.output"), output)),
    row(...play.parts, h("span", { class: "quiet" }, say("window.keys"))), told);

  const size = () => Math.floor((side + 2 * state.p - state.k) / state.s) + 1;
  const pixel = (r, c) => (r < 0 || c < 0 || r >= side || c >= side ? 0 : data.digit[r * side + c]);
  const place = (at) => [Math.floor(at / size()) * state.s - state.p, (at % size()) * state.s - state.p];
  function products(at) {
    const [r, c] = place(at);
    return state.filter.map((weight, i) => [pixel(r + Math.floor(i / state.k), c + (i % state.k)), weight]);
  }
  const sum = (at) => products(at).reduce((total, [x, w]) => total + x * w, 0);

  function set(change) {
    play.stop();
    Object.assign(state, change, { at: 0 });
    build();
  }
  function advance() {
    go(state.at + 1 < size() ** 2 ? state.at + 1 : 0);
    return state.at + 1 < size() ** 2;
  }

  let drawn = null;
  /** Grids of input and output, and the cells of the filter. */
  function build() {
    const n = size();
    cells.style.gridTemplateColumns = `repeat(${state.k}, 1fr)`;
    cells.replaceChildren(...state.filter.map((weight, i) => h("div", { class: "window-cell" },
      h("input", { type: "number", step: "any", value: weight, "aria-label": say("window.weight", { row: Math.floor(i / state.k) + 1, column: (i % state.k) + 1 }),
        oninput: (event) => { state.filter[i] = Number(event.target.value) || 0; go(state.at); } }), h("span", { class: "quiet" }))));
    const total = side + 2 * state.p;
    const window_ = s("rect", { class: "window-frame", width: state.k, height: state.k });
    const pixels = [];
    for (let r = -state.p; r < side + state.p; r++)
      for (let c = -state.p; c < side + state.p; c++) pixels.push(square(c + state.p, r + state.p, pixel(r, c), 16, r < 0 || c < 0 || r >= side || c >= side));
    input.replaceChildren(grid(total, say("window.input"), ...pixels.flat(), window_));
    const outs = Array.from({ length: n * n }, (_, i) => square(i % n, Math.floor(i / n), 0, 1));
    const mark = s("rect", { class: "window-frame", width: 1, height: 1 });
    const svg = grid(n, say("window.output"), ...outs.flat(), mark);
    filled(svg, { tabindex: 0, onkeydown: key, onpointerdown: point, onpointermove: (event) => event.buttons && point(event) }, []);
    output.replaceChildren(svg);
    drawn = { window_, mark, outs, svg };
    go(state.at);
  }

  /** Put the window there. */
  function go(at) {
    state.at = at;
    const n = size(), [r, c] = place(at), results = Array.from({ length: n * n }, (_, i) => sum(i));
    const greatest = Math.max(...results.map(Math.abs)) || 1;
    filled(drawn.window_, { x: c + state.p, y: r + state.p }, []);
    filled(drawn.mark, { x: at % n, y: Math.floor(at / n) }, []);
    results.forEach((value, i) => paint(drawn.outs[i], i <= at ? value : null, greatest));
    const found = products(at);
    found.forEach(([x, w], i) => { cells.children[i].lastChild.textContent = (state.k > 3 ? "" : `· ${x} = `) + minus(round(x * w)); });
    formula.textContent = say("window.size", { p: state.p, k: state.k, s: state.s, n });
    const terms = found.length > 9 ? say("window.many", { n: found.length }) : found.map(([x, w]) => (w < 0 ? `(${minus(round(w))})` : round(w)) + `·${x}`).join(" + ");
    told.textContent = say("window.says", { row: Math.floor(at / n) + 1, column: (at % n) + 1, sum: minus(round(sum(at))), terms });
  }
  const round = (value) => Number(value.toFixed(2));

  function key(event) {
    const n = size(), move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -n, ArrowDown: n, Home: -state.at, End: n * n - 1 - state.at }[event.key];
    if (move === undefined) return;
    event.preventDefault();
    play.stop();
    if (state.at + move >= 0 && state.at + move < n * n) go(state.at + move);
  }
  function point(event) {
    const box = drawn.svg.getBoundingClientRect(), n = size();
    const [c, r] = [(event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height].map((share) => Math.min(n - 1, Math.max(0, Math.floor(share * n))));
    play.stop();
    go(r * n + c);
  }

  const grid = (n, title, ...parts) => s("svg", { viewBox: `-0.05 -0.05 ${n + 0.1} ${n + 0.1}`, role: "img", "aria-label": title, class: "window-grid" }, ...parts);
  /** A cell with its number; `edge` cells are padding. */
  function square(x, y, value, most, edge = false) {
    const parts = [s("rect", { x, y, width: 1, height: 1, class: edge ? "window-edge" : "window-square" }), label(x + 0.5, y + 0.64, "", edge ? { class: "quiet" } : {})];
    paint(parts, value, most);
    return parts;
  }
  function paint([rect, text], value, most) {
    const share = value === null ? 0 : Math.abs(value) / most;
    rect.style.fill = value === null || share === 0 ? "none" : value < 0 ? "var(--amber)" : "var(--blue)";
    rect.style.fillOpacity = 0.08 + 0.82 * share;
    text.textContent = value === null ? "" : minus(round(value));
    text.style.fontSize = `${Math.min(0.46, 1.1 / text.textContent.length)}px`;
    text.style.fill = share > 0.5 ? "var(--card)" : "";
  }
  build();
};

const WINDOW_STYLE = `
.window-parts { display: grid; grid-template-columns: minmax(0, 1.1fr) minmax(0, 1fr) minmax(0, 1.1fr); gap: 10px 18px; align-items: start; margin: 8px 0 12px; }
.window-grid { width: 100%; aspect-ratio: 1; }
.window-grid text { text-anchor: middle; }
.window-square, .window-edge { stroke: var(--rule); stroke-width: 0.04; } .window-edge { stroke-dasharray: 0.12 0.12; stroke: var(--edge); }
.window-frame { fill: none; stroke: var(--green); stroke-width: 0.14; }
.window-cells { display: grid; gap: 6px; }
.window-cell { display: grid; justify-items: center; font-size: 12px; }
.window-cell input { width: 100%; min-width: 0; font: inherit; font-size: 16px; text-align: center; color: var(--ink); background: var(--card);
  border: 1px solid var(--edge); border-radius: 6px; padding: 2px 0; appearance: textfield; -moz-appearance: textfield; }
.window-cell input::-webkit-inner-spin-button { appearance: none; margin: 0; }
.window-cell span { white-space: nowrap; font-variant-numeric: tabular-nums; }
.window-formula { margin: 0; font-variant-numeric: tabular-nums; }
.live-body select { font: inherit; font-size: 14px; min-height: 34px; color: var(--ink); background: var(--card); border: 1px solid var(--edge); border-radius: 8px; padding: 0 8px; max-width: 100%; }
@media (max-width: 640px) { .window-parts { grid-template-columns: 1fr 1fr; } .window-part:nth-child(2) { grid-column: 1 / -1; grid-row: 2; } }
`;
