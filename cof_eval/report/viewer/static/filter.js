// Which rows are listed, in which order, and how many each further choice would leave.
(() => {
  const { rows, questions } = Cof;
  const bucket = (most) => (value) => Math.min(value, most);
  const buckets = (most) => Array.from({ length: most + 1 }, (_, i) => (i < most ? String(i) : `${i}+`));
  const vocabulary = (name) => () => Cof.manifest.vocabulary[name];

  // Each facet: its column, how a row's value becomes a code, the codes' names, and their names in the address.
  Cof.facets = [
    { name: "run", title: "Run", column: "run", names: () => Cof.manifest.runs.map((run) => run.label), keys: () => Cof.manifest.runs.map((_, i) => String(i)) },
    { name: "verdict", title: "Verdict", column: "verdict", names: vocabulary("verdict") },
    { name: "resolution", title: "Resolution", column: "resolution", names: vocabulary("resolution") },
    { name: "benchmark", title: "Benchmark", of: (i) => questions.benchmark[rows.question[i]] ?? 0, names: vocabulary("benchmark") },
    { name: "category", title: "Category", column: "category", names: vocabulary("category") },
    { name: "stop", title: "Stop", column: "stop", names: vocabulary("stop") },
    { name: "zooms", title: "Zooms", column: "zooms", code: bucket(6), names: () => buckets(6) },
    { name: "errors", title: "Tool errors", column: "errors", code: bucket(3), names: () => buckets(3) },
  ];
  for (const facet of Cof.facets) facet.keys ??= facet.names;

  Cof.sorts = {
    "": { title: "as run", of: (i) => i },
    question: { title: "question", of: (i) => rows.question[i] },
    resolution: { title: "resolution", of: (i) => rows.resolution[i] },
    verdict: { title: "verdict", of: (i) => VERDICTS.indexOf(Cof.name("verdict", i)) },
    zooms: { title: "zooms", of: (i) => rows.zooms[i] },
    errors: { title: "tool errors", of: (i) => rows.errors[i] },
    tokens: { title: "text tokens", of: (i) => rows.output_tokens[i] },
    visual: { title: "visual tokens", of: (i) => rows.visual_tokens[i] },
    time: { title: "time", of: (i) => rows.wall_ms[i] },
  };
  const VERDICTS = ["wrong", "unscored", "correct", "pending"];

  const lower = { question: [], answer: [] };
  const lowered = () => {
    for (let i = lower.question.length; i < questions.id.length; i++) lower.question.push(`${questions.id[i]}\n${questions.text[i]}`.toLowerCase());
    for (let i = lower.answer.length; i < rows.ready; i++) lower.answer.push(rows.answer[i].toLowerCase());
  };

  // Whether each row holds every word of the search, in its id, question or answer.
  const searched = (search) => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return () => true;
    lowered();
    const inQuestion = words.map((word) => lower.question.map((text) => text.includes(word)));
    return (i) => words.every((word, w) => inQuestion[w][rows.question[i]] || lower.answer[i].includes(word));
  };

  // The chosen filters of an address.
  Cof.choices = (route) => {
    const chosen = {};
    for (const facet of Cof.facets) chosen[facet.name] = Cof.many(route, facet.name);
    const sort = Cof.one(route, "sort");
    return {
      chosen,
      search: Cof.one(route, "q"),
      sort: sort in Cof.sorts ? sort : "",
      descending: Cof.one(route, "desc") === "1",
      page: Math.max(1, Math.floor(Number(Cof.one(route, "page"))) || 1),
    };
  };

  Cof.choicesLink = (choices) =>
    Cof.link("list", {
      ...choices.chosen,
      q: choices.search,
      sort: choices.sort,
      desc: choices.descending ? 1 : "",
      page: choices.page > 1 ? choices.page : "",
    });

  // Rows that pass (positions), and for each facet the rows that pass all other filters, counted by code.
  Cof.select = (choices) => {
    const facets = Cof.facets.map((facet) => {
      const keys = facet.keys();
      const wanted = new Set(choices.chosen[facet.name].map((key) => keys.indexOf(key)));
      const column = facet.column && rows[facet.column];
      const of = facet.of || (facet.code ? (i) => facet.code(column[i]) : (i) => column[i]);
      return { of, wanted: wanted.size ? wanted : null, counts: new Int32Array(keys.length || 1) };
    });
    const found = searched(choices.search);
    const passed = [];
    const codes = new Array(facets.length);
    for (let i = 0; i < rows.ready; i++) {
      if (!found(i)) continue;
      let missed = -1;
      let misses = 0;
      for (let f = 0; f < facets.length && misses < 2; f++) {
        codes[f] = facets[f].of(i);
        if (facets[f].wanted && !facets[f].wanted.has(codes[f])) {
          misses++;
          missed = f;
        }
      }
      if (misses === 0) {
        passed.push(i);
        for (let f = 0; f < facets.length; f++) facets[f].counts[codes[f]]++;
      } else if (misses === 1) {
        facets[missed].counts[facets[missed].of(i)]++;
      }
    }
    return { rows: sorted(passed, choices), counts: facets.map((facet) => facet.counts) };
  };

  const sorted = (passed, choices) => {
    if (!choices.sort && !choices.descending) return passed;
    const { of } = Cof.sorts[choices.sort];
    const keys = new Float64Array(rows.ready);
    for (const i of passed) keys[i] = of(i);
    const sign = choices.descending ? -1 : 1;
    return passed.sort((a, b) => sign * (keys[a] - keys[b]) || a - b);
  };
})();
