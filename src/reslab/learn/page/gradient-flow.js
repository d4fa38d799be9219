// Measured gradient norms, layer by layer: depth, norm and moment are chosen, the backward pass is played.

KINDS["gradient-flow"] = (element, data, language) => {
  const say = speaker(language);
  const chosen = { depth: 56, norm: true, moment: "start", layer: 1 };
  const values = (kind) =>
    data.series.find((each) => each.kind === kind && ["depth", "norm", "moment"].every((key) => each[key] === chosen[key]))?.values;
  const measured = (change) =>
    data.series.some((each) => Object.entries({ ...chosen, ...change }).every(([key, value]) => key === "layer" || each[key] === value));
  const depths = [...new Set(data.series.map((each) => each.depth))];
  const all = data.series.flatMap((each) => each.values).filter((value) => value > 0);
  const y = { low: Math.floor(Math.log10(Math.min(...all))), high: Math.ceil(Math.log10(Math.max(...all))) + 1 }; // room for the names of the stages

  const depth = choice(say("flow.depth"), depths.map((n) => [n, n]), chosen.depth, (n) => pick({ depth: n }));
  const norm = choice(say("flow.norm"), [[true, say("yes")], [false, say("no")]], true, (on) => pick({ norm: on }));
  const moment = choice(say("flow.moment"), [["start", say("flow.start")], ["end", say("flow.end")]], "start", (when) => pick({ moment: when }));
  const told = says(4);
  const play = player(say, told, advance, 70);
  const layer = slider(say("flow.layer"), { min: 1, max: 55, step: 1, value: 1 }, (n) => n, (n) => { play.stop(); move(n); });
  const chart = h("div");
  element.append(row(depth, norm, moment), chart, row(...play.parts, layer), told);

  const count = () => values("plain").length;

  /** Take what was asked for; where it was not measured, fall back to what was. */
  function pick(change) {
    play.stop();
    Object.assign(chosen, change);
    if (!measured({})) chosen.moment = "start";
    moment.set(chosen.moment);
    moment.inputs[1].disabled = !measured({ moment: "end" });
    layer.set(1, { max: count() });
    chosen.layer = 1;
    draw();
  }

  /** One step of the backward pass: towards the input. */
  function advance() {
    const step = Math.max(1, Math.round(count() / 55));
    move(chosen.layer <= 1 ? count() : Math.max(1, chosen.layer - step));
    layer.set(chosen.layer);
    return chosen.layer > 1;
  }

  let drawn = null, width = 0;
  function draw() {
    const last = count(), blocks = (last - 1) / 3;
    const ticks = [1, ...[10, 20, 40, 80].filter((n) => n < 0.93 * last && n > last / 9), last];
    const title = say("flow.chart", { depth: chosen.depth });
    drawn = logChart(width, 300, { x: { low: 1, high: last, ticks }, y, names: [say("flow.x"), say("flow.y")], title });
    for (let stage = 0; stage < 3; stage++) {
      const from = drawn.px(Math.max(1, 1.5 + stage * blocks)), to = drawn.px(Math.min(last, 1.5 + (stage + 1) * blocks));
      if (stage) drawn.svg.append(s("line", { class: "dashed", x1: from, x2: from, y1: drawn.top, y2: drawn.bottom }));
      drawn.svg.append(label((from + to) / 2, drawn.top + 10, say("flow.channels", { n: 16 * 2 ** stage }), { class: "quiet", "text-anchor": "middle" }));
    }
    drawn.parts = ["plain", "resnet"].map((kind) => {
      const style = kind === "plain" ? "amber" : "blue";
      const points = values(kind).map((value, i) => [i + 1, value]);
      const [pale, bold, dot] = [drawn.line(`${style} pale`, points), drawn.line(style, []), s("circle", { class: style, r: 5 })];
      drawn.svg.append(pale, bold, dot);
      return { points, bold, dot };
    });
    const key = (x, style, name) => drawn.svg.append(
      s("line", { class: `line ${style}`, x1: x, x2: x + 18, y1: 7, y2: 7 }), label(x + 23, 11, name));
    key(drawn.right - (language === "zh" ? 160 : 150), "amber", say("flow.plain"));
    key(drawn.right - 72, "blue", say("flow.residual"));
    chart.replaceChildren(drawn.svg);
    move(chosen.layer);
  }

  /** Show the backward pass at that layer: what it has passed is bold. */
  function move(to) {
    chosen.layer = to;
    for (const { points, bold, dot } of drawn.parts) {
      const [x, value] = points[to - 1];
      bold.setAttribute("d", drawn.path(points.slice(to - 1)));
      dot.setAttribute("cx", drawn.px(x));
      dot.setAttribute("cy", drawn.py(value));
    }
    const [plain, residual] = drawn.parts.map(({ points }) => points.map(([, value]) => value));
    const ratio = (list) => short(list[0] / list.at(-1), 1);
    told.textContent = sentences(language,
      say("flow.says", { layer: to, count: plain.length, plain: short(plain[to - 1]), residual: short(residual[to - 1]) }),
      to === 1 && say("flow.ratio", { plain: ratio(plain), residual: ratio(residual) }));
  }

  layer.set(1, { max: count() });
  moment.inputs[1].disabled = !measured({ moment: "end" });
  fitted(chart, (now) => { width = now; draw(); });
};
