// The keyboard: every page can be used without a mouse.
(() => {
  const { el } = Cof;
  const HELP = [
    ["Everywhere", [["?", "show these keys"], ["o", "overview"], ["l", "list, as it was left"], ["/", "search"], ["d", "theme: auto, light, dark"], ["Esc", "close, or leave the search"]]],
    ["List", [["j  k", "next, previous row"], ["Enter", "open the row"], ["n  p", "next, previous page"], ["x", "remove all filters"]]],
    ["Trajectory", [["j  k", "next, previous trajectory of the list"], ["b  B", "next, previous box"], ["→  ←", "larger, smaller resolution"], ["r", "same question in the next run"], ["t", "annotated targets on or off"], ["c", "side by side"], ["u", "back to the list"]]],
  ];
  const dialog = document.getElementById("keys");

  const help = () => {
    if (dialog.open) return dialog.close();
    dialog.replaceChildren(
      el("header", null, el("h2", { id: "keys-title" }, "Keys"), el("button.quiet", { type: "button", onclick: () => dialog.close() }, "Close ", el("kbd", null, "Esc"))),
      el("div.key-groups", null, HELP.map(([title, keys]) => el("section", null, el("h3", null, title),
        el("dl", null, keys.map(([key, means]) => [el("dt", null, key.split(/\s+/).map((one) => [el("kbd", null, one), " "])), el("dd", null, means)]))))));
    dialog.showModal();
  };

  const click = (selector) => {
    const found = document.querySelector(selector);
    found?.click();
    return Boolean(found);
  };

  const moveRow = (by) => {
    const links = [...document.querySelectorAll("table.rows td.question a")];
    const at = links.indexOf(document.activeElement);
    const next = links[Math.min(links.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  };

  // Opens the same question `by` resolutions further, or in the next run.
  const moveWithin = (by, kind) => {
    const cells = [...document.querySelectorAll(".look .elsewhere .cell")];
    const { rows } = Cof;
    const own = cells.find((cell) => cell.getAttribute("aria-current"));
    if (!own) return;
    const here = Number(own.dataset.row);
    const fits = kind === "run"
      ? (i) => rows.resolution[i] === rows.resolution[here] && rows.repeat[i] === rows.repeat[here]
      : (i) => rows.run[i] === rows.run[here] && rows.repeat[i] === rows.repeat[here];
    const among = cells.filter((cell) => fits(Number(cell.dataset.row)));
    const next = among.indexOf(own) + by;
    (kind === "run" ? among[next % among.length] : among[next])?.click();
  };

  const everywhere = {
    "?": help,
    o: () => (location.hash = "#/"),
    l: () => (location.hash = Cof.lastList),
    d: () => click("#theme"),
    "/": () => {
      if (!document.getElementById("search")) location.hash = Cof.lastList;
      Cof.focusSearch();
    },
  };
  const pages = {
    list: {
      j: () => moveRow(1), k: () => moveRow(-1), ArrowDown: () => moveRow(1), ArrowUp: () => moveRow(-1),
      n: () => click('.pager [data-step="Next page"]'), p: () => click('.pager [data-step="Previous page"]'), x: () => (location.hash = "#/list"),
    },
    trajectory: {
      j: () => click('.bar [data-step="Next"]'), k: () => click('.bar [data-step="Previous"]'),
      b: () => Cof.stepBox(1), B: () => Cof.stepBox(-1), ArrowRight: () => moveWithin(1), ArrowLeft: () => moveWithin(-1),
      r: () => moveWithin(1, "run"), t: () => click("#targets"), c: () => click('[data-step="Compare"]'), u: () => click('.bar [data-step="List"]'),
    },
    compare: { u: () => click('.bar [data-step="List"]') },
  };

  const writing = (target) => target.matches("input:not([type=checkbox]), select, textarea");

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (writing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (dialog.open && event.key !== "?") return;
    const action = pages[Cof.parseRoute(location.hash).page]?.[event.key] || everywhere[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.getElementById("help").addEventListener("click", help);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
})();
