// What is shown, as the page's address: `#/list?verdict=wrong&q=mug`. Going back and sharing a link both work.
(() => {
  Cof.parseRoute = (hash) => {
    const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
    const values = {};
    for (const part of query.split("&").filter(Boolean)) {
      const [name, value = ""] = part.split("=");
      values[plain(name)] = value;
    }
    return { page: path || "overview", values };
  };

  const plain = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // a link that was cut in the middle
    }
  };

  // A value, and a list of values: separators between them are bare commas, commas within are encoded.
  Cof.one = (route, name) => plain(route.values[name] ?? "");
  Cof.many = (route, name) => (route.values[name] ?? "").split(",").filter(Boolean).map(plain);

  Cof.link = (page, values = {}) => {
    const parts = Object.entries(values)
      .filter(([, value]) => value !== "" && value !== null && value !== undefined && !(Array.isArray(value) && !value.length))
      .map(([name, value]) => `${name}=${[value].flat().map(encodeURIComponent).join(",")}`);
    return `#/${page === "overview" ? "" : page}${parts.length ? `?${parts.join("&")}` : ""}`;
  };

  // A trajectory's address names its row, so that it holds when the report is written again.
  Cof.rowLink = (row, page = "trajectory", more = {}) =>
    Cof.link(page, { run: Cof.rows.run[row], task: Cof.name("task", row), doc: Cof.rows.doc[row], repeat: Cof.rows.repeat[row], ...more });

  Cof.rowOf = (route) => {
    const [run, doc, repeat] = ["run", "doc", "repeat"].map((name) => Number(Cof.one(route, name)));
    const task = Cof.manifest.vocabulary.task.indexOf(Cof.one(route, "task"));
    const { rows } = Cof;
    for (let i = 0; i < rows.ready; i++) {
      if (rows.doc[i] === doc && rows.task[i] === task && rows.run[i] === run && rows.repeat[i] === repeat) return i;
    }
    return -1;
  };
})();
