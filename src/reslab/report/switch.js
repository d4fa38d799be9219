// English is on the page; the Chinese of every text waits beside it. One button exchanges them and remembers nothing.
(() => {
  const root = document.documentElement;
  const button = document.getElementById("language");
  const texts = [...document.querySelectorAll("[data-zh]")].map((e) => [e, e.textContent, e.dataset.zh]);
  const labels = ["alt", "label"].flatMap((name) => {
    const attribute = name === "label" ? "aria-label" : name;
    return [...document.querySelectorAll(`[data-zh-${name}]`)].map((e) =>
      [e, attribute, e.getAttribute(attribute), e.getAttribute(`data-zh-${name}`)]);
  });
  const show = (chinese) => {
    for (const [e, english, zh] of texts) e.textContent = chinese ? zh : english;
    for (const [e, attribute, english, zh] of labels) e.setAttribute(attribute, chinese ? zh : english);
    root.lang = chinese ? "zh-CN" : "en";
    button.textContent = chinese ? "English" : "中文";
    button.lang = chinese ? "en" : "zh-CN";
  };
  button.hidden = false;
  button.addEventListener("click", () => show(root.lang === "en"));
  if (navigator.language.toLowerCase().startsWith("zh")) show(true);
})();
