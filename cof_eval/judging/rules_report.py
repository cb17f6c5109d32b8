"""The rules tried on recorded replies: how many they decide, by which rule, and where they disagree with a recorded verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..stats import wilson
from .replies import Reply
from .rules import RULES_VERSION, Ruling, score

_FORMS = ("options", "yes/no", "open")
_QUESTION_CHARS, _REPLY_CHARS = 160, 240


@dataclass(frozen=True, slots=True)
class RuledReply:
    """A reply and what the rules say of it."""

    reply: Reply
    ruling: Ruling

    @property
    def decided(self) -> bool:
        """Whether a rule decided."""
        return self.ruling.outcome is not None

    @property
    def compared(self) -> bool:
        """Whether a rule decided and a verdict is recorded."""
        return self.decided and self.reply.recorded_verdict is not None

    @property
    def disagrees(self) -> bool:
        """Whether a rule decided otherwise than the recorded verdict."""
        return self.compared and self.ruling.outcome is not self.reply.recorded_verdict


def rule_on(replies: Sequence[Reply], changed: Callable[[], object] = lambda: None) -> list[RuledReply]:
    """What the rules say of each reply; `changed` is called after each."""
    ruled = []
    for reply in replies:
        ruled.append(RuledReply(reply, score(reply.reply, reply.asked())))
        changed()
    return ruled


def rules_lines(name: str, ruled: Sequence[RuledReply]) -> Iterator[str]:
    """The fraction decided by form of question, each rule with its agreement, the reasons of the rest, every disagreement."""
    yield f"{name}: {len(ruled):,} replies, rules version {RULES_VERSION}"
    yield from ("", _row("question", "replies", "decided", "agree with the recorded verdict"))
    for form in _FORMS:
        if group := [each for each in ruled if each.reply.form == form]:
            yield _form_row(form, group)
    yield _form_row("all", ruled)
    yield from ("", _row("rule", "", "decided", "agree with the recorded verdict"))
    yield from _counted([each for each in ruled if each.decided], agreement=True)
    yield from ("", _row("left undecided", "", "replies", ""))
    yield from _counted([each for each in ruled if not each.decided], agreement=False)
    disagreements = [each for each in ruled if each.disagrees]
    yield from ("", f"disagreements: {len(disagreements)}")
    for number, each in enumerate(disagreements, 1):
        yield from _disagreement(number, each)


def _counted(group: Sequence[RuledReply], *, agreement: bool) -> Iterator[str]:
    names = {each.ruling.rule for each in group}
    by_rule = {name: [each for each in group if each.ruling.rule == name] for name in names}
    for name, members in sorted(by_rule.items(), key=lambda item: (-len(item[1]), item[0])):
        yield _row(f"  {name}", "", f"{len(members):,}", _agreement(members) if agreement else "")


def _form_row(form: str, group: Sequence[RuledReply]) -> str:
    decided = [each for each in group if each.decided]
    fraction = f"{len(decided):,} ({len(decided) / len(group):.1%})" if group else "0"
    return _row(f"  {form}", f"{len(group):,}", fraction, _agreement(decided))


def _agreement(group: Sequence[RuledReply]) -> str:
    """Agreement with recorded verdicts, with its 95% interval."""
    compared = [each for each in group if each.compared]
    if not compared:
        return "no verdict recorded"
    agreed = sum(not each.disagrees for each in compared)
    low, high = wilson(agreed, len(compared))
    return f"{agreed:,} of {len(compared):,}, {agreed / len(compared):.2%} [{low:.2%}, {high:.2%}]"


def _row(name: str, first: str, second: str, third: str) -> str:
    return f"{name:<26}  {first:>8}  {second:>16}  {third}".rstrip()


def _disagreement(number: int, each: RuledReply) -> Iterator[str]:
    """One disagreement in lines that a terminal shows as they are: `repr` escapes control characters."""
    reply, ruling = each.reply, each.ruling
    place = " ".join(ascii(part)[1:-1] for part in (reply.source, reply.kind) if part)
    yield f"{number}. {place}: {ruling.outcome} by {ruling.rule}, which read {_short(ruling.chosen, 60)}; recorded {reply.recorded_verdict}"
    yield f"   question   {_short(reply.question, _QUESTION_CHARS)}"
    if reply.options:
        yield f"   options    {', '.join(_short(option, 60) for option in reply.options[:10])}"
    yield f"   reference  {_short(str(reply.reference), 120) if isinstance(reply.reference, str) else ', '.join(_short(r, 60) for r in reply.reference[:5])}"
    yield f"   reply      {_short(reply.reply, _REPLY_CHARS)}"


def _short(text: str, chars: int) -> str:
    """A text in quotes, without its middle where it is long."""
    half = chars // 2
    return repr(text if len(text) <= chars else f"{text[:half]} … {text[-half:]}")
