"""The grammar of a statement: "Based on the image, the answer is (C)."."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...core.records import Question
from .doubt import doubted, retracted

_NAMED = (
    r"(?:(?:the|my) )?(?:(?:correct|right|final|best|most (?:accurate|likely|appropriate)) ){0,2}(?:answer|ans|option|choice)"
    r"(?: to (?:the|this|your) question)?(?: (?:is|should be|would be)\b(?: ?:)?| ?[:=]) ?"
)
_OTHER_LABEL = r"(?:因此,?|所以,?|故)?(?:正确)?(?:答案|选项)(?:是|为|:) ?|故?选:? ?|正解は ?|답은 ?"
"""Labels of an answer in Chinese, Japanese and Korean; full-width marks are folded before."""
_CLAIM = rf"(?:{_NAMED}|{_OTHER_LABEL}|(?:it is|it's|they are|there are|i (?:choose|pick|select)) )"
_HEAD = rf"(?P<head>{_CLAIM}{{0,2}})"
_SOURCE = r"(?:based on|according to|looking at|from|given|considering) "
_LEAD = (  # "So good" is no "So, good": without a comma, "so" leads to a claim, a letter, or another lead
    rf"(?P<lead>(?:(?:so|thus|therefore|hence|finally|overall|in conclusion)(?:, ?| (?={_CLAIM}|i (?:think|believe) |{_SOURCE}"
    rf"|[(\[]?(?-i:[A-HJ-Z])(?!\w)))|i (?:think|believe) (?:that )?|{_SOURCE}[^,.;:!?\n]{{1,80}}, ?){{0,3}})"
)
_LETTER = (
    r"(?P<label>(?:the )?(?:option|choice|letter|answer) )?(?P<open>[(\[{] ?)?(?P<quote>[\"'])?"
    r"(?P<letter>(?-i:[A-Za-z]))(?(quote)(?P=quote))(?P<close> ?[)\]}])?(?![\w'])(?P<rest>.*)"
)
LETTERED = re.compile(_LEAD + _HEAD + _LETTER, re.IGNORECASE | re.DOTALL)
_TEXTUAL = re.compile(rf"{_LEAD}{_HEAD}(?P<text>.+)", re.IGNORECASE)
CONCLUSION = re.compile(rf"(?<=[.!?])\s(?=(?-i:[A-Z]))(?={_LEAD}{_NAMED})", re.IGNORECASE)
LABELLED = re.compile(
    rf"(?:(?<=[.!?:])\s|\n|^)(?=(?-i:[A-Z*(])|answer)(?={_LEAD}{_NAMED})|(?<=[.。,,\n])(?={_OTHER_LABEL})|^(?={_OTHER_LABEL})",
    re.IGNORECASE,
)
"""Where a sentence or a line begins that names the answer."""
CLAIMED = re.compile(rf"\b{_NAMED}(?P<claimed>[^.\n]{{1,200}})", re.IGNORECASE)
ANSWERED = re.compile(r"\banswer(?: is\b|:)", re.IGNORECASE)
ENDED = re.compile(r"。?(?: is (?:correct|(?:the )?(?:(?:correct|right|best|final) )?(?:answer|option|choice)))? ?[.,;!。]?")
BODY = re.compile(r"(?P<mark> ?[.,:;–—-]?)(?P<gap>[ \n]?)(?P<body>.+)", re.DOTALL)
REASON = re.compile(r"(?:(because|(?:explanation|reason|reasoning):)|since|as|due to|given that) ", re.IGNORECASE)
_QUALITY = r"(?P<quality>the (?:colou?r|material|shape) of )?"
_ASKED = re.compile(rf"\bwhat (?:\w+ )?(?:is|are) {_QUALITY}(?P<subject>the [^?]+)\?", re.IGNORECASE)
ORDINAL = re.compile(r"\b(?:(first|second|third|fourth|fifth|sixth)|(last)) (?:option|choice|answer|one)\b", re.IGNORECASE)
BRACKETED = re.compile(
    r"[(\[{] ?([a-z]) ?[)\]}]|(?<![\w(])([a-z])\)|(?:^|\n)[*-]? ?([a-z])[.:)]|\b(?:options?|choices?|letter|answer) ([a-z])(?![\w'])"
    r"|\banswer (?:is|be|would be|could be|might be) ([a-z])(?![\w'])|(?<![\w'])([a-z]) (?:is|was|seems|looks|fits)[^.\n]{0,40}(?:correct|right|answer|best)\b",
    re.IGNORECASE,
)
INNER_OR = re.compile(r"(?<=\w) or (?=\w)")
"""An alternative within a sentence that names no option, as in "a coat or jacket"."""
SEEMS = re.compile(r"\b(?:appears|seems|looks)(?: to be)?\b", re.IGNORECASE)
CONTRAST = re.compile(r"\b(?:while|whereas|than|compared (?:to|with)|unlike|versus)\b", re.IGNORECASE)
NUMBERED = re.compile(r"\b(?:option|choice|answer|number) (?:number )?#?([1-9])\b", re.IGNORECASE)
_VERBS = (
    "is|was|has|had|can|could|will|would|may|might|must|should|and|or|nor|because|as|since|but|instead|over|to|in|on|at|for|from"
    "|with|cannot|did|do|not|never|best|better|most|also|then|only|too|alone|than|if|though|while|be|being|fit|it|that|which"
)
_ARTICLE_A = re.compile(rf"(?<![\w'(\[])A (?=(?!(?:{_VERBS})\b)(?![a-z]*(?:s|ly|ed)\b)[a-z]{{2,}})")
""" "A food web", not "A fits" or "A is": what may be a verb after it leaves "A" a letter."""
MENTION = re.compile(
    r"(?<![\w'])(?-i:([A-Zb-hj-z]))(?![\w'])|\b([ai]) ?[)\]},]|\b(?:option|choice|letter|answer) ([ai])\b", re.IGNORECASE
)


def without_articles(text: str) -> str:
    """The text with each "A" that is certainly an article in small."""
    return _ARTICLE_A.sub("a ", text)


def forms(line: str, question: Question) -> Iterator[tuple[str, str]]:
    """(lead, text) of what the line may amount to: itself, what it states, what it says of the subject asked about."""
    yield "", line
    if (stated := _TEXTUAL.fullmatch(line)) and not (retracted(stated["lead"]) or doubted(stated["lead"])):
        yield stated["lead"], stated["text"]
    asked = _ASKED.search(" ".join(question.text.split()))
    if asked and question.text.count("?") == 1:
        about = rf"(?:{asked['quality'] or ''})?{re.escape(asked['subject'])}"
        if said := re.fullmatch(rf"{about} (?:is|are) (?:made of )?(.+)", line, re.IGNORECASE):
            yield "", said[1]
