// What was written beside the page, loaded by script tags when it is needed (pages of the file system may not fetch).
(() => {
  const folder = "viewer/data/";
  const policy = window.trustedTypes
    ? trustedTypes.createPolicy("cof-chunks", {
        createScriptURL: (url) => {
          if (/^viewer\/data\/[a-z]+(-\d+)*\.js$/.test(url)) return url;
          throw new TypeError(`${url} is no chunk of this report`);
        },
      })
    : { createScriptURL: (url) => url };
  const waiting = new Map();
  const loading = new Map();

  Cof.receive = (name, value) => {
    if (name === "manifest") Cof.manifest = value;
    else waiting.get(name)?.(value);
    waiting.delete(name);
  };

  // The value of a chunk; a chunk is loaded once, and kept as long as `keep` says.
  const load = (name, keep = true) => {
    if (loading.has(name)) return loading.get(name);
    const promise = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      waiting.set(name, resolve);
      script.onload = () => script.remove();
      script.onerror = () => {
        script.remove();
        loading.delete(name);
        reject(new Error(`${folder}${name}.js cannot be read: keep the folder viewer/ beside index.html, or write the report again`));
      };
      script.src = policy.createScriptURL(`${folder}${name}.js`);
      document.head.append(script);
    });
    if (keep) loading.set(name, promise);
    return promise;
  };

  const NUMBERS = ["task", "doc", "repeat", "question", "resolution", "category", "verdict", "stop", "by",
    "zooms", "errors", "turns", "output_tokens", "visual_tokens", "wall_ms", "record"];

  // All rows of all runs as columns, filled chunk by chunk; `rows.ready` of them are there.
  const rows = { ready: 0, answer: [], run: null };
  const questions = { id: [], benchmark: [], text: [], answer: [] };
  Cof.rows = rows;
  Cof.questions = questions;

  const allocate = () => {
    const total = Cof.manifest.rows;
    for (const name of NUMBERS) rows[name] = new Int32Array(total);
    rows.run = new Uint16Array(total);
    Cof.manifest.runs.forEach((run, i) => rows.run.fill(i, run.first, run.first + run.rows));
  };

  const addRows = (chunk) => {
    for (const name of NUMBERS) rows[name].set(chunk[name], rows.ready);
    for (const answer of chunk.answer) rows.answer.push(answer);
    rows.ready += chunk.answer.length;
  };

  const addQuestions = (items) => {
    for (const [id, benchmark, text, answer] of items) {
      questions.id.push(id);
      questions.benchmark.push(benchmark);
      questions.text.push(text);
      questions.answer.push(answer);
    }
  };

  const ordered = async (prefix, chunks, add, then) => {
    const parts = chunks.map((_, i) => load(`${prefix}-${i}`, false));
    for (const part of parts) part.catch(() => {}); // reported by the one that is awaited first
    for (const part of parts) {
      add(await part);
      then();
    }
  };

  let whole = null;
  const listeners = new Set();
  const grown = () => listeners.forEach((listener) => listener());

  // Loads the index once; `listener` hears of every part of it that arrives. Resolves when all is there.
  Cof.loadIndex = (listener) => {
    if (listener) listeners.add(listener);
    if (!whole) {
      allocate();
      whole = Promise.all([
        ordered("questions", Cof.manifest.questions, addQuestions, grown),
        ordered("rows", Cof.manifest.chunks, addRows, grown),
      ]).then(() => undefined);
      whole.catch(() => {});
    }
    return whole.finally(() => listeners.delete(listener));
  };

  // Position of the chunk that holds item `at`, given each chunk's first item.
  const chunkOf = (starts, at) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= at) low = middle;
      else high = middle - 1;
    }
    return low;
  };

  const KEPT = 24; // record chunks held at once
  // The record of a row; null while the row has no trajectory.
  Cof.record = async (row) => {
    if (rows.record[row] < 0) return null;
    const run = rows.run[row];
    const starts = Cof.manifest.runs[run].records;
    const chunk = chunkOf(starts, rows.record[row]);
    const name = `records-${run}-${chunk}`;
    const records = await load(name);
    loading.delete(name); // put last: the chunks used longest ago are let go of first
    loading.set(name, Promise.resolve(records));
    if (loading.size > KEPT) loading.delete(loading.keys().next().value);
    return records[rows.record[row] - starts[chunk]];
  };

  Cof.name = (kind, row) => Cof.manifest.vocabulary[kind][rows[kind][row]];
  Cof.question = (row) => {
    const at = rows.question[row];
    const name = Cof.manifest.vocabulary.benchmark[questions.benchmark[at]];
    return { id: questions.id[at] ?? "", benchmark: name ?? "", text: questions.text[at] ?? "", answer: questions.answer[at] ?? "" };
  };
  // Rows about the same question in any run, in the order of resolutions, runs and repeats.
  Cof.sameQuestion = (row) => {
    const found = [];
    for (let i = 0; i < rows.ready; i++) if (rows.question[i] === rows.question[row]) found.push(i);
    return found.sort((a, b) => rows.resolution[a] - rows.resolution[b] || rows.run[a] - rows.run[b] || rows.repeat[a] - rows.repeat[b]);
  };
})();
