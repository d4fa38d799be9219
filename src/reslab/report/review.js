// Decisions are a list of [path, label]; the last one about a picture counts, and undoing takes the last one off. The browser keeps them.
(() => {
  const { store, table, drop, corrects } = document.body.dataset;
  const cases = [...document.querySelectorAll(".case")];
  const panels = [...document.querySelectorAll(".panel")];
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const element = (id) => document.getElementById(id);
  const known = new Set([...document.querySelectorAll("#classes option")].map((option) => option.value));
  let current = null;
  let made = [];
  try {
    made = JSON.parse(localStorage.getItem(store)) || [];
  } catch {} // a browser may refuse to keep anything: decisions then last as long as the page

  const shown = () => panels.find((panel) => !panel.hidden);
  const inside = (panel) => cases.filter((each) => panel.contains(each));

  function draw() {
    const labels = new Map(made);
    for (const each of cases) {
      const label = labels.get(each.dataset.path);
      each.classList.toggle("decided", label !== undefined);
      each.classList.toggle("current", each === current);
      let pressed = label === undefined;
      for (const button of each.querySelectorAll("[data-choice]")) {
        const mine = button.dataset.choice === label;
        button.setAttribute("aria-pressed", mine);
        pressed = pressed || mine;
      }
      const other = each.querySelector(".other");
      if (other) other.value = pressed ? "" : label;
    }
    element("decided").textContent = labels.size;
    element("undo").disabled = element("download").disabled = !made.length;
  }

  function keep() {
    try {
      localStorage.setItem(store, JSON.stringify(made));
    } catch {}
    draw();
  }

  function go(to) {
    if (!to) return draw();
    current = to;
    draw();
    to.focus({ preventScroll: true });
    to.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    const here = inside(shown());
    go(here[Math.min(here.length - 1, Math.max(0, here.indexOf(current) + by))]);
  }

  function decide(each, label) {
    if (!label) return;
    made.push([each.dataset.path, label]);
    keep();
    const labels = new Map(made);
    const here = inside(shown());
    const rest = here.slice(here.indexOf(each) + 1);
    go(rest.find((next) => !labels.has(next.dataset.path)) || each);
  }

  function undo() {
    const last = made.pop();
    keep();
    if (last) go(inside(shown()).find((each) => each.dataset.path === last[0]));
  }

  function open(panel) {
    for (const each of panels) each.hidden = each !== panel;
    for (const tab of tabs) tab.setAttribute("aria-selected", tab.getAttribute("aria-controls") === panel.id);
    current = inside(panel)[0] || null;
    draw();
  }

  // RFC 4180; the mark at the beginning tells Excel that it is UTF-8
  function download() {
    const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const rows = [...new Map(made)].filter(([, label]) => corrects !== undefined || label !== drop);
    const text = [["path", "label"], ...rows].map((row) => row.map(cell).join(",") + "\n").join("");
    const link = document.createElement("a");
    const mark = /^[\x00-\x7f]*$/.test(text) ? "" : "\ufeff";
    link.href = URL.createObjectURL(new Blob([mark, text], { type: "text/csv" }));
    link.download = table;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  for (const tab of tabs) {
    tab.addEventListener("click", () => {
      open(element(tab.getAttribute("aria-controls")));
      go(current); // keys are for the pictures, no longer for the tab
    });
  }
  for (const each of cases) {
    each.addEventListener("click", (event) => {
      const button = event.target.closest("[data-choice]");
      if (button) decide(each, button.dataset.choice);
      else if (!event.target.closest("input")) go(each);
    });
    each.querySelector(".other")?.addEventListener("change", (event) => {
      // pictures without a label may be of a class that the network does not know
      if (known.has(event.target.value) || corrects === undefined) decide(each, event.target.value);
    });
  }
  element("undo").addEventListener("click", undo);
  element("download").addEventListener("click", download);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, button")) return;
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (by) step(by);
    else if (event.key === "Backspace") undo();
    else if (!current) return;
    else if (event.key === "Enter") decide(current, current.dataset.proposed || current.dataset.label);
    else if (event.key === "Delete") decide(current, drop);
    else {
      const button = [...current.querySelectorAll("[data-key]")].find((one) => one.dataset.key === event.key);
      if (!button) return;
      decide(current, button.dataset.choice);
    }
    event.preventDefault();
  });
  open(panels[0]);
})();
