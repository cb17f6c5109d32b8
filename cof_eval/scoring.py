"""What rules alone can say of an answer: correct, wrong, or undecided. Pure.

A rule decides only what it can read in full: the whole answer must be one statement that the grammar below explains, or
end in one, and nothing around it may speak for another option. Everything else stays undecided, with the reason, and is
left to a judge: an undecided answer costs a judge call, a false ruling costs the truth of a score.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .records import Outcome, Question

RULES_VERSION = 1
"""Part of every verdict's key: raise it when a rule changes, and runs are scored by the new rules."""

MAX_CHARS = 2000
"""A longer answer is an essay: no rule reads it."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the rules say of one answer."""

    outcome: Outcome | None
    """None: undecided."""
    rule: str
    """The rule that decided, or why none did."""
    chosen: str = ""
    """The option letter, or the value of an open answer, that was read."""


def score(answer: str, question: Question) -> Ruling:
    """Rule on the text of an answer; several different answers stand one a line. Never raises."""
    if not question.answers:
        return Ruling(None, "no_standard_answer")
    if len(answer.strip()) > MAX_CHARS:
        return Ruling(None, "too_long")
    text = _cleaned(answer)
    if not text:
        return Ruling(Outcome.WRONG, "empty")
    if len(text) > MAX_CHARS:
        return Ruling(None, "too_long")
    if not question.options:
        return _score_any(text, question)
    return _score_choice(text, replace(question, options=tuple(map(_cleaned, question.options))))


# --- text: what counts as the same ---------------------------------------------------------------------------------

_KEPT = ("<super>", "<sub>", "<fraction>", "<compat>")  # 10² is not 102, № is not "no"
_SIGNS = str.maketrans({"“": '"', "”": '"', "‘": "'", "’": "'"} | dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", ""))
_LATEX = re.compile(r"(?<![\w}])\\(?:boxed|text|textbf|textit|mathrm|mathbf) ?\{([^{}]*)\}(?![\w{\\])")
_MATH = re.compile(r"(?<![\w\\])\$([^\s$](?:[^$\n]*[^\s$])?)\$(?!\w)|\\[()\[\]]")
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|_{1,3}|`{1,3})([^\s*_`](?:[^*_`\n]*[^\s*_`])?)\1(?!\w)")
_HEADING = re.compile(r"^#{2,6} ")
_BREAK_AFTER_COLON = re.compile(r"(?<=answer:)\n|(?<=answer is:)\n", re.IGNORECASE)


def _cleaned(text: str) -> str:
    """Full-width and styled characters folded; markdown, LaTeX wrappers, spare blanks and empty lines removed."""
    folded = "".join(
        c if unicodedata.decomposition(c).startswith(_KEPT) else unicodedata.normalize("NFKC", c)
        for c in unicodedata.normalize("NFC", text)
    ).translate(_SIGNS)
    for _ in range(3):  # one wrapper may enclose another
        folded = _EMPHASIS.sub(r"\2", _MATH.sub(lambda m: m[1] or " ", _LATEX.sub(r"\1", folded)))
    lines = (_HEADING.sub("", " ".join(line.split())) for line in folded.splitlines())
    return _BREAK_AFTER_COLON.sub(" ", "\n".join(filter(None, lines)))


_NUMBERS = {word: str(n) for n, word in enumerate([
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
])}  # fmt: skip
_END_MARK = re.compile(r"(?:[.,;:]|(?<=[^\W\d])!)$")
_QUOTED = re.compile(r"([\"'])([^\"']*)\1")
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_ARTICLE = re.compile(r"^(?:a|an|the) (?=[^\W\d_]{2})")
_FILLERS = {"a", "an", "the", "is", "are", "of", "and"}


def _unquoted(text: str) -> str:
    return quoted[2] if (quoted := _QUOTED.fullmatch(text)) else text


def _strict(text: str) -> str:
    """What remains when case, blanks, hyphens inside words, enclosing quotes and a closing mark do not count."""
    for _ in range(2):
        text = _unquoted(_END_MARK.sub("", text.strip()).strip())
    return _HYPHEN.sub(" ", " ".join(text.split()).casefold())


def _loose(text: str) -> str:
    """What remains when, besides, a leading article and a number's spelling do not count."""
    bare = _ARTICLE.sub("", _strict(text))
    return _NUMBERS.get(bare, bare)


def _words(text: str) -> str:
    """The words with a blank on either side of each, so that `in` compares whole words."""
    return "".join(f" {_NUMBERS.get(word, word)}" for word in re.findall(r"\w+", text.casefold())) + " "


# --- statements: "Based on the image, the answer is (C)." ----------------------------------------------------------

_LEAD = (
    r"(?P<lead>(?:(?:so|thus|therefore|hence|finally|overall|in conclusion)(?:, ?| )|i (?:think|believe) (?:that )?"
    r"|(?:based on|according to|looking at|from|given|considering) [^,.;:!?\n]{1,80}, ?){0,3})"
)
_NAMED = (
    r"(?:(?:the|my) )?(?:(?:correct|right|final|best|most (?:accurate|likely|appropriate)) ){0,2}(?:answer|ans|option|choice)"
    r"(?: to (?:the|this|your) question)?(?: (?:is|should be|would be)\b(?: ?:)?| ?[:=]) ?"
)
_HEAD = rf"(?P<head>(?:{_NAMED}|(?:it is|it's|they are|there are|i (?:choose|pick|select)) ){{0,2}})"
_LETTER = (
    r"(?P<label>(?:the )?(?:option|choice|letter|answer) )?(?P<open>[(\[{] ?)?(?P<quote>[\"'])?"
    r"(?P<letter>(?-i:[A-Za-z]))(?(quote)(?P=quote))(?P<close> ?[)\]}])?(?![\w'])(?P<rest>.*)"
)
_LETTERED = re.compile(_LEAD + _HEAD + _LETTER, re.IGNORECASE | re.DOTALL)
_TEXTUAL = re.compile(rf"{_LEAD}{_HEAD}(?P<text>.+)", re.IGNORECASE)
_CONCLUSION = re.compile(rf"(?<=[.!?])\s(?=(?-i:[A-Z]))(?={_LEAD}{_NAMED})", re.IGNORECASE)
_ENDED = re.compile(r"(?: is (?:correct|(?:the )?(?:(?:correct|right|best|final) )?(?:answer|option|choice)))? ?[.,;:!]?")
_BODY = re.compile(r"(?P<mark> ?[.,:;–—-]?)(?P<gap>[ \n]?)(?P<body>.+)", re.DOTALL)
_REASON = re.compile(r"(?:(because|(?:explanation|reason|reasoning):)|since|as|due to|given that) ", re.IGNORECASE)
_QUALITY = r"(?P<quality>the (?:colou?r|material|shape) of )?"
_ASKED = re.compile(rf"\bwhat (?:\w+ )?(?:is|are) {_QUALITY}(?P<subject>the [^?]+)\?", re.IGNORECASE)
_MENTION = re.compile(
    r"(?<![\w'])(?-i:([A-Zb-hj-z]))(?![\w'])|\b([ai]) ?[)\]},]|\b(?:option|choice|letter|answer) ([ai])\b", re.IGNORECASE
)


def _any_of(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})\b", re.IGNORECASE)


_REFUSAL = _any_of(
    r"can ?not|can't|could not|couldn't|unable|impossible|unclear|unsure|uncertain|don't know|do not know|insufficient"
    r"|not (?:sure|certain|possible|clear|enough)|indeterminate|unknown|sorry"
)
_WITHDRAWAL = _any_of(r"wrong|incorrect|false|mistaken?|untrue|not true|unlikely|ruled out|eliminat\w+|exclud\w+|reject\w+")
_NEGATION = _any_of(r"not|no|never|neither|nor|none|without|except|\w+n't")
_HEDGE = _any_of(
    r"but|however|wait|actually|instead|rather|or|either|maybe|perhaps|might|may|could|if|unless|guess|although|though|doubt"
)


def _retracted(text: str) -> bool:
    return bool(_REFUSAL.search(text) or _WITHDRAWAL.search(text))


def _doubted(text: str) -> bool:
    return bool("?" in text or _NEGATION.search(text) or _HEDGE.search(text))


def _forms(line: str, question: Question) -> Iterator[tuple[str, str]]:
    """(lead, text) of what the line may amount to: itself, what it states, what it says of the subject asked about."""
    yield "", line
    if (stated := _TEXTUAL.fullmatch(line)) and not (_retracted(stated["lead"]) or _doubted(stated["lead"])):
        yield stated["lead"], stated["text"]
    asked = _ASKED.search(" ".join(question.text.split()))
    if asked and question.text.count("?") == 1:
        about = rf"(?:{asked['quality'] or ''})?{re.escape(asked['subject'])}"
        if said := re.fullmatch(rf"{about} (?:is|are) (?:made of )?(.+)", line, re.IGNORECASE):
            yield "", said[1]


# --- questions with options ----------------------------------------------------------------------------------------


def _score_choice(text: str, question: Question) -> Ruling:
    reading = _choice(text, question) or Ruling(None, _why_undecided(text, question))
    if not reading.chosen:
        return reading
    if reading.chosen == question.answer:
        return replace(reading, outcome=Outcome.CORRECT)
    if reading.chosen in question.letters and _loose(_option(reading.chosen, question)) == _loose(question.answer_text):
        return Ruling(None, "same_text")
    return replace(reading, outcome=Outcome.WRONG)


def _choice(text: str, question: Question) -> Ruling | None:
    """The option that the whole text names; a ruling without one if it is ambiguous, None if it cannot be read."""
    readings = [_line_choice(line, question) for line in text.split("\n")]
    if None not in readings:
        return _agreed(readings)
    return _by_letter(text, question) or _by_conclusion(text, question)


def _line_choice(line: str, question: Question) -> Ruling | None:
    return _agreed([_by_text(line, question), _by_letter(line, question)])


def _agreed(readings: list[Ruling | None]) -> Ruling | None:
    found = sorted(filter(None, readings), key=lambda reading: bool(reading.chosen))
    same = len({reading.chosen for reading in found if reading.chosen}) < 2
    return (found[0] if same else Ruling(None, "two_options")) if found else None


def _by_letter(text: str, question: Question) -> Ruling | None:
    """Reads "B", "(b) cotton", "The answer is B, because …"."""
    match = _LETTERED.fullmatch(_unquoted(text))
    if not match or (match["open"] and not match["close"]):
        return None
    letter, ended = match["letter"].upper(), _ENDED.fullmatch(match["rest"])
    if letter not in question.letters:
        clear = ended and (match["close"] or match["letter"] == letter) and not _may_abbreviate(letter, question)
        return Ruling(None, "letter_outside", letter) if clear else None
    if match["letter"] == "a" and (match["lead"] or match["head"]) and not (match["close"] or match["rest"]):
        return None  # "The answer is a" may be cut short
    if not _settled(match["lead"], letter, question):
        return None
    dressed = match["close"] or re.search("option|choice", match["label"] or "", re.IGNORECASE)
    if not dressed and _spelled_elsewhere(letter, question):
        return Ruling(None, "letter_or_text")
    return Ruling(None, "letter", letter) if ended else _by_letter_and_text(match, letter, question)


def _by_letter_and_text(match: re.Match[str], letter: str, question: Question) -> Ruling | None:
    """The letter if what follows it is its own text, or speaks for it alone."""
    after = _BODY.fullmatch(match["rest"])
    if after is None:
        return None
    body = enclosed[1] if (enclosed := re.fullmatch(r"\((.*)\)[.]?", after["body"])) else after["body"]
    same = [other for other in question.letters if _loose(_option(other, question)) == _loose(body)]
    if letter in same:
        return Ruling(None, "letter_text", letter)
    firm = match["close"] or after["mark"].strip() or after["gap"] == "\n"  # not the article in "A mug"
    if same:
        return Ruling(None, "contradiction") if firm else None
    own, said = _words(_option(letter, question)), _words(body)
    reason = _REASON.match(body)
    reasoned = reason and (match["head"] or reason[1])
    restated = firm and own.strip() and (own in said if match["head"] else said.endswith(own))
    certain = (reasoned or restated) and not _doubted(body) and _settled(body, letter, question)
    return Ruling(None, "letter_reason", letter) if certain else None


def _by_text(line: str, question: Question) -> Ruling | None:
    """Reads "Cotton", "The answer is cotton.", "on the left"."""
    for lead, text in _forms(line, question):
        reading = _option_named(text, question)
        if reading is None or (reading.chosen and not _settled(lead, reading.chosen, question)):
            continue
        if text.startswith("A ") and reading.chosen not in ("", "A"):
            exact = _strict(text) == _strict(_option(reading.chosen, question))
            return reading if exact else Ruling(None, "letter_or_article")  # "A mug" where mug is B
        return reading
    return None


def _option_named(text: str, question: Question) -> Ruling | None:
    """The one option that the text equals, or is the telling part of."""
    for normal in (_strict, _loose):
        hits = [letter for letter in question.letters if normal(_option(letter, question)) == normal(text) != ""]
        if hits:
            return Ruling(None, "option_text", hits[0]) if len(hits) == 1 else Ruling(None, "same_text")
    if {_strict(option) for option in question.options} == {"yes", "no"} and (said := _polarity(text)):
        return _option_named(said, question)
    return _by_side(text, question)


def _by_side(text: str, question: Question) -> Ruling | None:
    """Reads "on the left" where the options are the same but for the side."""
    rows = [_strict(option).split() for option in question.options]
    if len({len(row) for row in rows}) > 1:
        return None
    differing = [set(column) for column in zip(*rows, strict=True) if len(set(column)) > 1]
    part = f" {_strict(text)} "
    hits = [letter for letter, row in zip(question.letters, rows, strict=True) if part in f" {' '.join(row)} "]
    certain = len(hits) == len(differing) == 1 and differing[0] <= _SIDES
    return Ruling(None, "side", hits[0]) if certain else None


_SIDES = {"left", "right", "above", "below", "top", "bottom", "front", "behind", "over", "under"}


def _by_conclusion(text: str, question: Question) -> Ruling | None:
    """A last sentence "So the answer is B." after a text that speaks for no other option."""
    starts = list(_CONCLUSION.finditer(text))
    if not starts:
        return None
    before, last = text[: starts[-1].start()], text[starts[-1].end() :]
    reading = _by_letter(last, question) if "\n" in last else _line_choice(last, question)
    if reading and reading.chosen in question.letters and _settled(before, reading.chosen, question):
        return replace(reading, rule="conclusion")
    return None


def _option(letter: str, question: Question) -> str:
    return question.options[question.letters.index(letter)]


def _others(letter: str, question: Question) -> list[str]:
    return [option for other, option in zip(question.letters, question.options, strict=True) if other != letter]


def _settled(context: str, letter: str, question: Question) -> bool:
    """Whether the words around a choice neither withdraw it nor speak for another option."""
    own, others = _words(_option(letter, question)), [_words(option) for option in _others(letter, question)]
    said, named = _words(context), _mentioned(context, question)
    rest = said.replace(own, " ")
    foreign = {word for other in others for word in other.split()} - set(own.split()) - _FILLERS
    spoken = foreign.intersection(rest.split()) or any(other.strip() and other in rest for other in others)
    denied = _doubted(context) and (named or set(own.split()) & set(said.split()) - _FILLERS)
    return not (spoken or denied or _retracted(context) or named - {letter})


def _mentioned(text: str, question: Question) -> set[str]:
    """Option letters that stand in the text as letters, a doubtful "A" included."""
    return {"".join(found).upper() for found in _MENTION.findall(text)}.intersection(question.letters)


def _spelled_elsewhere(letter: str, question: Question) -> bool:
    """Whether another option's text spells the letter too, as in "Gate B"; an article or a pronoun does not."""
    texts = [option.removeprefix("A ") for option in _others(letter, question)]
    case = re.NOFLAG if letter in "AI" else re.IGNORECASE
    return any(re.search(rf"\b{letter}\b", text, case) or f" {_strict(text)}".endswith(f" {letter.lower()}") for text in texts)


def _may_abbreviate(letter: str, question: Question) -> bool:
    """Whether a letter outside the options may mean one of them: "N" no, "E" eight, "O" zero."""
    return letter not in "ABCDEFGH" or bool(re.search(rf"\b{letter}", " ".join(question.options), re.IGNORECASE))


def _why_undecided(text: str, question: Question) -> str:
    if _REFUSAL.search(text):
        return "refusal"
    if _NEGATION.search(text):
        return "negation"
    texts = [option for option in question.options if _words(option) in _words(text)]
    return "two_options" if max(len(texts), len(_mentioned(text, question))) > 1 else "no_rule"


# --- open questions ------------------------------------------------------------------------------------------------

_WHOLE = re.compile("0|[1-9][0-9]*")
_SAID = re.compile(r"(yes|no)[.,;:!]*(?:(?<!\w) ?([^.,;:!?\n]+)[.!]?)?", re.IGNORECASE)


def _score_any(text: str, question: Question) -> Ruling:
    """Right if any accepted answer makes it so, wrong only if each of them does."""
    rulings = [_score_open(text, replace(question, answer=_cleaned(answer), also=())) for answer in question.answers]
    preferred = (Outcome.CORRECT, None, Outcome.WRONG)
    return min(rulings, key=lambda ruling: preferred.index(ruling.outcome))


def _score_open(text: str, question: Question) -> Ruling:
    rulings = [_open_line(line, question) for line in text.split("\n")]
    return rulings[0] if len({ruling.outcome for ruling in rulings}) == 1 else Ruling(None, "two_answers")


def _open_line(line: str, question: Question) -> Ruling:
    standard = _loose(question.answer)
    for _, text in _forms(line, question):
        value = _loose(text)
        if standard in ("yes", "no") and (said := _polarity(text)):
            return Ruling(Outcome.CORRECT if said == standard else Outcome.WRONG, "yes_no", said)
        counts = _WHOLE.fullmatch(value) and _WHOLE.fullmatch(standard)
        if value == standard != "":
            return Ruling(Outcome.CORRECT, "number" if counts else "exact_text", value)
        if counts and "how many" in question.text.casefold():
            return Ruling(Outcome.WRONG, "number", value)
    return Ruling(None, _why_undecided(line, question))


def _polarity(text: str) -> str | None:
    """Yes or no, bare or with one clause that says the same."""
    match = _SAID.fullmatch(_unquoted(text))
    if not match:
        return None
    said, clause = match[1].lower(), match[2] or ""
    if _HEDGE.search(clause) or _retracted(clause) or " yes " in _words(clause):
        return None
    return said if not clause or bool(_NEGATION.search(clause)) == (said == "no") else None
