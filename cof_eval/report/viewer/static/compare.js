// The same question side by side: a column for each chosen resolution and run.
(() => {
  const { el, rows } = Cof;
  const FIRST = 3; // columns where the address names none

  const nameOf = (i) => `${rows.run[i]}.${Cof.name("resolution", i)}.${rows.repeat[i]}`;

  // By default the row it came from, between the smallest and the largest resolution of its run.
  const defaults = (row, same) => {
    const own = same.filter((i) => rows.run[i] === rows.run[row] && rows.repeat[i] === rows.repeat[row]);
    const others = same.filter((i) => rows.run[i] !== rows.run[row] && rows.resolution[i] === rows.resolution[row] && rows.repeat[i] === rows.repeat[row]);
    const wanted = new Set([row, ...others, own[0], own.at(-1), ...own].slice(0));
    return same.filter((i) => [...wanted].slice(0, FIRST).includes(i));
  };

  const column = (row, record) => {
    const head = el("header", null, el("h2", null, Cof.name("resolution", row), rows.repeat[row] > 0 && ` · repeat ${rows.repeat[row] + 1}`),
      Cof.manifest.runs.length > 1 && el("p.muted", null, Cof.inline(Cof.manifest.runs[rows.run[row]].label)));
    if (!record) return el("article.column", { data: { row } }, head, Cof.verdict("pending"), el("p.empty", null, "Not run yet."));
    const { trajectory } = record;
    const calls = Cof.calls(record);
    const tokens = trajectory.turns.reduce((all, turn) => all + turn.output_tokens, 0);
    const ignore = () => {};
    return el("article.column", { data: { row }, "aria-label": `${Cof.name("resolution", row)}` }, head,
      Cof.shownImage(record, row, null),
      el("p.outcome", null, Cof.verdict(record.verdict ? record.verdict.verdict : "unscored"), " ",
        trajectory.answer ? Cof.inline(trajectory.answer.slice(0, 200)) : el("span.muted", null, Cof.stopWords(trajectory.stop))),
      el("p.muted", null, `${Cof.size(trajectory.shown.size)} px · ${Cof.counted(calls.filter((each) => each.call.crop).length, "zoom")} · ${Cof.counted(tokens, "text token")}, ${Cof.count(rows.visual_tokens[row])} visual · ${Cof.seconds(trajectory.wall_s)}`),
      calls.some((each) => each.call.crop) && el("div.crops", null, calls.filter((each) => each.call.crop).map((each) => el("figure", null, Cof.crop(record, row, each), el("figcaption", null, el("span.number", null, String(each.number)))))),
      el("details.transcript", null, el("summary", null, "What it said"), Cof.turns(record, row, ignore)),
      el("p", null, el("a", { href: Cof.rowLink(row) }, "Open this trajectory")));
  };

  const cells = (row, same, shown) => {
    const runs = [...new Set(same.map((i) => rows.run[i]))].sort((a, b) => a - b);
    const link = (i) => {
      const next = shown.includes(i) ? shown.filter((one) => one !== i) : [...shown, i];
      return Cof.rowLink(row, "compare", { show: next.length ? next.map(nameOf) : ["none"] });
    };
    return el("div.elsewhere.choice", { role: "group", "aria-label": "Columns" }, runs.map((run) => el("div.elsewhere-run", null,
      runs.length > 1 && el("span.muted", null, Cof.inline(Cof.manifest.runs[run].label)),
      el("div.cells", null, same.filter((i) => rows.run[i] === run).map((i) => {
        const verdict = Cof.name("verdict", i);
        const name = `${Cof.name("resolution", i)}${rows.repeat[i] ? `, repeat ${rows.repeat[i] + 1}` : ""}`;
        return el("a.cell", { href: link(i), role: "button", "aria-pressed": String(shown.includes(i)), "aria-label": `${name}: ${verdict}`, title: verdict, data: { cell: nameOf(i) } },
          el(`span.verdict.${verdict}`, null, Cof.mark(verdict)), name);
      })))));
  };

  Cof.pages.compare = async (view, route, current) => {
    await Cof.loadIndex();
    const row = Cof.rowOf(route);
    if (row < 0) return current() && view.replaceChildren(el("p.empty", null, "There is no such question in this report."));
    const same = Cof.sameQuestion(row);
    const named = Cof.many(route, "show");
    const shown = named.length ? same.filter((i) => named.includes(nameOf(i))) : defaults(row, same);
    const records = await Promise.all(shown.map(Cof.record));
    if (!current()) return;
    const { id, benchmark, text, answer } = Cof.question(row);
    view.replaceChildren(
      el("div.bar", null, el("a", { href: Cof.rowLink(row), data: { step: "List" } }, "← Trajectory")),
      el("header.asked", null, el("p.where", null, Cof.inline(benchmark), " · ", Cof.inline(id), answer && [" · expected ", Cof.inline(answer)]),
        el("h1", { dir: "auto" }, Cof.inline(text.split("\n")[0].slice(0, 300)))),
      cells(row, same, shown),
      shown.length ? el("div.compare", { tabindex: 0, role: "region", "aria-label": "Side by side", style: { gridTemplateColumns: `repeat(${shown.length}, minmax(17rem, 1fr))` } }, shown.map((i, at) => column(i, records[at])))
        : el("p.empty", null, "Choose resolutions above to see them side by side."));
    document.title = `${id} side by side · cof-eval`;
  };
})();
