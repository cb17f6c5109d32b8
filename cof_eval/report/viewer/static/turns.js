// What the model said and got, turn by turn.
(() => {
  const { el, count } = Cof;
  const numbers = (box) => `[${box.map((value) => (Number.isInteger(value) ? value : Number(value.toFixed(2)))).join(", ")}]`;
  const SAID = { zoom: "zoom", quirk: "error answered with an image", error: "tool error", ignored: "not executed" };

  const callCard = (record, row, each, choose) => {
    const { call, number } = each;
    const kind = Cof.outcome(each);
    const head = el("div.call-head", null,
      el("button.number", { type: "button", onclick: () => choose(number), "aria-label": `Show box ${number} on the image`, data: { outcome: kind } }, String(number)),
      el("span.call-kind", null, SAID[kind]),
      call.box && el("code", null, `${numbers(call.box)} ${call.frame ?? ""}`));
    return el("div.call", { data: { box: number, outcome: kind } },
      head,
      call.error && el("div.call-error", null, el("span.term", null, kind === "quirk" ? "What was wrong" : "The model was told"), Cof.prose(call.error)),
      !call.box && Cof.prose(call.raw, undefined, "div.prose.raw"),
      call.crop && el("figure", null, Cof.crop(record, row, each),
        el("figcaption", null, `${Cof.size(call.crop.size)} px · ${call.crop.visual_tokens ? `${Cof.counted(call.crop.visual_tokens, "visual token")} · ` : ""}native ${numbers(call.crop.native_box.map(Math.round))}`)));
  };

  const facts = (turn) => [
    [`${count(turn.output_tokens)}`, "output"],
    [`${count(turn.prompt_tokens)}`, `prompt${turn.cached_tokens ? `, ${count(turn.cached_tokens)} cached` : ""}`],
    [turn.visual_tokens === null ? "–" : count(turn.visual_tokens), turn.visual_tokens === null ? "visual, not told" : "visual"],
    [Cof.seconds(turn.engine_s), "engine"],
  ];

  // All turns; `choose(number)` shows a call's box on the image.
  Cof.turns = (record, row, choose) => {
    const calls = Cof.calls(record);
    const { turns } = record.trajectory;
    if (!turns.length) return el("p.empty", null, "The model said nothing: it was never asked, or the engine failed first.");
    return el("ol.turns", null, turns.map((turn, t) =>
      el("li.turn", { "aria-label": `Turn ${t + 1}` },
        el("header.turn-head", null,
          el("h3", null, `Turn ${t + 1}`),
          turn.tool_calls?.length > 0 && el("span.tag", { title: turn.tool_calls.map((call) => call.id).join(", ") }, Cof.counted(turn.tool_calls.length, "native call")),
          turn.finish === "length" && el("span.tag.warn", null, "cut at its token limit"),
          el("dl.turn-facts", null, facts(turn).map(([value, term]) => el("div", null, el("dt", null, term), el("dd", null, value))))),
        turn.text ? Cof.turnText(turn.text) : el("p.muted", null, "An empty reply."),
        calls.filter((each) => each.turn === t).map((each) => callCard(record, row, each, choose)))));
  };
})();
