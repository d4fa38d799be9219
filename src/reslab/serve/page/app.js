// The page of `reslab serve`: pictures in, answers out. It talks to its own server only, and stores nothing but the
// choice of language and theme (and, until the tab is closed, the token).

import { RELIABLE, consequences, doubtsOf, thresholdsFor } from "./thresholds.js";
import { WORDS, REASONS } from "./words.js";

const MAX_REQUESTS = 2; // at a time
const GROUP = 8, GROUP_BYTES = 4e6; // pictures of a request, and their bytes: a large photograph is sent alone
const TRIES = 6; // before a busy server is an error
const SHOWN_CLASSES = 12; // named in a sentence; the model card has them all
const COVERAGES = [0.9, 0.95, 0.99]; // the order of the quantiles in a model file
const DOUBTS = { wrong: "may be wrong", strange: "not from here" }; // in the CSV, as `reslab predict --csv` writes them

const state = {
  model: null,
  modelError: null,
  pictures: [],
  chosen: null,
  thresholds: null, // those chosen on this page; null: the model's own
  maps: new Map(), // label -> heat map, of the chosen picture only
  ended: new AbortController(), // aborted when the list is cleared
  running: 0,
};

const root = document.documentElement;
const touch = matchMedia("(pointer: coarse)").matches; // a phone or a tablet: it has a camera and cannot drop files
const $ = (id) => document.getElementById(id);

// ---------------------------------------------------------------- words and numbers

/** A phrase in the language of the page, with its {placeholders} filled in. */
function say(key, values = {}) {
  const phrase = WORDS[key][root.lang === "en" ? 0 : 1];
  return phrase.replace(/\{(\w+)\}/g, (_, name) => values[name]).replaceAll(" %", "\u00a0%");
}

const whole = (n) => n.toLocaleString("en");
const bytes = (n) => `${Number((n / 1e6).toFixed(1))} MB`;
const signed = (x) => (x < 0 ? "\u2212" : "+") + Math.abs(x).toPrecision(3);
const splitName = (split) => (WORDS[`split.${split}`] ? say(`split.${split}`) : split);

function percent(p) {
  if (p > 0 && p < 0.001) return "<\u00a00.1\u00a0%";
  if (p < 1 && p > 0.999) return ">\u00a099.9\u00a0%";
  return `${(100 * p).toFixed(1)}\u00a0%`;
}

/** One sentence about what went wrong, from the details of a `Trouble` or a row of the server. */
function why({ key, values, status, sentence }) {
  if (key) return say(key, values);
  const reason = reasonIn(sentence);
  if (reason) return say("error.unreadable", { reason: root.lang === "en" ? reason.english : reason.chinese });
  if (root.lang === "en" && sentence) return sentence;
  const known = WORDS[`status.${status}`] ? say(`status.${status}`) : say("error.status", { status });
  return sentence ? `${known}（${sentence}）` : known;
}

/** The decoder's reason within a sentence of the server, in both languages. */
function reasonIn(sentence = "") {
  for (const [pattern, chinese] of REASONS) {
    const found = sentence.match(pattern);
    if (found) return { english: found[0], chinese: found[0].replace(pattern, chinese) };
  }
  return null;
}

/** An element with its properties (or attributes) and children; text stays text, so no name can become markup. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

function announce(text) {
  $("live").textContent = text;
}

// ---------------------------------------------------------------- stored settings

function recall(store, key) {
  try {
    return window[store].getItem(`reslab.${key}`);
  } catch {
    return null; // storage may be disabled
  }
}

function remember(store, key, value) {
  try {
    window[store].setItem(`reslab.${key}`, value);
  } catch {
    // then it lasts until the page is closed
  }
}

// ---------------------------------------------------------------- talking to the server

/** What went wrong with a request: a phrase of the page, or a status and the server's own sentence. */
class Trouble extends Error {
  constructor(details) {
    super(details.sentence ?? details.key);
    this.details = details;
  }
}

let token = recall("sessionStorage", "token");
let asking = null; // the promise of the open token form, shared by all requests that wait for it

/** Send a request and return its JSON; retries while the server is busy, and asks the user for a token. */
async function ask(path, options, busy = () => {}) {
  for (let tries = 1; ; ) {
    const used = token;
    const response = await request(path, used, options);
    if (response.status === 401) {
      if (used === token) await (asking ??= askForToken(used !== null).finally(() => (asking = null)));
      continue;
    }
    if (response.ok) return response.json();
    if ((response.status === 503 || response.status === 429) && tries++ < TRIES) {
      const seconds = Math.min(60, Number(response.headers.get("Retry-After")) || 1);
      busy(seconds);
      await pause(seconds, options?.signal);
      continue;
    }
    const { error } = await response.json().catch(() => ({}));
    throw new Trouble({ status: response.status, sentence: error });
  }
}

async function request(path, bearer, options = {}) {
  const headers = { Accept: "application/json", ...(bearer ? { Authorization: `Bearer ${bearer}` } : {}) };
  try {
    return await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble({ key: "error.unreachable" });
  }
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });
}

function askForToken(again) {
  const dialog = $("token");
  $("token-why").textContent = say(again ? "token.wrong" : "token.why");
  $("token-text").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue !== "given") return reject(new Trouble({ key: "error.token" }));
      token = $("token-text").value.trim();
      remember("sessionStorage", "token", token);
      resolve();
    }, { once: true });
  });
}

function form(pictures) {
  const body = new FormData();
  for (const { file, name } of pictures) body.append("file", file, name);
  return body;
}

// ---------------------------------------------------------------- the queue

/** Add files: each becomes a row at once and is sent in its turn. */
function add(files) {
  $("note").hidden = files.length > 0;
  if (!files.length) {
    $("note").textContent = say("note.nothing");
    return;
  }
  for (const { file, name } of files) {
    const picture = { file, name, url: URL.createObjectURL(file), stage: "waiting", row: null, trouble: null, seconds: 0 };
    picture.line = element("tr", { role: "row" });
    picture.line.addEventListener("click", () => choose(picture));
    state.pictures.push(picture);
    $("rows").append(picture.line);
  }
  announce(say("live.added", { n: files.length }));
  const first = state.pictures.length - files.length;
  choose(state.pictures[first]);
  for (const picture of state.pictures.slice(first)) drawRow(picture);
  startWorkers();
}

function startWorkers() {
  while (state.running < MAX_REQUESTS && state.pictures.some((picture) => picture.stage === "waiting")) {
    state.running += 1;
    const { signal } = state.ended;
    worker(signal).finally(() => {
      if (signal === state.ended.signal) state.running -= 1;
    });
  }
  drawBatch();
}

async function worker(signal) {
  for (let group = nextGroup(); group.length && !signal.aborted; group = nextGroup()) {
    try {
      await answer(group, signal);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  }
}

function nextGroup() {
  const group = [];
  let size = 0;
  for (const picture of state.pictures) {
    if (picture.stage !== "waiting") continue;
    size += picture.file.size;
    if (group.length && size > GROUP_BYTES) break;
    setStage(picture, "asking");
    group.push(picture);
    if (group.length === Math.min(GROUP, state.model?.limits?.files ?? GROUP)) break;
  }
  return group;
}

/** Send a few pictures at once; where the server refuses them together, each alone, to get its reason. */
async function answer(group, signal) {
  const limit = state.model?.limits?.bytes;
  for (const picture of group.filter(({ file }) => limit && file.size > limit)) {
    fail(picture, { key: "error.large", values: { bytes: bytes(picture.file.size), limit: bytes(limit) } });
  }
  const sent = group.filter((picture) => picture.stage === "asking");
  if (!sent.length) return;
  const busy = (seconds) => sent.forEach((picture) => setStage(picture, "busy", { seconds }));
  try {
    const { predictions } = await ask("predict", { method: "POST", body: form(sent), signal }, busy);
    sent.forEach((picture, i) => finish(picture, predictions[i]));
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    const alone = sent.length === 1 || error.details.key === "error.token";
    if (alone) for (const picture of sent) fail(picture, await checkFile(picture, error.details));
    else for (const picture of sent) await answer([picture], signal);
  }
}

/** A request also fails when its file was changed or removed after it was chosen: then report that. */
async function checkFile(picture, details) {
  if (details.key !== "error.unreachable") return details;
  return picture.file.slice(0, 1).arrayBuffer().then(() => details, () => ({ key: "error.gone" }));
}

function finish(picture, row) {
  if (row.error === null) setStage(picture, "done", { row });
  else fail(picture, { sentence: row.error, status: 422 });
}

function fail(picture, trouble) {
  setStage(picture, "failed", { trouble });
}

function setStage(picture, stage, facts = {}) {
  Object.assign(picture, { stage, ...facts });
  drawRow(picture);
  drawBatch();
  if (picture === state.chosen) drawView();
  const left = state.pictures.filter(({ stage }) => stage !== "done" && stage !== "failed").length;
  if (!left && state.pictures.length > 1) announce(say("live.done", { n: state.pictures.length }));
  else if (!left || picture === state.chosen) announce(announcement(picture));
}

function announcement(picture) {
  if (picture.stage === "failed") return say("live.error", { name: picture.name, why: why(picture.trouble) });
  if (picture.stage !== "done") return "";
  const { label, probability } = picture.row;
  const p = probability === null ? picture.row.labels.map(([, p]) => percent(p)).join(say("comma")) : percent(probability);
  const said = say("live.picture", { name: picture.name, label: label || say("row.none"), p });
  const found = verdict(picture.row);
  return DOUBTS[found] ? [said, say(`accepted.${found}`)].join(say("comma")) : said;
}

/** Whether a retry may help: not where the file itself is at fault. */
const canRetry = ({ stage, trouble }) =>
  stage === "failed" && (trouble.key ? trouble.key !== "error.large" : [408, 429, 500, 502, 503, 504].includes(trouble.status));

function clear() {
  state.ended.abort();
  state.ended = new AbortController();
  state.running = 0;
  for (const { url } of state.pictures) URL.revokeObjectURL(url);
  state.pictures = [];
  $("rows").replaceChildren();
  choose(null);
  drawBatch();
  announce(say("live.cleared"));
  $("drop").focus();
}

// ---------------------------------------------------------------- the batch table

function drawRow(picture) {
  const { name, row, stage, trouble, seconds } = picture;
  const opener = element("button", { type: "button", className: "name", title: name }, name);
  opener.tabIndex = picture === state.chosen ? 0 : -1;
  const had = picture.line.contains(document.activeElement);
  picture.thumb ??= thumbnail(picture);
  picture.line.replaceChildren(
    element("td", { role: "cell", className: "thumb" }, picture.thumb),
    element("th", { role: "rowheader", scope: "row" }, opener),
    ...(stage === "done" ? answerCells(row) : [
      element("td", { role: "cell", colSpan: 3, className: stage === "failed" ? "error" : "quiet" },
        stage === "failed" ? why(trouble) : say(`row.${stage}`, { s: seconds })),
    ]),
  );
  picture.line.className = stage;
  if (picture === state.chosen) picture.line.setAttribute("aria-current", "true");
  else picture.line.removeAttribute("aria-current");
  if (had) opener.focus();
}

function answerCells(row) {
  const { label, probability, labels } = row;
  const cell = (className, ...children) => element("td", { role: "cell", className }, ...children);
  const each = probability === null ? labels.map(([, p]) => p) : [probability];
  return [
    cell("label", (labels ? labels.map(([one]) => one).join(say("comma")) : label) || element("span", { className: "quiet" }, say("row.none"))),
    cell("number", ...each.map((p) => element("data", { value: p }, percent(p)))),
    cell("accepted", labels ? "" : chip(row)),
  ];
}

/** What the thresholds make of an answer: `true` (accepted), `wrong`, `strange`, or `null` where there are none. */
function verdict(row) {
  if (row.accepted === null) return "null";
  const found = state.thresholds ? doubtsOf(row, state.thresholds) : row;
  return found.accepted ? "true" : found.not_from_here ? "strange" : "wrong";
}

function chip(row) {
  const found = verdict(row);
  return element("span", { className: `chip ${found}` }, say(`accepted.${found}`));
}

function thumbnail({ url, name }) {
  const image = element("img", { alt: "", loading: "lazy", decoding: "async", width: 48, height: 48, src: url });
  const ending = name.includes(".") ? name.split(".").pop().slice(0, 4) : "?";
  image.addEventListener("error", () => image.replaceWith(element("span", { className: "no-thumb", "aria-hidden": "true" }, ending)));
  return image;
}

function drawBatch() {
  const n = state.pictures.length;
  const failed = state.pictures.filter(({ stage }) => stage === "failed").length;
  const done = failed + state.pictures.filter(({ stage }) => stage === "done").length;
  $("batch").hidden = n === 0;
  $("batch-how").hidden = touch || n < 2;
  document.body.classList.toggle("filled", n > 0);
  $("thresholds").hidden = !stored()?.correct.length || n === 0;
  const doubted = state.pictures.filter(({ stage, row }) => stage === "done" && DOUBTS[verdict(row)]).length;
  const parts = [say("batch.count", { done, n }), failed && say("batch.failed", { n: failed }), doubted && say("batch.doubted", { n: doubted })];
  $("count").textContent = parts.filter(Boolean).join(" · ");
  $("progress").max = Math.max(n, 1);
  $("progress").value = done;
  $("progress").hidden = done === n;
  $("again").hidden = !state.pictures.some(canRetry);
  $("csv").disabled = done === 0;
}

/** The columns of `reslab predict --csv`, RFC 4180. An apostrophe keeps a cell that a spreadsheet would take for a formula
 *  as text (OWASP, CSV injection). */
function csv() {
  const safe = (text) => (/^(?:[=@\t\r]|[+-](?!\d*\.?\d*$))/.test(text) ? `'${text}` : text);
  const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = state.pictures.filter(({ stage }) => stage === "done" || stage === "failed").map(({ name, row, stage, trouble }) => {
    if (stage === "failed") return [name, "", "", "", "", "", reasonIn(trouble.sentence)?.english ?? trouble.sentence ?? why(trouble)];
    const each = row.probability === null ? row.labels.map(([, p]) => p) : [row.probability];
    const found = verdict(row);
    const accepted = found === "null" ? "" : found === "true" ? "1" : "0";
    return [name, row.label, each.map((p) => p.toFixed(6)).join(";"), accepted, DOUBTS[found] ?? "", (row.prediction_set ?? []).join(";"), ""];
  });
  return [["path", "label", "probability", "accepted", "doubt", "prediction_set", "error"], ...lines]
    .map((cells) => cells.map((text) => quoted(safe(text))).join(",") + "\r\n").join("");
}

function download() {
  const file = new Blob(["\ufeff", csv()], { type: "text/csv;charset=utf-8" }); // the mark tells Excel that it is UTF-8
  const url = URL.createObjectURL(file);
  element("a", { href: url, download: "predictions.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Up, Down, Home and End move through the rows; the Tab key stops only at the chosen one. */
function move(event) {
  const at = state.pictures.indexOf(state.chosen), last = state.pictures.length - 1;
  const to = { ArrowDown: Math.min(at + 1, last), ArrowUp: Math.max(at - 1, 0), Home: 0, End: last }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  choose(state.pictures[to]);
  state.chosen.line.querySelector("button").focus();
}

// ---------------------------------------------------------------- the chosen picture

function choose(picture) {
  const before = state.chosen;
  state.chosen = picture;
  if (before !== picture) state.maps = new Map();
  for (const one of [before, picture]) if (one && state.pictures.includes(one)) drawRow(one);
  drawView();
  if (picture) announce(announcement(picture));
}

function drawView() {
  const picture = state.chosen;
  $("view").hidden = !picture;
  if (!picture) return;
  const done = picture.stage === "done";
  if ($("picture").src !== picture.url) {
    $("picture").src = picture.url;
    $("blank").hidden = true;
  }
  $("picture").alt = say("view.alt", { name: picture.name });
  $("name").textContent = picture.name;
  $("said").replaceChildren(headline(picture), ...(done ? doubt(picture.row) : []));
  $("ranking").replaceChildren(...(done ? picture.row.top.map((pair) => bar(pair, picture.row)) : []));
  $("ranking").setAttribute("aria-label", say("view.ranking"));
  $("set").textContent = done ? setOf(picture.row) : "";
  $("remark").textContent = done ? remark(picture.row) : "";
  $("heat").hidden = !(done && state.model?.explains);
  drawHeat();
}

function headline({ stage, row, trouble, seconds }) {
  if (stage === "failed") return element("p", { className: "trouble" }, why(trouble));
  if (stage === "busy") return element("p", { className: "quiet" }, say("row.busy", { s: seconds }));
  if (stage !== "done") return element("p", { className: "quiet" }, say(`view.${stage}`));
  if (row.probability === null) return element("p", { className: "said" }, row.labels.map(([label]) => label).join(say("comma")) || say("view.none"));
  return element("p", { className: "said" }, row.label, " ",
    element("data", { value: row.probability }, percent(row.probability)), " ", row.accepted === null ? "" : chip(row));
}

/** The doubt about an answer in one sentence. */
function doubt(row) {
  const found = verdict(row);
  if (!DOUBTS[found] || !thresholds()) return [];
  const { minConfidence, maxOutlier } = thresholds();
  const sentence = found === "wrong"
    ? say("view.wrong", { p: percent(minConfidence) })
    : say("view.strange", { score: signed(row.outlier_score), limit: signed(maxOutlier) });
  return [element("p", { className: "doubt" }, sentence)];
}

/** The prediction set in one sentence. */
function setOf({ prediction_set: set }) {
  if (!set || !state.model?.prediction_sets) return "";
  const p = whole(100 * state.model.prediction_sets.coverage);
  return set.length ? say("view.set", { p, labels: listed(set) }) : say("view.empty", { p });
}

/** A label with its bar; of several labels, the answered ones stand out and each bar shows its threshold. */
function bar([label, p], row) {
  const threshold = row.labels && state.model?.thresholds?.[state.model.classes.indexOf(label)];
  const given = row.labels?.some(([one]) => one === label);
  const fill = element("i");
  fill.style.width = `${100 * p}%`;
  const line = element("li", { className: given || (!row.labels && label === row.label) ? "first" : "" },
    element("span", { className: "label" }, label, given ? element("span", { className: "given" }, say("view.given")) : ""),
    element("data", { value: p }, percent(p)),
    element("span", { className: "bar", "aria-hidden": "true" }, fill));
  if (threshold !== undefined && threshold !== null) {
    const tick = element("b");
    tick.style.left = `${100 * threshold}%`;
    line.querySelector(".bar").append(tick);
    line.append(element("span", { className: "spoken" }, say("view.threshold", { p: percent(threshold) })));
  }
  return line;
}

function remark({ labels }) {
  const { calibration } = state.model ?? {};
  const said = [];
  if (calibration) said.push(say(calibration.n ? "view.calibrated" : "view.uncalibrated"));
  if (labels) said.push(say("view.thresholds"));
  return said.join(root.lang === "en" ? " " : "");
}

// ---------------------------------------------------------------- the thresholds

const stored = () => state.model?.calibration?.rejection ?? null; // what the model file says of rejection

/** The thresholds that the page judges by; null where the model has none. */
function thresholds() {
  const found = stored();
  return state.thresholds ?? (found && { minConfidence: found.min_confidence, maxOutlier: found.max_outlier });
}

/** Judge by other thresholds, or by the model's own (null). They live on this page alone. `by` is the slider that was moved. */
function setThresholds(chosen, by = null) {
  state.thresholds = chosen;
  for (const { stage, row, line } of state.pictures) {
    if (stage === "done" && !row.labels) line.querySelector("td.accepted").replaceChildren(chip(row));
  }
  drawThresholds(by);
  drawBatch();
  if (state.chosen?.stage === "done") $("said").replaceChildren(headline(state.chosen), ...doubt(state.chosen.row));
}

/** A slider that is being moved keeps its own value: the thresholds may lie between two of its steps. */
function drawThresholds(by = null) {
  const found = stored();
  if (!found) return;
  const { minConfidence, maxOutlier } = thresholds();
  const { n, accepted, right } = consequences(found, thresholds());
  const answered = say("thresholds.answered", { p: percent(accepted / n) });
  const means = accepted ? say("thresholds.means", { p: percent(right / accepted), right: whole(right), accepted: whole(accepted) }) : "";
  $("thresholds-says").textContent = [answered, means].join(root.lang === "en" ? " " : "");
  $("thresholds-unreliable").hidden = found.n >= RELIABLE;
  $("thresholds-unreliable").textContent = say("thresholds.unreliable", { n: whole(found.n) });
  $("outlier-line").hidden = maxOutlier === null;
  $("reset").disabled = state.thresholds === null;
  const set = (id, value, text) => {
    if ($(id) !== by) $(id).value = value;
    $(id).setAttribute("aria-valuetext", text);
  };
  set("share", (100 * accepted) / n, $("thresholds-says").textContent);
  set("confidence", minConfidence, ($("confidence-value").textContent = percent(minConfidence)));
  if (maxOutlier === null) return;
  const every = [...found.outlier, found.max_outlier];
  Object.assign($("outlier"), { min: Math.min(...every), max: Math.max(...every) });
  set("outlier", maxOutlier, ($("outlier-value").textContent = signed(maxOutlier)));
}

// ---------------------------------------------------------------- the heat map

function drawHeat() {
  const picture = state.chosen;
  const on = $("heat-on").checked && !$("heat").hidden;
  $("heat-more").hidden = !on;
  const wanted = picture.row?.top[0][0];
  if (on) fillLabels(picture, wanted);
  const map = on ? state.maps.get($("heat-label").value) : null;
  const shown = map?.overlay ? map : null;
  $("square").hidden = $("overlay").hidden = !shown;
  $("picture").hidden = Boolean(shown) || !$("blank").hidden;
  $("heat-more").classList.toggle("shown", Boolean(shown));
  $("caption").hidden = !shown;
  $("caption").textContent = shown ? say(state.model.preprocess.resize === "crop" ? "view.crop" : "view.square", { size: map.size }) : "";
  if (shown) drawMap(map);
  else if (on && map?.trouble) $("heat-says").textContent = why(map.trouble);
  else if (on) {
    $("heat-says").textContent = say("heat.asking");
    if (!map) fetchMap(picture, $("heat-label").value);
  }
}

/** The five likeliest labels first, then the others by name; what was chosen for this picture stays chosen. */
function fillLabels(picture, likeliest) {
  const select = $("heat-label");
  const key = `${root.lang} ${state.pictures.indexOf(picture)} ${picture.url}`;
  if (select.dataset.key === key) return;
  const kept = select.dataset.key?.endsWith(picture.url) ? select.value : likeliest;
  const top = picture.row.top.map(([label]) => label);
  const others = state.model.classes.filter((label) => !top.includes(label)).sort((a, b) => a.localeCompare(b));
  const group = (word, labels) =>
    element("optgroup", { label: say(word) }, ...labels.map((label) => element("option", { value: label }, label)));
  select.replaceChildren(group("heat.likeliest", top), ...(others.length ? [group("heat.others", others)] : []));
  select.value = kept;
  select.dataset.key = key;
}

function drawMap({ overlay, picture, label, logit, bias, map }) {
  $("square").src = picture;
  $("overlay").src = overlay;
  $("overlay").alt = say("heat.alt", { label });
  $("overlay").style.opacity = $("heat-opacity").value / 100;
  const strongest = Math.max(...map.flat().map(Math.abs));
  $("scale-low").textContent = signed(-strongest);
  $("scale-high").textContent = signed(strongest);
  $("heat-says").textContent = say("heat.says", { label, logit: signed(logit), bias: signed(bias) });
}

async function fetchMap(picture, label) {
  const { maps } = state; // of this picture: choosing another picture replaces it
  maps.set(label, {});
  try {
    const path = `explain?label=${encodeURIComponent(label)}`;
    maps.set(label, await ask(path, { method: "POST", body: form([picture]), signal: state.ended.signal }));
  } catch (error) {
    if (!(error instanceof Trouble)) return;
    maps.set(label, { trouble: error.details });
  }
  if (maps === state.maps) drawHeat();
}

// ---------------------------------------------------------------- the model card

async function loadModel() {
  try {
    state.model = await ask("model");
    state.modelError = null;
  } catch (error) {
    state.modelError = error.details ?? { key: "error.unreachable" };
  }
  drawModel();
  drawThresholds();
  drawBatch();
  if (state.chosen) drawView();
}

function drawModel() {
  const { model } = state;
  $("lead").textContent = model ? leadOf(model) : say(state.modelError ? "model.unknown" : "lead.waiting");
  document.title = model ? `${model.name} · ResLab` : "ResLab";
  $("foot").textContent = model ? say("foot", { version: model.version }) : "ResLab";
  if (model) $("model").replaceChildren(...scores(model), facts(model));
  else $("model").replaceChildren(state.modelError ? element("p", { className: "trouble" }, why(state.modelError)) : "");
}

function leadOf({ name, classes, task, calibration }) {
  const kind = calibration.rejection ? "doubting" : task;
  return say(`lead.${kind}`, { name, n: whole(classes.length), classes: listed(classes) });
}

/** The first few labels, and how many more there are. */
function listed(labels) {
  const first = labels.slice(0, SHOWN_CLASSES).join(say("comma"));
  const more = labels.length - SHOWN_CLASSES;
  return more > 0 ? say("lead.more", { first, n: more }) : first;
}

/** Each split's score with its interval, n, and whether the split also chose the model. */
function scores({ scores, training = {} }) {
  const shown = Object.entries(scores ?? {}).flatMap(([split, score]) => {
    const kind = score.top1 ? "top1" : "mean_ap";
    const { value, low, high } = score[kind] ?? {};
    if (value === undefined) return [];
    return [element("div", { className: "score" },
      element("p", { className: "quiet" }, say(`model.score.${kind}`, { split: splitName(split) })),
      element("p", { className: "figure" }, element("data", { value }, percent(value))),
      whisker(value, low, high),
      element("p", {}, say("model.interval", { low: percent(low), high: percent(high) })),
      element("p", { className: score.chose_the_model ? "honest" : "quiet" },
        say(score.chose_the_model ? "model.chose" : together(split, training) ? "model.members" : "model.fair", { n: whole(score.n) })))];
  });
  return shown.length ? shown : [element("p", { className: "quiet" }, say("model.unscored"))];
}

/** Whether a score is that of the members of an ensemble, one by one. */
function together(split, training) {
  return split === "out-of-fold" && training.keep_folds;
}

function whisker(value, low, high) {
  const track = element("span", { className: "whisker", "aria-hidden": "true" }, element("i"), element("b"));
  track.firstChild.style.left = `${100 * low}%`;
  track.firstChild.style.width = `${100 * (high - low)}%`;
  track.lastChild.style.left = `${100 * value}%`;
  return track;
}

function facts(model) {
  const { calibration = {}, preprocess, training = {}, limits } = model;
  const rows = [
    ["name", training.keep_folds ? `${model.name} × ${training.folds}` : model.name],
    ["sha256", hash(model.sha256)],
    [model.task === "multi" ? "labels" : "classes", folded(whole(model.classes.length), say("model.all", { n: whole(model.classes.length) }), classList(model))],
    ["input", say(`model.input.${preprocess.resize}`, { size: preprocess.size, filter: say(`filter.${preprocess.interpolation}`) })],
    ["calibration", calibrationOf(model)],
    ...(model.task === "single" ? [["thresholds", thresholdsOf(calibration)], ["sets", setsOf(model)]] : []),
    training.data && ["training", say("model.training.value", { data: training.data, epochs: training.epochs ?? "?", seed: training.seed ?? "?" })],
    training.licence && ["licence", training.licence],
    ["certificate", certificate(model.certificate)],
    model.engine && ["engine", model.engine],
    limits && ["limits", say("model.limits.value", { bytes: bytes(limits.bytes), pixels: whole(Math.round(limits.pixels / 1e6)), files: limits.files })],
  ].filter(Boolean);
  return element("dl", {}, ...rows.map(([word, value]) =>
    element("div", {}, element("dt", {}, say(`model.${word}`)), element("dd", {}, value))));
}

function calibrationOf({ calibration = {}, scores = {} }) {
  const fitted = !calibration.n
    ? say("model.calibration.none")
    : calibration.temperature === 1
    ? say("model.calibration.refused")
    : say("model.calibration.fitted", { t: calibration.temperature.toFixed(2), n: whole(calibration.n), split: splitName(calibration.split) });
  const measured = Object.entries(scores).filter(([, { ece }]) => ece != null)
    .map(([split, { ece }]) => say("model.ece", { p: percent(ece), split: splitName(split) }));
  return [fitted, ...measured].join(root.lang === "en" ? "; " : "；");
}

/** The model's own thresholds, and what they rest on. */
function thresholdsOf({ rejection: found, split }) {
  if (!found) return say("model.thresholds.none");
  const values = { p: percent(found.min_confidence), n: whole(found.n), split: splitName(split) };
  const rule = found.max_outlier === null
    ? say("model.thresholds.one", values)
    : say("model.thresholds.both", { ...values, limit: signed(found.max_outlier) });
  const weak = found.n < RELIABLE ? element("p", { className: "honest" }, say("thresholds.unreliable", values)) : "";
  return element("span", {}, rule, weak);
}

/** Which prediction sets the server answers with; with too few pictures they hold every label. */
function setsOf({ prediction_sets: sets, calibration: { conformal } }) {
  if (!sets || !conformal) return say("model.sets.none");
  const values = { p: whole(100 * sets.coverage), n: whole(conformal.n) };
  return say(conformal.lac[COVERAGES.indexOf(sets.coverage)] === null ? "model.sets.few" : "model.sets.value", values);
}

function classList({ classes, thresholds }) {
  return element("ul", {}, ...classes.map((label, i) =>
    element("li", {}, label, ...(thresholds?.length ? [" ", element("span", { className: "quiet" }, `≥ ${percent(thresholds[i])}`)] : []))));
}

function folded(lead, summary, content) {
  return element("span", {}, lead, element("details", {}, element("summary", {}, summary), content));
}

/** The comparison in one sentence, and every entry of the certificate under its own key. */
function certificate(held) {
  if (!held) return say("model.certificate.none");
  const { n, pictures, max_difference: difference, limit, engines } = held;
  const lead = engines && difference !== undefined
    ? say("model.certificate.says", { n: whole(n), pictures: pictureSet(pictures), before: engines[0], difference: difference.toPrecision(2), limit: limit.toPrecision(2) })
    : "";
  const lines = Object.entries(held).map(([key, value]) =>
    element("li", {}, element("code", {}, key), " ", typeof value === "object" ? JSON.stringify(value) : String(value)));
  return folded(lead, say("model.certificate.show"), element("ul", {}, ...lines));
}

/** What a certificate was measured on, as `run/export.py` writes it, in the page's language. */
function pictureSet(pictures) {
  const parts = /^([\d,]+) parts of scikit-learn's photographs$/.exec(pictures);
  if (parts) return say("model.certificate.parts", { n: parts[1] });
  const split = /^([\d,]+) (validation|test) pictures of (.*)$/.exec(pictures);
  if (split) return say(split[2] === "test" ? "model.certificate.test" : "model.certificate.validation", { n: split[1], data: split[3] });
  return pictures;
}

function hash(sha256) {
  const copy = element("button", { type: "button", className: "small" }, say("model.copy"));
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(sha256);
    copy.textContent = say("model.copied");
    announce(say("model.copied"));
  });
  const code = element("code", { title: sha256 }, sha256.slice(0, 12));
  return element("span", {}, code, " ", ...(navigator.clipboard ? [copy] : []));
}

// ---------------------------------------------------------------- files from the outside

const named = (file, folder = "") => ({ file, name: folder + file.name });

/** The files of a drop or a paste; a folder gives the pictures in it, by their paths. */
async function filesOf(transfer) {
  const files = [...transfer.files].map((file) => named(file));
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return files;
  return (await Promise.all(entries.map((entry) => walk(entry, "")))).flat();
}

async function walk(entry, folder) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject)).catch(() => null);
    return file && (!folder || file.type.startsWith("image/")) ? [named(file, folder)] : [];
  }
  const reader = entry.createReader(), found = [];
  const read = () => new Promise((resolve, reject) => reader.readEntries(resolve, reject));
  for (let some = await read(); some.length; some = await read()) found.push(...some); // it returns about a hundred at a time
  found.sort((a, b) => a.name.localeCompare(b.name));
  return (await Promise.all(found.map((one) => walk(one, `${folder}${entry.name}/`)))).flat();
}

function listen() {
  for (const input of [$("files"), $("photo")]) {
    input.addEventListener("change", () => {
      add([...input.files].map((file) => named(file)));
      input.value = ""; // so that the same file can be chosen again
    });
  }
  $("drop").addEventListener("click", () => $("files").click());
  $("camera").addEventListener("click", () => $("photo").click());
  $("camera").hidden = !touch;
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("over");
  });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    document.body.classList.remove("over");
    add(await filesOf(event.dataTransfer));
  });
  addEventListener("paste", async (event) => {
    if (event.clipboardData.files.length) add(await filesOf(event.clipboardData));
    else if (!event.target.closest("input")) add([]);
  });
  $("rows").addEventListener("keydown", move);
  $("csv").addEventListener("click", download);
  $("clear").addEventListener("click", clear);
  $("again").addEventListener("click", () => {
    for (const picture of state.pictures.filter(canRetry)) setStage(picture, "waiting");
    if (!state.model) loadModel();
    startWorkers();
  });
  $("picture").addEventListener("error", () => {
    $("picture").hidden = true;
    $("blank").hidden = false;
  });
  for (const input of [$("heat-on"), $("heat-label")]) input.addEventListener("change", drawHeat);
  $("heat-opacity").addEventListener("input", () => ($("overlay").style.opacity = $("heat-opacity").value / 100));
  $("share").addEventListener("input", () => setThresholds(thresholdsFor(stored(), $("share").value / 100), $("share")));
  $("confidence").addEventListener("input", () => setThresholds({ ...thresholds(), minConfidence: Number($("confidence").value) }, $("confidence")));
  $("outlier").addEventListener("input", () => setThresholds({ ...thresholds(), maxOutlier: Number($("outlier").value) }, $("outlier")));
  $("reset").addEventListener("click", () => {
    setThresholds(null);
    announce(say("thresholds.back"));
    $("share").focus(); // the button is disabled now, and would drop the focus
  });
  $("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    $("token").close("given");
  });
  $("token-cancel").addEventListener("click", () => $("token").close(""));
}

// ---------------------------------------------------------------- language and theme

function setLanguage(language) {
  root.lang = language;
  announce("");
  for (const one of document.querySelectorAll("[data-word]")) one.textContent = say(one.dataset.word);
  for (const one of document.querySelectorAll("[data-word-label]")) one.setAttribute("aria-label", say(one.dataset.wordLabel));
  $("how").textContent = say(touch ? "drop.touch" : "drop.how");
  $("private").textContent = say("private", { host: location.host });
  $("language").textContent = language === "en" ? "中文" : "English";
  $("language").lang = language === "en" ? "zh-CN" : "en";
  drawModel();
  drawThresholds();
  state.pictures.forEach(drawRow);
  drawBatch();
  drawView();
}

function setTheme(theme) {
  root.dataset.theme = theme;
  $("theme").setAttribute("aria-pressed", String(theme === "dark"));
}

function initSettings() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const system = () => (dark.matches ? "dark" : "light");
  setTheme(recall("localStorage", "theme") ?? system());
  dark.addEventListener("change", () => recall("localStorage", "theme") ?? setTheme(system()));
  $("theme").addEventListener("click", () => {
    setTheme(root.dataset.theme === "dark" ? "light" : "dark");
    remember("localStorage", "theme", root.dataset.theme);
  });
  $("language").addEventListener("click", () => {
    setLanguage(root.lang === "en" ? "zh-CN" : "en");
    remember("localStorage", "language", root.lang);
  });
  setLanguage(recall("localStorage", "language") ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh-CN" : "en"));
}

listen();
initSettings();
loadModel();
