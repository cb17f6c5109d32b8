// Texts that others wrote: shown whole and as they are, with what would be invisible or misleading made visible.
(() => {
  const { el } = Cof;
  const LONG = 4000; // characters shown before a button shows the rest
  // controls but tab and line break, soft hyphen, zero-width characters, and what changes the direction of text
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]/;
  const HIDDEN_ALL = new RegExp(HIDDEN, "g");
  const TAG = /<(\/?)(think|tool_call|grounding|answer)>/gi;

  const named = (char) => {
    const code = `U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
    return el("span.control", { title: `control character ${code}` }, code);
  };

  // Text as nodes, hidden characters as labels.
  const nodes = (text) => {
    if (!HIDDEN.test(text)) return [text];
    const found = [];
    let end = 0;
    for (const match of text.matchAll(HIDDEN_ALL)) {
      if (match.index > end) found.push(text.slice(end, match.index));
      found.push(named(match[0]));
      end = match.index + 1;
    }
    found.push(text.slice(end));
    return found;
  };

  // A short text in one line, in its own direction.
  Cof.inline = (text) => el("bdi.said", null, nodes(text));

  // A text of any length; `style` turns the part that is shown into nodes.
  Cof.prose = (text, style = nodes, selector = "div.prose") => {
    const body = el(selector, { dir: "auto" });
    if (text.length <= LONG) {
      body.append(...style(text));
      return body;
    }
    const rest = el("button.quiet", { type: "button", onclick: () => body.replaceChildren(...style(text)) },
      `Show all ${Cof.count(text.length)} characters`);
    body.append(...style(text.slice(0, LONG)), el("span.muted", null, " … "), rest);
    return body;
  };

  // A turn as the model wrote it, every character kept; its tags only decide how the parts look.
  const tagged = (text) => {
    const found = [];
    const open = [];
    let end = 0;
    const add = (part) => {
      if (part) found.push(el(`span.${open.at(-1) || "plain"}`, null, nodes(part)));
    };
    for (const match of text.matchAll(TAG)) {
      add(text.slice(end, match.index));
      const name = match[2].toLowerCase();
      if (match[1]) {
        if (open.includes(name)) open.length = open.lastIndexOf(name);
      } else open.push(name);
      found.push(el("span.tag-text", null, match[0]));
      end = match.index + match[0].length;
    }
    add(text.slice(end));
    return found;
  };
  Cof.turnText = (text) => Cof.prose(text, tagged, "div.prose.model-text");
})();
