// English is on the page; the other languages of every text wait beside it. One button goes through them and remembers nothing.
(() => {
  const button = document.getElementById("language");
  const languages = JSON.parse(button.dataset.languages); // [table of words, tag of the language, name], English first
  const all = (name) => [...document.querySelectorAll(`[data-${languages[1][0]}${name}]`)];
  const texts = all("").map((e) => [e, e.textContent]);
  const labels = ["alt", "label", "placeholder"].flatMap((name) => {
    const attribute = name === "label" ? "aria-label" : name;
    return all(`-${name}`).map((e) => [e, name, attribute, e.getAttribute(attribute)]);
  });
  let shown = 0;
  const show = (number) => {
    const [table, tag] = languages[number];
    const written = (e, name, english) => (number ? e.getAttribute(`data-${table}${name}`) : english);
    for (const [e, english] of texts) e.textContent = written(e, "", english);
    for (const [e, name, attribute, english] of labels) e.setAttribute(attribute, written(e, `-${name}`, english));
    document.documentElement.lang = tag;
    shown = number;
    [, button.lang, button.textContent] = languages[(number + 1) % languages.length];
  };
  button.hidden = false;
  button.addEventListener("click", () => show((shown + 1) % languages.length));
  const own = languages.findIndex(([table]) => navigator.language.toLowerCase().startsWith(table));
  show(Math.max(own, 0)); // also names the next language on the button
})();
