// One trajectory: the question, what the model was shown and where it looked, what it said, and what that was worth.
(() => {
  const { el, rows, count } = Cof;

  const total = (record, row) => {
    const { turns, shown, image, wall_s } = record.trajectory;
    const sum = (name) => turns.reduce((all, turn) => all + turn[name], 0);
    const calls = Cof.calls(record);
    const zooms = calls.filter((each) => each.call.crop).length;
    const errors = calls.filter((each) => each.call.error).length;
    return [
      ["Shown", `${Cof.size(shown.size)} px`], ["Native", `${Cof.size(image.size)} px`],
      ["Turns", count(turns.length)], ["Zooms", count(zooms)], ["Tool errors", count(errors)],
      ["Text tokens", `${count(sum("output_tokens"))} generated`], ["Visual tokens", `${count(rows.visual_tokens[row])}, each image once`], ["Prompt tokens", `${count(sum("prompt_tokens"))}, ${count(sum("cached_tokens"))} cached`],
      ["Engine", Cof.seconds(sum("engine_s"))], ["Wall", Cof.seconds(wall_s)],
    ];
  };

  const options = (question, answer) => {
    if (!question.options.length) return null;
    return el("ol.options", null, question.options.map((option, i) => {
      const letter = String.fromCharCode(65 + i);
      const right = letter === question.answer;
      return el(right ? "li.right" : "li", null, el("span.letter", null, letter), Cof.inline(option),
        right && el("span.tag", null, "expected"), answer.trim() === letter && el("span.tag", null, "answered"));
    }));
  };

  // The same question at other resolutions and in other runs, a line per run.
  Cof.elsewhere = (row, page, more) => {
    const same = Cof.sameQuestion(row);
    if (same.length < 2) return null;
    const runs = [...new Set(same.map((i) => rows.run[i]))].sort((a, b) => a - b);
    return el("div.elsewhere", null, runs.map((run) => el("div.elsewhere-run", null,
      runs.length > 1 && el("span.muted", null, Cof.inline(Cof.manifest.runs[run].label)),
      el("div.cells", null, same.filter((i) => rows.run[i] === run).map((i) => {
        const verdict = Cof.name("verdict", i);
        const name = `${Cof.name("resolution", i)}${rows.repeat[i] ? `, repeat ${rows.repeat[i] + 1}` : ""}`;
        return el("a.cell", { href: Cof.rowLink(i, page, more), "aria-current": i === row ? "true" : null, "aria-label": `${name}: ${verdict}`, title: verdict, data: { row: i } },
          el(`span.verdict.${verdict}`, null, Cof.mark(verdict)), name);
      })))));
  };

  // Marks the chosen box everywhere; `number` 0 marks none.
  const choose = (view, number) => {
    view.dataset.chosen = number;
    for (const element of view.querySelectorAll("[data-box]")) element.classList.toggle("chosen", Number(element.dataset.box) === number);
    view.classList.toggle("choosing", number > 0);
  };

  const follow = (view, number) => {
    choose(view, Number(view.dataset.chosen) === number ? 0 : number);
    const card = view.querySelector(`.call[data-box="${number}"]`);
    if (card && view.dataset.chosen !== "0") card.scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  };

  Cof.stepBox = (by) => {
    const view = document.getElementById("view");
    const numbers = [...view.querySelectorAll(".call")].map((card) => Number(card.dataset.box));
    if (!numbers.length) return Cof.say("This trajectory has no calls");
    const at = numbers.indexOf(Number(view.dataset.chosen));
    const next = numbers[at < 0 ? (by > 0 ? 0 : numbers.length - 1) : (at + by + numbers.length) % numbers.length];
    choose(view, 0);
    follow(view, next);
    Cof.say(`Box ${next}`);
  };

  const bar = (row) => {
    const listed = Cof.selected(Cof.choices(Cof.parseRoute(Cof.lastList))).rows;
    const at = listed.indexOf(row);
    const step = (to, text, key) => (to >= 0 && to < listed.length && at >= 0
      ? el("a", { href: Cof.rowLink(listed[to]), data: { step: text } }, text, " ", el("kbd", null, key)) : el("span.muted", null, text));
    return el("div.bar", null, el("a", { href: Cof.lastList, data: { step: "List" } }, "← List"),
      el("span.muted", null, at >= 0 ? `${count(at + 1)} of ${count(listed.length)}` : "not in the filtered list"),
      el("span.spring"), step(at - 1, "Previous", "k"), step(at + 1, "Next", "j"));
  };

  Cof.lastRow = -1; // the row that was looked at last

  const missing = (view, row) => view.replaceChildren(bar(row), el("p.empty", null, row < 0
    ? "There is no such row in this report. The link may come from a report of other runs."
    : "This row is pending: the run has not come to it yet. Run the same command again, then write the report again."), row < 0 ? "" : Cof.elsewhere(row, "trajectory") || "");

  Cof.pages.trajectory = async (view, route, current) => {
    await Cof.loadIndex();
    const row = Cof.rowOf(route);
    const record = row < 0 ? null : await Cof.record(row);
    if (!current()) return;
    Cof.lastRow = row;
    if (!record) return missing(view, row);
    const { question, protocol, repeat } = record.trajectory;
    const chosen = (number) => follow(view, number);
    const image = Cof.shownImage(record, row, chosen);
    const lines = question.text.split("\n");
    const compare = Cof.sameQuestion(row).length > 1;
    view.replaceChildren(bar(row), el("article.trajectory", null,
      el("header.asked", null,
        el("p.where", null, Cof.inline(question.benchmark), " · ", Cof.inline(question.id), question.category && [" · ", Cof.inline(question.category)],
          " · at ", el("strong", null, Cof.name("resolution", row)), " · protocol ", Cof.inline(protocol), repeat > 0 && ` · repeat ${repeat + 1}`,
          Cof.manifest.runs.length > 1 && [" · ", el("strong", null, Cof.inline(Cof.manifest.runs[rows.run[row]].label))]),
        el("h1", { dir: "auto" }, Cof.inline(lines[0].slice(0, 300))),
        (lines.length > 1 || lines[0].length > 300) && el("details.whole", null, el("summary", null, "The question as asked"), Cof.prose(question.text)),
        options(question, record.trajectory.answer)),
      el("div.columns", null,
        el("div.look", null,
          el("figure.shown", null, image, el("figcaption", null,
            el("span", null, "Shown image"),
            Cof.calls(record).some((each) => each.box) && el("span.key.key-box", null, "box asked for"), Cof.calls(record).some((each) => each.cut) && el("span.key.key-cut", null, "cut out"),
            record.targets.length > 0 && el("label.key.key-target", null, el("input", { type: "checkbox", id: "targets", checked: true, onchange: (event) => image.classList.toggle("no-targets", !event.target.checked) }), "annotated target"))),
          compare && el("section", { "aria-label": "The same question elsewhere" }, el("h2", null, "The same question", el("a.action", { href: Cof.rowLink(row, "compare"), data: { step: "Compare" } }, "side by side ", el("kbd", null, "c"))), Cof.elsewhere(row, "trajectory")),
          Cof.verdictPanel(record),
          el("section", { "aria-label": "Totals" }, el("h2", null, "Totals"), el("dl.facts", null, total(record, row).map(([term, value]) => [el("dt", null, term), el("dd", null, value)])))),
        el("div.said-column", null, Cof.turns(record, row, chosen)))));
    choose(view, 0);
    document.title = `${question.id} at ${Cof.name("resolution", row)} · cof-eval`;
  };
})();
