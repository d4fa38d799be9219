// A map of ResNet-18: choose a layer to see its shape, parameters, multiply-accumulates, receptive field and source.

/** Side of each layer's input and output, and its multiply-accumulates, for an input of `size` pixels. */
function mapSizes(layers, size) {
  const sides = { "": size };
  return layers.map((layer) => {
    const from = sides[layer.after], to = layer.kind === "head" ? 1 : Math.ceil(from / layer.stride);
    sides[layer.name] = to;
    return { from, to, macs: layer.kind === "pool" ? 0 : layer.weights * to * to };
  });
}

KINDS["resnet18-map"] = (element, data, language) => {
  const say = speaker(language);
  const { layers } = data, state = { size: 224, chosen: 0 };
  const size = slider(say("map.size"), { min: 32, max: 512, step: 16, value: state.size }, (n) => `${n} × ${n}`, (n) => { state.size = n; draw(); });
  const box = h("div"), total = h("p", { class: "map-total" });
  const details = h("div", { class: "map-details", role: "status" });
  element.append(h("style", {}, MAP_STYLE), row(size), total, h("div", { class: "map-parts" }, h("div", {}, h("div", { class: "map-key live-name" },
    h("span", {}, h("i", { class: "blue" }), say("map.parameters")), h("span", {}, h("i", { class: "amber" }), say("map.short"))), box), details));

  const HIGH = 25, y = (i) => 4 + i * HIGH;
  const kindOf = (layer) => (layer.kind === "conv" ? `${layer.kernel} × ${layer.kernel}, ${layer.channels}${layer.stride > 1 ? ", /2" : ""}` : say(`map.${layer.kind}`));
  const share = (value, most, room) => (value ? Math.max(2, (room * value) / most) : 0);

  let width = 0, groups = [];
  function draw() {
    const sizes = mapSizes(layers, state.size), parameters = layers.map((layer) => layer.weights + layer.extra);
    const [left, middle, bars] = [38, width < 420 ? 158 : 166, width < 420 ? 230 : 244], room = width - bars - 4;
    const svg = s("svg", { width, height: y(layers.length) + 4, role: "group", "aria-label": say("resnet18-map.title") });
    groups = layers.map((layer, i) => {
      const indent = layer.shortcut ? 14 : 0;
      const name = say("map.row", { kind: kindOf(layer), channels: layer.channels, side: sizes[i].to });
      return s("g", { role: "button", tabindex: i === state.chosen ? 0 : -1, "aria-pressed": i === state.chosen, "aria-label": name, class: "map-row",
        transform: `translate(0,${y(i)})`, onclick: () => choose(i), onkeydown: (event) => key(event, i) },
        s("rect", { class: "map-hit", x: left - 6, y: 0, width: width - left + 4, height: HIGH, rx: 4 }),
        s("rect", { class: `map-box stage${layer.stage}`, x: left + indent, y: 3, width: middle - left - indent - 10, height: HIGH - 6, rx: 4 }),
        label(left + indent + 7, 17, kindOf(layer)), label(middle, 17, layer.kind === "head" ? "1000" : `${sizes[i].to} × ${sizes[i].to}`, { class: "quiet" }),
        s("rect", { class: "blue", x: bars, y: 6, width: share(parameters[i], Math.max(...parameters), room), height: 6 }),
        s("rect", { class: "amber", x: bars, y: 13, width: share(sizes[i].macs, Math.max(...sizes.map((each) => each.macs)), room), height: 6 }));
    });
    svg.append(...data.arcs.map(([from, to]) => arc(y(from), y(to) + HIGH, left)), ...groups);
    box.replaceChildren(svg);
    total.textContent = say("map.total", { parameters: whole(parameters.reduce((a, b) => a + b)), macs: whole(sizes.reduce((sum, each) => sum + each.macs, 0)) });
    tell(sizes[state.chosen]);
  }

  /** A shortcut: from before a block's first layer to behind its last. */
  function arc(from, to, x) {
    return s("g", {}, s("path", { class: "map-arc", d: `M${x} ${from}C${x - 32} ${from} ${x - 32} ${to} ${x - 8} ${to}` }),
      s("circle", { class: "map-sum", cx: x - 4, cy: to, r: 7 }), s("path", { class: "map-plus", d: `M${x - 8} ${to}h8m-4 -4v8` }));
  }

  function choose(i) {
    groups[state.chosen].setAttribute("tabindex", -1);
    groups[state.chosen].setAttribute("aria-pressed", false);
    state.chosen = i;
    groups[i].setAttribute("tabindex", 0);
    groups[i].setAttribute("aria-pressed", true);
    groups[i].focus({ preventScroll: true });
    tell(mapSizes(layers, state.size)[i]);
  }
  function key(event, i) {
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: layers.length - 1, Enter: i, " ": i }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (layers[to]) choose(to);
  }

  function tell({ from, to, macs }) {
    const layer = layers[state.chosen];
    const line = (name, value) => [h("dt", {}, name), h("dd", {}, value)];
    const shape = layer.kind === "head" ? say("map.head_shape", { side: from }) : `${layer.inputs} × ${from} × ${from} → ${layer.channels} × ${to} × ${to}`;
    const norm = layer.extra && layer.kind === "conv" ? say("map.norm", { n: whole(layer.extra) }) : layer.extra ? say("map.bias", { n: whole(layer.extra) }) : "";
    const product = layer.kind === "conv" ? `${layer.kernel}² · ${layer.inputs} · ${layer.channels} · ${to}²` : `${layer.inputs} · ${layer.channels}`;
    details.replaceChildren(h("strong", {}, layer.name), h("dl", {},
      ...line(say("map.layer"), kindOf(layer) + (layer.kind === "conv" ? say(layer.relu ? "map.then_relu" : layer.shortcut ? "map.then_shortcut" : "map.then_sum") : "")),
      ...line(say("map.shape"), shape),
      ...line(say("map.parameters"), layer.weights ? whole(layer.weights) + norm : "0"),
      ...line(say("map.short"), macs ? `${product} = ${whole(macs)}` : "0"),
      ...line(say("map.receptive"), layer.kind === "head" ? say("map.all") : say(layer.receptive > state.size ? "map.larger" : "map.pixels", { n: layer.receptive }))),
      h("div", { class: "quiet map-file" }, say("map.source", { file: layer.file, owner: layer.owner })), h("pre", {}, h("code", {}, layer.code)));
  }

  fitted(box, (now) => { width = now; draw(); });
};

const MAP_STYLE = `
.map-total { margin: 0 0 8px; font-variant-numeric: tabular-nums; }
.map-parts { display: grid; grid-template-columns: minmax(0, 1.25fr) minmax(0, 1fr); gap: 20px; align-items: start; }
.map-key { display: flex; gap: 16px; } .map-key i { display: inline-block; width: 18px; height: 7px; margin-inline-end: 6px; }
.live-body .map-key i.blue { background: var(--blue); } .live-body .map-key i.amber { background: var(--amber); }
.map-row { cursor: pointer; outline-offset: -2px; } .map-hit { fill: transparent; } .map-row:hover .map-hit { fill: var(--soft); }
.map-row[aria-pressed="true"] .map-hit { fill: var(--soft); stroke: var(--blue); }
.map-box { fill: var(--card); stroke: var(--edge); } .map-row[aria-pressed="true"] .map-box { stroke: var(--blue); stroke-width: 2; }
.map-arc { fill: none; stroke: var(--green); stroke-width: 2; } .map-sum { fill: var(--card); stroke: var(--green); stroke-width: 1.5; } .map-plus { stroke: var(--green); stroke-width: 1.5; }
.map-details { position: sticky; top: 12px; border: 1px solid var(--rule); border-radius: 10px; padding: 12px 14px; min-height: 29em; background: var(--card); }
.map-details dl { display: grid; gap: 0; margin: 6px 0; } .map-details dt { color: var(--quiet); font-size: 13px; } .map-details dd { margin: 0 0 6px; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.map-file { font-size: 13px; overflow-wrap: anywhere; } .map-details pre { margin: 4px 0 0; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12.5px; background: var(--soft); padding: 6px 8px; border-radius: 6px; }
@media (max-width: 640px) { .map-parts { grid-template-columns: minmax(0, 1fr); } .map-details { order: -1; top: 0; min-height: 0; height: 20em; overflow: auto; padding: 8px 12px; font-size: 13.5px; z-index: 3; }
  .map-details dl { grid-template-columns: auto minmax(0, 1fr); gap: 0 10px; margin: 2px 0; } .map-details dd { margin: 0; } .map-details pre { font-size: 11px; } }
`;
