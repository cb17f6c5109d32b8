// A picture with boxes on it, or, where it was not kept, a frame of its shape with the same boxes.
(() => {
  const { el } = Cof;

  Cof.pictureSource = (record, row, hash) => {
    const suffix = record.pictures[hash];
    return suffix ? `${Cof.manifest.runs[Cof.rows.run[row]].images}${hash.slice(0, 2)}/${hash}.${suffix}` : null;
  };

  const missing = (text) => el("span.missing", null, text);

  // An image with its size known before it is loaded.
  Cof.photo = (source, [width, height], alt) => {
    const aspect = width && height ? width / height : 4 / 3;
    const frame = el("div.photo", { style: { aspectRatio: String(aspect) } });
    frame.style.setProperty("--aspect", aspect);
    const absent = () => {
      frame.classList.add("absent");
      frame.prepend(missing(width && height ? `${Cof.size([width, height])} · picture not kept` : "the image could not be read"));
    };
    if (!source) absent();
    else {
      const image = el("img", { src: source, alt, decoding: "async" });
      image.addEventListener("error", () => {
        image.remove();
        absent();
      });
      frame.append(image);
    }
    return frame;
  };

  const place = ([x1, y1, x2, y2]) => ({
    left: `${100 * x1}%`, top: `${100 * y1}%`, width: `${100 * (x2 - x1)}%`, height: `${100 * (y2 - y1)}%`,
  });
  const clipped = (box) => box.map((value) => Math.min(1, Math.max(0, value)));
  const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

  // Every call with its number, over all turns: {number, turn, call, box, cut}.
  Cof.calls = (record) => {
    let number = 0;
    return record.trajectory.turns.flatMap((turn, t) =>
      turn.calls.map((call, c) => ({ number: ++number, turn: t, call, box: record.boxes[t][c], cut: record.cuts[t][c] })));
  };

  Cof.outcome = ({ call }) => (call.crop && call.error ? "quirk" : call.crop ? "zoom" : call.error ? "error" : "ignored");

  // The shown image with every box that can be placed on it; `choose(number)` hears of a click.
  Cof.shownImage = (record, row, choose) => {
    const { shown, question } = record.trajectory;
    const frame = Cof.photo(Cof.pictureSource(record, row, shown.hash), shown.size, "The image that the model was shown");
    frame.classList.add("boxed");
    for (const target of record.targets) frame.append(el("span.target", { style: place(target), title: `annotated target of ${question.id}` }));
    const calls = Cof.calls(record).filter((each) => each.box);
    const corners = new Map(); // how many boxes begin at about the same place: their numbers stand side by side
    for (const each of calls.sort((a, b) => area(b.box) - area(a.box))) {
      const begin = each.box.slice(0, 2).map((value) => Math.round(value * 50)).join();
      corners.set(begin, (corners.get(begin) ?? -1) + 1);
      const label = `Box ${each.number}`;
      const corner = each.box[1] < 0.06 ? "low" : "high";
      const box = el(choose ? "button.box" : "span.box", {
        type: choose ? "button" : null, style: place(clipped(each.box)), title: `${label}, turn ${each.turn + 1}`,
        "aria-label": choose ? `${label}, turn ${each.turn + 1}` : null, data: { box: each.number, outcome: Cof.outcome(each), corner },
        onclick: choose ? () => choose(each.number) : null,
      }, el("span.number", null, String(each.number)));
      box.style.setProperty("--before", corners.get(begin));
      if (each.cut) frame.append(el("span.cut", { style: place(each.cut), data: { box: each.number } }));
      frame.append(box);
    }
    return frame;
  };

  Cof.crop = (record, row, { number, call }) =>
    Cof.photo(Cof.pictureSource(record, row, call.crop.hash), call.crop.size, `What box ${number} gave the model`);
})();
