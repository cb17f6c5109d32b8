// Elements and numbers. Everything that is shown passes through `el`, which sets text as text: nothing is ever parsed as HTML.
const Cof = {};

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  // el("a.name", {href, onclick, style: {left}}, child, …): strings become text nodes, null is left out.
  Cof.el = (selector, properties, ...children) => {
    const [tag, ...classes] = selector.split(".");
    const element = document.createElement(tag);
    if (classes.length) element.className = classes.join(" ");
    for (const [name, value] of Object.entries(properties || {})) set(element, name, value);
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  };

  const set = (element, name, value) => {
    if (value === null || value === undefined || value === false) return;
    if (name === "style") Object.assign(element.style, value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  };

  // One of the page's symbols: a verdict's shape.
  Cof.mark = (name) => {
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("class", "mark");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS(SVG, "use");
    use.setAttribute("href", `#mark-${name}`);
    svg.append(use);
    return svg;
  };

  const grouped = new Intl.NumberFormat("en-US");
  Cof.count = (value) => value < 0 ? "–" : grouped.format(value).replaceAll(",", "\u202f");
  Cof.counted = (value, word) => `${Cof.count(value)} ${word}${value === 1 ? "" : "s"}`;
  Cof.seconds = (value) => (value >= 100 ? `${Cof.count(Math.round(value))} s` : `${value.toFixed(value >= 10 ? 1 : 2)} s`);
  Cof.size = ([width, height]) => `${Cof.count(width)} × ${Cof.count(height)}`;

  Cof.say = (text) => {
    document.getElementById("status").textContent = text;
  };
})();
