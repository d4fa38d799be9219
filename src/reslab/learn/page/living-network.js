// A residual network of 9,634 parameters that runs in the page: draw a digit, see every map, switch residual branches off.

/** A convolution of 3 x 3 with padding 1 on maps [channels][side * side]; the norm is folded into weights and bias. */
function convolve({ shape: [outputs, inputs], stride, weight, bias }, maps, side) {
  const half = Math.ceil(side / stride);
  return Array.from({ length: outputs }, (_, o) => {
    const made = new Float64Array(half * half).fill(bias[o]);
    for (let i = 0; i < inputs; i++)
      for (let tap = 0; tap < 9; tap++) {
        const w = weight[(o * inputs + i) * 9 + tap], [dr, dc] = [Math.floor(tap / 3) - 1, (tap % 3) - 1];
        for (let r = 0; r < half; r++)
          for (let c = 0; c < half; c++) {
            const [y, x] = [r * stride + dr, c * stride + dc];
            if (y >= 0 && x >= 0 && y < side && x < side) made[r * half + c] += w * maps[i][y * side + x];
          }
      }
    return made;
  });
}

const relu = (maps) => maps.map((map) => map.map((value) => Math.max(0, value)));

/** Every `stride`-th pixel, with channels of zeros before and behind: shortcut A. */
function shortcutOf(maps, side, stride, channels) {
  const half = Math.ceil(side / stride), before = (channels - maps.length) / 2;
  return Array.from({ length: channels }, (_, channel) => {
    const map = maps[channel - before];
    return Float64Array.from({ length: half * half }, (_, i) => (map ? map[Math.floor(i / half) * stride * side + (i % half) * stride] : 0));
  });
}

/** Logits and all maps for a picture of 64 values in [0, 1]; `off[b]` leaves out the residual branch of block b. */
function residualForward({ layers, head }, picture, off = []) {
  let [maps, side] = [relu(convolve(layers[0], [picture], 8)), 8];
  const stem = { maps, side }, blocks = [];
  for (let b = 0; b < (layers.length - 1) / 2; b++) {
    const [one, two] = [layers[1 + 2 * b], layers[2 + 2 * b]];
    const first = relu(convolve(one, maps, side));
    const x = shortcutOf(maps, side, one.stride, two.shape[0]);
    side = Math.ceil(side / one.stride);
    const residual = convolve(two, first, side);
    maps = relu(x.map((map, channel) => (off[b] ? map : map.map((value, i) => value + residual[channel][i]))));
    blocks.push({ first, x, residual, maps, side });
  }
  const evidence = head.weight.map((row) => Array.from({ length: side * side }, (_, i) => row.reduce((sum, w, c) => sum + w * maps[c][i], 0)));
  const logits = evidence.map((map, k) => map.reduce((sum, value) => sum + value, 0) / map.length + head.bias[k]);
  return { stem, blocks, evidence, logits };
}

function softmax(logits) {
  const most = Math.max(...logits), powers = logits.map((z) => Math.exp(z - most)), sum = powers.reduce((a, b) => a + b);
  return powers.map((p) => p / sum);
}

const PEN = 2.2; // half the width of a stroke on the grid of 32 x 32

/** Strokes as the data set was made: scaled and centred on 32 x 32, then ink counted in squares of 4 x 4, from 0 to 16. */
function inkOf(strokes) {
  const points = strokes.flat();
  if (!points.length) return Array(64).fill(0);
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  const ends = (list) => [Math.min(...list), Math.max(...list)];
  const [[left, right], [top, bottom]] = [ends(xs), ends(ys)];
  const scale = Math.min(4, (32 - 2 * PEN) / Math.max(right - left, bottom - top, 1e-9));
  const moved = strokes.map((stroke) => stroke.map(([x, y]) => [16 + scale * (x - (left + right) / 2), 16 + scale * (y - (top + bottom) / 2)]));
  const ink = Array(64).fill(0);
  for (let i = 0; i < 1024; i++) {
    const [x, y] = [(i % 32) + 0.5, Math.floor(i / 32) + 0.5];
    if (moved.some((stroke) => near(stroke, x, y))) ink[Math.floor(y / 4) * 8 + Math.floor(x / 4)]++;
  }
  return ink;
}

/** Whether a point lies within the pen's width of a stroke. */
function near(stroke, x, y) {
  for (let i = 0; i < stroke.length; i++) {
    const [[ax, ay], [bx, by]] = [stroke[Math.max(0, i - 1)], stroke[i]];
    const length = (bx - ax) ** 2 + (by - ay) ** 2;
    const t = length ? Math.min(1, Math.max(0, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length)) : 0;
    if ((ax + t * (bx - ax) - x) ** 2 + (ay + t * (by - ay) - y) ** 2 <= PEN ** 2) return true;
  }
  return false;
}

KINDS["living-network"] = (element, data, language) => {
  const say = speaker(language);
  const state = { ink: data.digits[3], off: [false, false, false], label: null };
  const pad = drawingPad(say, (strokes) => show({ ink: inkOf(strokes), label: null }));
  const example = (digit) => {
    pad.clear(data.digits[digit]);
    show({ ink: data.digits[digit], label: null });
  };
  const examples = h("div", { class: "net-examples", role: "group", "aria-label": say("net.examples") },
    ...data.digits.map((_, digit) => button(String(digit), () => example(digit))));
  const seen = h("div"), sum = h("p", { class: "net-sum" }), told = says(2);
  const bars = data.digits.map((_, digit) => {
    const input = h("input", { type: "radio", name: `live-${names}-label`, "aria-label": say("net.class", { digit }), onchange: () => show({ label: digit }) });
    const bar = h("span", { class: "net-bar" }), share = h("span", { class: "net-share" });
    return { input, bar, share, line: h("label", { class: "net-class" }, input, h("span", {}, String(digit)), h("span", { class: "net-track" }, bar), share) };
  });
  names++;
  const strips = h("div", { class: "net-strips" });
  const column = (name, ...content) => h("div", {}, h("div", { class: "live-name" }, name), ...content);
  element.append(h("style", {}, NET_STYLE),
    h("div", { class: "net-top" },
      column(say("net.draw"), pad.svg, h("div", { class: "net-under" }, button(say("net.clear"), () => { pad.clear(); show({ ink: Array(64).fill(0), label: null }); }))),
      column(say("net.seen"), seen, sum),
      h("div", { role: "radiogroup", "aria-label": say("net.classes") }, h("div", { class: "live-name" }, say("net.classes")), ...bars.map((bar) => bar.line))),
    row(column(say("net.examples"), examples), column(say("net.switches"), h("div", { class: "net-switches" }, ...state.off.map((_, b) =>
      tick(say("net.switch", { block: b + 1 }), true, (on) => show({ off: state.off.map((was, i) => (i === b ? !on : was)) })))))),
    told, strips);

  const rows = [strip(say("net.stem")), ...data.layers.slice(1).filter((_, i) => i % 2).map((_, b) => block(b))];
  strips.append(...rows.map((each) => each.line));

  /** A row of maps on a canvas, a pixel for each value. */
  function strip(name) {
    const canvas = h("canvas", { role: "img" });
    return { canvas, line: h("div", { class: "net-strip" }, h("span", { class: "live-name" }, name), canvas) };
  }
  function block(b) {
    const parts = ["first", "residual", "x", "maps"].map((key) => ({ key, ...strip(say(`net.${key}`)) }));
    const name = h("div");
    return { parts, name, line: h("div", { class: "net-block" }, name, ...parts.map((part) => part.line)) };
  }

  function paint({ canvas }, maps, side, name) {
    const columns = maps.length, style = getComputedStyle(element);
    filled(canvas, { width: columns * (side + 1) - 1, height: side, "aria-label": `${name}: ${say("net.strip", { n: columns, side })}` }, []);
    canvas.style.aspectRatio = `${columns * (side + 1) - 1} / ${side}`;
    canvas.style.maxWidth = `${columns * (side + 1) * Math.max(4, Math.floor(40 / side))}px`;
    const pen = canvas.getContext("2d"), most = Math.max(...maps.map((map) => Math.max(...map.map(Math.abs)))) || 1;
    const [blue, amber, soft] = ["--blue", "--amber", "--soft"].map((key) => style.getPropertyValue(key));
    maps.forEach((map, m) => map.forEach((value, i) => {
      const [x, y] = [m * (side + 1) + (i % side), Math.floor(i / side)];
      pen.globalAlpha = 1;
      pen.fillStyle = soft;
      pen.fillRect(x, y, 1, 1);
      pen.globalAlpha = Math.abs(value) / most;
      pen.fillStyle = value < 0 ? amber : blue;
      pen.fillRect(x, y, 1, 1);
    }));
  }

  const winner = (logits) => logits.indexOf(Math.max(...logits));
  const percent = (p) => (p > 0.9995 ? "> 99.9 %" : p < 0.001 ? "< 0.1 %" : `${(100 * p).toFixed(1)} %`);

  function show(change) {
    Object.assign(state, change);
    const picture = state.ink.map((level) => Math.round((level * 255) / 16) / 255);
    const found = residualForward(data, picture, state.off), p = softmax(found.logits), answer = winner(found.logits);
    const empty = state.ink.every((level) => level === 0), label_ = state.label ?? answer;
    bars.forEach(({ input, bar, share, line }, digit) => {
      input.checked = digit === label_;
      bar.style.width = `${100 * p[digit]}%`;
      share.textContent = percent(p[digit]);
      line.classList.toggle("won", digit === answer);
    });
    seen.replaceChildren(evidence(found.evidence[label_]));
    const terms = found.evidence[label_].map((value) => value.toFixed(1)).join(" + ").replaceAll("+ -", "− ");
    sum.textContent = minus(`(${terms}) / 4 ${data.head.bias[label_] < 0 ? "−" : "+"} ${Math.abs(data.head.bias[label_]).toFixed(2)} = ${found.logits[label_].toFixed(2)}`);
    paint(rows[0], found.stem.maps, found.stem.side, say("net.stem"));
    const norm = (maps) => Math.sqrt(maps.reduce((total, map) => total + map.reduce((a, v) => a + v * v, 0), 0));
    found.blocks.forEach((each, b) => {
      for (const part of rows[b + 1].parts) paint(part, each[part.key], each.side, say(`net.${part.key}`));
      rows[b + 1].parts[1].line.classList.toggle("off", state.off[b]);
      rows[b + 1].name.textContent = say("net.block", { block: b + 1, ratio: short(norm(each.residual) / norm(each.x) || 0) });
    });
    const whole_ = softmax(residualForward(data, picture).logits), before = winner(whole_);
    told.textContent = empty ? say("net.empty")
      : sentences(language, say("net.answer", { digit: answer, share: percent(p[answer]) }),
        state.off.some(Boolean) && say("net.whole", { digit: before, share: percent(whole_[before]) }));
  }

  /** The digit as the network sees it, and over it what each quarter adds to the logit. */
  function evidence(map) {
    const most = Math.max(...map.map(Math.abs), 1e-9), half = Math.sqrt(map.length), cell = 8 / half;
    const pixels = state.ink.map((level, i) => s("rect", { x: i % 8, y: Math.floor(i / 8), width: 1.02, height: 1.02, class: "net-ink", "fill-opacity": level / 16 }));
    const quarters = map.flatMap((value, i) => {
      const [x, y] = [(i % half) * cell, Math.floor(i / half) * cell];
      return [s("rect", { x, y, width: cell, height: cell, class: value < 0 ? "amber" : "blue", "fill-opacity": (0.5 * Math.abs(value)) / most }),
        s("text", { x: x + cell / 2, y: y + cell / 2 + 0.3, class: "net-number" }, minus(value.toFixed(1)))];
    });
    return s("svg", { viewBox: "0 0 8 8", role: "img", "aria-label": say("net.evidence"), class: "net-square" }, ...pixels, ...quarters);
  }

  globalThis.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => show({})); // the colours of the canvases
  new MutationObserver(() => show({})).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  example(3);
};

/** A pad of 32 x 32 for mouse, finger and keys; calls back with all strokes. */
function drawingPad(say, change) {
  let strokes = [], down = false, cursor = [16, 16];
  const given = s("g", { class: "net-given" }), hint = label(16, 17.5, say("net.hint"), { class: "quiet net-hint" });
  const lines = s("path", { class: "net-stroke", "stroke-width": 2 * PEN }), at = s("circle", { class: "net-cursor", r: PEN, cx: 16, cy: 16 });
  const svg = s("svg", { viewBox: "0 0 32 32", class: "net-square net-pad", tabindex: 0, role: "application", "aria-label": say("net.pad") }, given, hint, lines, at);
  const told = () => {
    given.replaceChildren();
    hint.style.display = strokes.length ? "none" : "";
    lines.setAttribute("d", strokes.map((stroke) => `M${stroke.map((p) => p.join(" ")).join("L")}${stroke.length === 1 ? "h0.01" : ""}`).join(""));
    change(strokes);
  };
  const place = (event) => {
    const box = svg.getBoundingClientRect();
    return [(32 * (event.clientX - box.x)) / box.width, (32 * (event.clientY - box.y)) / box.height].map((v) => Math.round(10 * v) / 10);
  };
  svg.addEventListener("pointerdown", (event) => {
    svg.setPointerCapture(event.pointerId);
    event.preventDefault();
    svg.focus({ preventScroll: true });
    strokes.push([place(event)]);
    told();
  });
  svg.addEventListener("pointermove", (event) => {
    if (!svg.hasPointerCapture(event.pointerId) || !strokes.length) return;
    strokes.at(-1).push(place(event));
    told();
  });
  const steps = { ArrowLeft: [-2, 0], ArrowRight: [2, 0], ArrowUp: [0, -2], ArrowDown: [0, 2] };
  svg.addEventListener("keydown", (event) => {
    const step = steps[event.key];
    if (step) cursor = cursor.map((v, i) => Math.min(30, Math.max(2, v + step[i])));
    else if (event.key === " ") down = !down;
    else if (event.key === "Delete" || event.key === "Backspace") strokes = [];
    else return;
    event.preventDefault();
    if (event.key === " " && down) strokes.push([cursor]);
    else if (step && down) (strokes.length ? strokes : (strokes = [[]])).at(-1).push(cursor);
    if (event.key !== " " && !step) down = false;
    filled(at, { cx: cursor[0], cy: cursor[1] }, []);
    at.classList.toggle("down", down);
    if (!step || down) told();
  });
  /** Without strokes; a digit that was not drawn is shown pale. */
  function clear(levels = []) {
    [strokes, down] = [[], false];
    at.classList.remove("down");
    lines.removeAttribute("d");
    hint.style.display = levels.length ? "none" : "";
    given.replaceChildren(...levels.map((level, i) => s("rect", { x: 4 * (i % 8), y: 4 * Math.floor(i / 8), width: 4.05, height: 4.05, class: "net-ink", "fill-opacity": (0.3 * level) / 16 })));
  }
  return { svg, clear };
}

const NET_STYLE = `
.net-top { display: grid; grid-template-columns: minmax(0, 190px) minmax(0, 190px) minmax(0, 1fr); gap: 12px 22px; align-items: start; }
.net-square { width: 100%; aspect-ratio: 1; border: 1px solid var(--edge); border-radius: 6px; }
.net-pad { touch-action: none !important; cursor: crosshair; background: var(--soft); }
.net-stroke { fill: none; stroke: var(--ink); stroke-linecap: round; stroke-linejoin: round; }
.net-cursor { fill: none; stroke: var(--blue); stroke-width: 0.5; visibility: hidden; } .net-pad:focus-visible .net-cursor { visibility: visible; } .net-cursor.down { fill: var(--blue); }
.net-ink { fill: var(--ink); } .live-body .net-hint { font-size: 3px; text-anchor: middle; } .net-switches { display: flex; flex-wrap: wrap; gap: 2px 16px; margin-top: 6px; }
.live-body .net-number { font-size: 1px; text-anchor: middle; paint-order: stroke; stroke: var(--card); stroke-width: 0.22px; }
.net-sum { margin: 6px 0 0; font-size: 12px; color: var(--quiet); font-variant-numeric: tabular-nums; min-height: 4.5em; }
.net-under, .net-examples { display: flex; flex-wrap: wrap; gap: 6px; margin-top: 6px; }
.live-body .net-examples button { padding: 3px 0; width: 31px; }
.net-class { display: grid; grid-template-columns: 18px 1ch 1fr 4.6em; gap: 8px; align-items: center; min-height: 21px; font-size: 14px; cursor: pointer; border-radius: 4px; }
.net-class input { margin: 0; accent-color: var(--blue); }
.net-track { height: 10px; background: var(--soft); border-radius: 3px; overflow: hidden; } .net-bar { display: block; height: 100%; background: var(--quiet); }
.net-class.won { font-weight: 650; } .won .net-bar { background: var(--blue); }
.net-share { text-align: end; font-variant-numeric: tabular-nums; font-size: 13px; }
.net-block { border-top: 1px solid var(--rule); margin-top: 8px; padding-top: 6px; }
.net-strip { display: grid; grid-template-columns: 9.5em minmax(0, 1fr); gap: 10px; align-items: center; margin: 3px 0; }
.net-strip canvas { width: 100%; image-rendering: pixelated; display: block; } .net-strip.off canvas { opacity: 0.25; }
@media (max-width: 640px) {
  .net-top { grid-template-columns: 1fr 1fr; gap: 12px; } .net-top > :last-child { grid-column: 1 / -1; }
  .net-strip { grid-template-columns: 1fr; gap: 2px; }
}
`;
