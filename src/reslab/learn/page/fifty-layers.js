// Fifty layers of random weights, computed here: how large the signal is behind each of them.

/** Standard normal numbers from a seed (Box and Muller). */
function normals(seed, count) {
  const next = dice(seed), made = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const [radius, angle] = [next(), next()];
    made[i] = Math.sqrt(-2 * Math.log(1 - radius)) * Math.cos(2 * Math.PI * angle);
  }
  return made;
}

/** The signal at the input and behind each layer: x <- relu(norm(x W)) [+ x], weights of standard deviation gain/sqrt(width). */
function signalThrough({ layers, width, batch, seed }, { gain, norm, relu, shortcut }, weights) {
  let x = normals(seed, batch * width);
  const signals = [x];
  for (let layer = 0; layer < layers; layer++) {
    const z = new Float64Array(batch * width), from = layer * width * width, scale = gain / Math.sqrt(width);
    for (let row = 0; row < batch * width; row += width)
      for (let i = 0; i < width; i++) {
        const factor = x[row + i] * scale;
        if (factor === 0) continue;
        for (let j = 0, at = from + i * width; j < width; j++) z[row + j] += factor * weights[at + j];
      }
    if (norm) normalise(z, batch, width);
    for (let i = 0; i < z.length; i++) {
      if (relu && z[i] < 0) z[i] = 0;
      if (shortcut) z[i] += x[i];
    }
    signals.push((x = z));
  }
  return signals;
}

/** Batch normalisation: every unit to mean 0 and variance 1 over the batch. */
function normalise(z, batch, width) {
  for (let unit = 0; unit < width; unit++) {
    let mean = 0, square = 0;
    for (let at = unit; at < z.length; at += width) mean += z[at] / batch;
    for (let at = unit; at < z.length; at += width) square += (z[at] - mean) ** 2 / batch;
    const factor = 1 / Math.sqrt(square + 1e-5);
    for (let at = unit; at < z.length; at += width) z[at] = (z[at] - mean) * factor;
  }
}

const rootMeanSquare = (x) => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length);

KINDS["fifty-layers"] = (element, data, language) => {
  const say = speaker(language);
  const state = { gain: 1.41, norm: false, relu: true, shortcut: false };
  const weights = normals(data.seed + 1, data.layers * data.width ** 2);
  const shown = [1, 10, 20, 30, 40, 50];
  const [beyond, bins] = [3, 25];

  const gain = slider(say("fifty.gain"), { min: 0.5, max: 2, step: 0.01, value: state.gain }, (g) => (g === 1.41 ? "√2 ≈ 1.41" : g.toFixed(2)), (g) => change({ gain: g }));
  const set = (g) => button(`g = ${g === 1.41 ? "√2" : g}`, () => { gain.set(g); change({ gain: g }); });
  const switches = ["relu", "norm", "shortcut"].map((name) => tick(say(`fifty.${name}`), state[name], (on) => change({ [name]: on })));
  const chart = h("div"), histograms = h("div", { class: "fifty-histograms" }), told = says(4);
  element.append(h("style", {}, FIFTY_STYLE), row(gain), h("div", { class: "live-row middle" }, set(1), set(1.41), ...switches), chart,
    h("div", { class: "live-name" }, say("fifty.histograms", { n: beyond })), histograms, told);

  const exact = () => (state.gain === 1.41 ? Math.SQRT2 : state.gain); // the slider has two decimals
  let width = 0, waiting = false;
  function change(what) {
    Object.assign(state, what);
    if (!waiting) requestAnimationFrame(() => { waiting = false; draw(); });
    waiting = true;
  }

  function draw() {
    const signals = signalThrough(data, { ...state, gain: exact() }, weights);
    const sizes = signals.map(rootMeanSquare);
    const drawn = logChart(width, 230, { x: { low: 0, high: data.layers, ticks: [1, 10, 20, 30, 40, 50] }, y: { low: -12, high: 12 },
      names: [say("fifty.x"), say("fifty.y")], title: say("fifty.chart") });
    drawn.svg.append(drawn.line("blue", sizes.map((size, layer) => [layer, size])));
    for (const layer of shown) drawn.svg.append(s("circle", { class: "blue", r: 4, cx: drawn.px(layer), cy: drawn.py(sizes[layer]) }));
    chart.replaceChildren(drawn.svg);
    histograms.replaceChildren(...shown.map((layer) => histogram(layer, signals[layer])));
    const factor = (sizes.at(-1) / sizes[1]) ** (1 / (data.layers - 1));
    told.textContent = sentences(language, say("fifty.says", { size: short(sizes.at(-1)), factor: short(factor) }), expected());
  }

  /** What the theory expects of one layer. */
  function expected() {
    if (state.norm) return say(state.shortcut ? "fifty.normed_sum" : "fifty.normed");
    if (state.shortcut) return say("fifty.sum");
    return say(state.relu ? "fifty.expected_relu" : "fifty.expected", { factor: short(exact() / (state.relu ? Math.SQRT2 : 1)) });
  }

  /** The values behind one layer, from -3 to 3; what lies beyond is counted in words. */
  function histogram(layer, x) {
    const counts = Array(bins).fill(0);
    let outside = 0;
    for (const value of x) {
      if (Math.abs(value) > beyond) outside++;
      else counts[Math.min(bins - 1, Math.floor(((value + beyond) / (2 * beyond)) * bins))]++;
    }
    const bars = counts.map((count, i) => {
      const high = 44 * Math.min(1, Math.sqrt(count / x.length));
      return s("rect", { class: "blue", x: i * 4, y: 46 - high, width: 3.4, height: high });
    });
    const title = say("fifty.layer", { layer }), share = (100 * outside) / x.length;
    const svg = s("svg", { viewBox: "0 0 100 48", role: "img", "aria-label": title }, ...bars, s("line", { class: "axis", x1: 0, x2: 100, y1: 47, y2: 47 }));
    return h("div", {}, h("div", { class: "live-name" }, title), svg,
      h("div", { class: "quiet fifty-beyond" }, outside ? say("fifty.outside", { share: share < 1 ? "< 1" : Math.round(share) }) : "\u00a0"));
  }

  fitted(chart, (now) => { width = now; draw(); });
};

const FIFTY_STYLE = `
.fifty-histograms { display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); gap: 8px 14px; margin-top: 4px; }
.fifty-histograms svg { width: 100%; aspect-ratio: 100 / 48; }
.fifty-beyond { font-size: 12px; }
@media (max-width: 640px) { .fifty-histograms { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
`;
