// Shows the page that the address names.
(() => {
  const view = document.getElementById("view");
  const overview = document.getElementById("overview");
  const title = document.title;
  let shown = 0;
  let wantSearch = false;
  let drawn = null;

  Cof.focusSearch = () => {
    wantSearch = true;
    if (!view.hidden) focusSearch();
  };
  const focusSearch = () => {
    const box = document.getElementById("search");
    if (!wantSearch || !box) return;
    wantSearch = false;
    box.focus();
    box.select();
  };

  // The list is drawn anew on every change; what had the focus keeps it.
  const keepFocus = (draw) => {
    const active = document.activeElement;
    const [id, name, value, row] = [active?.id, active?.name, active?.value, active?.dataset.row];
    const caret = id === "search" ? active.selectionStart : null;
    draw();
    const again = id && view.contains(document.getElementById(id)) ? document.getElementById(id)
      : name ? [...view.querySelectorAll("input")].find((input) => input.name === name && input.value === value)
        : row ? view.querySelector(`td.question a[data-row="${row}"]`) : null;
    again?.focus({ preventScroll: true });
    if (again && caret !== null) {
      again.value = value;
      again.setSelectionRange(caret, caret);
    }
  };

  const failed = (error) => view.replaceChildren(Cof.el("p.empty", { role: "alert" }, error.message));

  const drawList = (route, back) => {
    const draw = () => keepFocus(() => Cof.pages.list(view, route));
    const mine = shown;
    let frame = 0;
    const later = () => {
      if (mine !== shown || frame) return;
      frame = requestAnimationFrame(() => {
        frame = 0;
        if (mine === shown) draw();
      });
    };
    draw();
    if (back) view.querySelector(`td.question a[data-row="${Cof.lastRow}"]`)?.focus(); // where one was before
    Cof.loadIndex(later).then(later, failed);
    focusSearch();
  };

  Cof.show = () => {
    const route = Cof.parseRoute(location.hash);
    const page = route.page === "overview" || route.page in Cof.pages ? route.page : "overview";
    const mine = ++shown;
    overview.hidden = page !== "overview";
    view.hidden = page === "overview";
    if (page !== drawn && page !== "overview") view.replaceChildren();
    for (const link of document.querySelectorAll("nav [data-page]")) {
      const here = link.dataset.page === (page === "overview" ? "overview" : "list");
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const list = document.querySelector('nav [data-page="list"]');
    list.href = Cof.lastList;
    document.title = title;
    const arrived = drawn !== null && !(page === "list" && drawn === "list");
    if (arrived) {
      scrollTo(0, 0);
      document.getElementById("main").focus({ preventScroll: true }); // what had the focus is gone
    }
    const back = arrived && drawn !== "overview";
    drawn = page;
    if (page === "list") drawList(route, back);
    else if (page !== "overview") Cof.pages[page](view, route, () => mine === shown).catch(failed);
    document.documentElement.dataset.page = page;
  };

  document.querySelector("[data-skip]").addEventListener("click", (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  });
  addEventListener("hashchange", Cof.show);
  if (Cof.manifest) Cof.show();
  else {
    view.hidden = false;
    failed(new Error("viewer/data/manifest.js cannot be read: keep the folder viewer/ beside index.html, or write the report again"));
  }
})();
