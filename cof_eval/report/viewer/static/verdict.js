// Verdicts: a shape, a word and a colour each, so that none of the three is needed to tell them apart.
(() => {
  const { el, mark } = Cof;
  const WORDS = { correct: "Correct", wrong: "Wrong", unscored: "Unscored", pending: "Pending" };
  const STOPS = {
    answered: "answered", no_answer: "no answer", max_turns: "turn limit", length: "cut at the token limit",
    context_full: "context full", error: "engine error", pending: "not run yet",
  };

  Cof.verdict = (name) => el(`span.verdict.${name in WORDS ? name : "unscored"}`, null, mark(name in WORDS ? name : "unscored"), WORDS[name] || name);
  Cof.stopWords = (name) => STOPS[name] || name;

  const by = (verdict) => {
    if (verdict.by.startsWith("rule:")) return `the rule “${verdict.by.slice(5)}”`;
    if (verdict.by.startsWith("stop:")) return `how it ended: ${Cof.stopWords(verdict.by.slice(5))}`;
    return verdict.by === "judge" ? `the judge ${verdict.model || "(unnamed)"}` : verdict.by === "none" ? "nobody" : verdict.by;
  };

  // What the answer is worth, who said so, and why.
  Cof.verdictPanel = (record) => {
    const { verdict, trajectory } = record;
    const asked = trajectory.question;
    const name = verdict ? verdict.verdict : "unscored";
    const facts = [
      ["Answer", trajectory.answer ? Cof.prose(trajectory.answer) : el("span.muted", null, `none: ${Cof.stopWords(trajectory.stop)}`)],
      ["Expected", !asked.answer ? el("span.muted", null, "no standard answer") : Cof.inline(asked.options.length ? `${asked.answer}: ${asked.options[asked.answer.charCodeAt(0) - 65] ?? ""}` : [asked.answer, ...(asked.also ?? [])].join(" or "))],
      ["Decided by", verdict ? Cof.inline(by(verdict)) : el("span.muted", null, "not judged yet")],
    ];
    if (verdict) {
      if (verdict.label) facts.push(["Label", Cof.inline(verdict.label)]);
      if (verdict.reason) facts.push(["Why", Cof.prose(verdict.reason)]);
      if (verdict.raw && verdict.raw !== verdict.label) facts.push(["Judge’s reply", Cof.prose(verdict.raw)]);
      facts.push(["Card", Cof.inline(verdict.card)]);
      if (verdict.judge_s) facts.push(["Judge’s time", Cof.seconds(verdict.judge_s)]);
    }
    if (trajectory.error) facts.push(["Error", Cof.prose(trajectory.error)]);
    return el(`section.panel.verdict-panel.${name}`, { "aria-label": "Verdict" },
      el("h2", null, Cof.verdict(name), el("small", null, `· ${Cof.stopWords(trajectory.stop)}`)),
      el("dl.facts", null, facts.map(([term, value]) => [el("dt", null, term), el("dd", null, value)])));
  };
})();
