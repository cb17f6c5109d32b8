// The list: filters with counts, a search, and pages of rows.
(() => {
  const { el, rows, count } = Cof;
  const PAGE = 50;
  const SHOWN_VALUES = 12; // values of a filter before a button shows the rest
  let last = { key: null, ready: -1, found: null };
  let unfolded = new Set();

  // The rows that an address selects; kept, because moving along the list asks again and again.
  Cof.selected = (choices) => {
    const key = Cof.choicesLink({ ...choices, page: 1 });
    if (last.key !== key || last.ready !== rows.ready) last = { key, ready: rows.ready, found: Cof.select(choices) };
    return last.found;
  };

  // The list as it was left: where the way back leads, and what next and previous mean.
  Cof.lastList = "#/list";

  const go = (choices, changes) => {
    location.hash = Cof.choicesLink({ ...choices, page: 1, ...changes });
  };

  const toggled = (choices, facet, key) => {
    const before = choices.chosen[facet];
    const after = before.includes(key) ? before.filter((one) => one !== key) : [...before, key];
    return { chosen: { ...choices.chosen, [facet]: after } };
  };

  const facetName = (facet, name) => {
    if (!name) return el("span.muted", null, "unknown");
    if (facet.name === "verdict") return Cof.verdict(name);
    return facet.name === "stop" ? Cof.stopWords(name) : Cof.inline(name);
  };

  const facetBox = (facet, counts, choices) => {
    const [names, keys] = [facet.names(), facet.keys()];
    const chosen = choices.chosen[facet.name];
    const values = names.map((name, i) => ({ name, key: keys[i], count: counts[i] })).filter(({ key, count: n }) => n || chosen.includes(key));
    if (values.length < 2 && !chosen.length) return null;
    const cut = values.length > SHOWN_VALUES && !unfolded.has(facet.name);
    const shown = cut ? values.filter((value, i) => i < SHOWN_VALUES - 1 || chosen.includes(value.key)) : values;
    const unfold = () => {
      unfolded.add(facet.name);
      Cof.show();
    };
    return el("fieldset.facet", { data: { facet: facet.name } }, el("legend", null, facet.title),
      shown.map(({ name, key, count: n }) => el("label", null,
        el("input", { type: "checkbox", checked: chosen.includes(key), name: facet.name, value: key, onchange: () => go(choices, toggled(choices, facet.name, key)) }),
        el("span.value", null, facetName(facet, name)), el("span.n", null, count(n)))),
      cut && el("button.quiet", { type: "button", onclick: unfold }, `${count(values.length - shown.length)} more`));
  };

  const chips = (choices) => {
    const found = Cof.facets.flatMap((facet) => choices.chosen[facet.name].map((key) => {
      const name = facet.names()[facet.keys().indexOf(key)] ?? key;
      return el("button.chip", { type: "button", "aria-label": `Remove the filter ${facet.title} ${name}`, onclick: () => go(choices, toggled(choices, facet.name, key)) },
        el("span.muted", null, `${facet.title} `), Cof.inline(facet.name === "stop" ? Cof.stopWords(name) : name || "unknown"), el("span", { "aria-hidden": "true" }, " ×"));
    }));
    if (choices.search) found.push(el("button.chip", { type: "button", "aria-label": "Remove the search", onclick: () => go(choices, { search: "" }) },
      el("span.muted", null, "Search "), Cof.inline(choices.search), el("span", { "aria-hidden": "true" }, " ×")));
    if (!found.length) return null;
    return el("div.chips", null, found, found.length > 1 && el("a.clear", { href: Cof.link("list", { sort: choices.sort, desc: choices.descending ? 1 : "" }) }, "Clear all"));
  };

  const HEADS = [["verdict", "Verdict"], ["question", "Question"], [null, "Answer"], ["resolution", "Resolution"], ["zooms", "Zooms", "num"], ["errors", "Errors", "num"], ["tokens", "Text tokens", "num"], ["time", "Time", "num"]];

  const head = (choices) => el("tr", null, HEADS.map(([sort, title, kind]) => {
    const active = sort !== null && choices.sort === sort;
    const next = active && choices.descending ? { sort: "", descending: false } : { sort, descending: active };
    return el(kind ? `th.${kind}` : "th", { scope: "col", "aria-sort": active ? (choices.descending ? "descending" : "ascending") : null },
      sort === null ? title : el("button.sort", { type: "button", onclick: () => go(choices, next) }, title,
        el("span.arrow", { "aria-hidden": "true" }, active ? (choices.descending ? " ↓" : " ↑") : "")));
  }));

  const rowLine = (row, several) => {
    const { id, benchmark, text, answer } = Cof.question(row);
    const verdict = Cof.name("verdict", row);
    const done = verdict !== "pending";
    const short = text.trim().split("\n")[0];
    return el("tr", { data: { row } },
      el("td", null, Cof.verdict(verdict), Cof.name("stop", row) !== "answered" && done && el("span.below", null, Cof.stopWords(Cof.name("stop", row)))),
      el("td.question", null,
        el("a", { href: Cof.rowLink(row), data: { row } }, short ? Cof.inline(short.slice(0, 240)) : el("span.muted", null, "text not known yet")),
        el("span.below", null, Cof.inline(benchmark), " ", Cof.inline(id), Cof.name("category", row) && [" · ", Cof.inline(Cof.name("category", row))],
          rows.repeat[row] > 0 && ` · repeat ${rows.repeat[row] + 1}`, several && [" · ", Cof.inline(Cof.manifest.runs[rows.run[row]].label)])),
      el("td.answer", null, rows.answer[row] ? el("span.clamp", null, Cof.inline(rows.answer[row].slice(0, 160))) : el("span.muted", null, "–"),
        answer && verdict === "wrong" && el("span.below", null, "expected ", Cof.inline(answer.slice(0, 60)))),
      el("td.num", null, Cof.name("resolution", row)),
      ["zooms", "errors", "output_tokens"].map((name) => el(name === "errors" && rows[name][row] ? "td.num.warn" : "td.num", null, done ? count(rows[name][row]) : "–")),
      el("td.num", null, done ? Cof.seconds(rows.wall_ms[row] / 1000) : "–"));
  };

  const pager = (choices, page, pages) => {
    const step = (to, text, label) => (to >= 1 && to <= pages
      ? el("a", { href: Cof.choicesLink({ ...choices, page: to }), "aria-label": label, data: { step: label } }, text)
      : el("span.muted", { "aria-hidden": "true" }, text));
    return pages > 1 && el("nav.pager", { "aria-label": "Pages of the list" },
      step(1, "First", "First page"), step(page - 1, "Previous", "Previous page"), el("span", null, `Page ${count(page)} of ${count(pages)}`),
      step(page + 1, "Next", "Next page"), step(pages, "Last", "Last page"));
  };

  const searchBox = (choices) => {
    let timer = 0;
    const search = () => {
      clearTimeout(timer);
      location.replace(Cof.choicesLink({ ...choices, page: 1, search: box.value.trim() })); // typing is one step in the history
    };
    const box = el("input", { type: "search", id: "search", value: choices.search, placeholder: "Search id, question, answer", "aria-label": "Search in id, question and answer",
      title: `Every word must occur; of long answers the first ${count(Cof.manifest.answer_chars)} characters are searched`,
      oninput: () => {
        clearTimeout(timer);
        timer = setTimeout(search, 250);
      },
      onkeydown: (event) => {
        if (event.key === "Enter") search();
      } });
    return box;
  };

  const sortBox = (choices) => {
    const chosen = (event) => go(choices, { sort: event.target.value });
    const options = Object.entries(Cof.sorts).map(([name, { title }]) => el("option", { value: name, selected: name === choices.sort }, title));
    return el("div.sort-box", null,
      el("label.sorting", null, "Sort by ", el("select", { id: "sort", onchange: chosen }, options)),
      el("button.quiet", { type: "button", id: "direction", "aria-pressed": String(choices.descending), onclick: () => go(choices, { descending: !choices.descending }) },
        choices.descending ? "↓ descending" : "↑ ascending"));
  };

  const body = (choices, found, page) => {
    const total = Cof.manifest.rows;
    if (!total) return el("p.empty", null, "This run has no rows yet. They appear here as soon as a session has planned its questions and the report is written again.");
    if (!found.rows.length && rows.ready < total) return el("p.empty", null, "Reading the rows…");
    if (!found.rows.length) return el("p.empty", null, "No row passes these filters. Remove one above, or ", el("a", { href: "#/list" }, "show all rows"), ".");
    const several = Cof.manifest.runs.length > 1;
    return el("div.scroll", null, el("table.rows", null, el("caption.visually-hidden", null, "Rows that pass the filters"), el("thead", null, head(choices)),
      el("tbody", { onclick: (event) => {
        const line = event.target.closest("tr");
        if (line && !event.target.closest("a") && !String(getSelection())) location.hash = Cof.rowLink(Number(line.dataset.row));
      } }, found.rows.slice((page - 1) * PAGE, page * PAGE).map((row) => rowLine(row, several)))));
  };

  const tally = (found) => {
    const { ready } = rows;
    const total = Cof.manifest.rows;
    const loading = ready < total ? `; reading ${count(ready)} of ${count(total)}` : "";
    return found.rows.length === ready ? `${Cof.counted(ready, "row")}${loading}` : `${count(found.rows.length)} of ${Cof.counted(total, "row")}${loading}`;
  };

  Cof.pages = {};
  Cof.pages.list = (view, route) => {
    const choices = Cof.choices(route);
    const found = Cof.selected(choices);
    const pages = Math.max(1, Math.ceil(found.rows.length / PAGE));
    const page = Math.min(choices.page, pages);
    Cof.lastList = Cof.choicesLink(choices);
    const wide = matchMedia("(min-width: 61rem)").matches;
    const open = wide || view.querySelector("details.filters")?.open;
    view.replaceChildren(el("div.list-page", null,
      el("aside", { "aria-label": "Filters" }, el("details.filters", { open }, el("summary", null, "Filters"),
        Cof.facets.map((facet, i) => facetBox(facet, found.counts[i], choices)))),
      el("div.results", null,
        el("div.toolbar", null, el("h1", null, "Trajectories"), searchBox(choices), sortBox(choices)),
        el("p.tally", null, tally(found)), chips(choices), body(choices, found, page), pager(choices, page, pages))));
    if (rows.ready === Cof.manifest.rows) Cof.say(tally(found));
  };
})();
