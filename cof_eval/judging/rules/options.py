"""A question's options, and whether the words around a choice speak for another one."""

from __future__ import annotations

import re
from functools import lru_cache

from ...core.records import Question
from .doubt import NEGATION, REFUSAL, disputed, doubted, retracted
from .sentences import numbers, sentences, stems
from .statements import BRACKETED, CONTRAST, MENTION, NUMBERED, ORDINAL, without_articles
from .text import FILLERS, spelled_out, strict, words


def option_text(letter: str, question: Question) -> str:
    """The text of the option with this letter."""
    return question.options[question.letters.index(letter)]


def _others(letter: str, question: Question) -> list[str]:
    return [option for other, option in zip(question.letters, question.options, strict=True) if other != letter]


def settled(context: str, letter: str, question: Question) -> bool:
    """Whether the words around a choice neither withdraw it nor speak for another option."""
    own, others = words(option_text(letter, question)), [words(option) for option in _others(letter, question)]
    said, named = words(context), _mentioned(context, question)
    rest = said.replace(own, " ")
    foreign = {word for other in others for word in other.split()} - set(own.split()) - FILLERS
    spoken = foreign.intersection(rest.split()) or any(other.strip() and other in rest for other in others)
    denied = doubted(context) and (named or set(own.split()) & set(said.split()) - FILLERS)
    return not (spoken or denied or retracted(context) or named - {letter})


def supports(context: str, letter: str, question: Question) -> bool:
    """Whether sentences around a choice dispute nothing, and name neither another option nor another number."""
    if disputed(context) or stated(context, question) - {letter}:
        return False
    lettered = names_letters(question)
    names = {each.lower() for each in question.letters} if lettered else set()
    if (foreign_words(letter, question) - names).intersection(stems(context)):
        return False
    if bracketed(context, question) - {letter} if lettered else mentioned(context, question) - {letter}:
        return False
    if lettered and not all(_contrasts(each, letter, question) for each in sentences(context)):
        return False
    own = numbers(option_text(letter, question))
    return not own or numbers(context) <= own


def _contrasts(sentence: str, letter: str, question: Question) -> bool:
    """Whether other letters, as names of things, come only after this one and a word of contrast: "while point B is far"."""
    found = [
        match
        for match in MENTION.finditer(without_articles(sentence))
        if "".join(filter(None, match.groups())).upper() in question.letters
    ]
    others = [match.start() for match in found if "".join(filter(None, match.groups())).upper() != letter]
    if not others:
        return True
    own = [match.start() for match in found if match.start() not in others]
    first = own[0] if own else 0  # "It is in front, while point B is far"
    return first < others[0] and bool(CONTRAST.search(sentence[first : others[0]]))


def foreign_words(letter: str, question: Question) -> frozenset[str]:
    """Stems of words that other options have and the option with this letter has not."""
    return _foreign_words(question.letters.index(letter), question.options)


@lru_cache(maxsize=1024)
def _foreign_words(place: int, options: tuple[str, ...]) -> frozenset[str]:
    others = {word for i, option in enumerate(options) if i != place for word in stems(option)}
    return frozenset(others - set(stems(options[place])) - FILLERS)


def stated(text: str, question: Question) -> set[str]:
    """Letters of the options whose full text stands in the text; of texts inside each other, the longest."""
    said = words(text)
    found = {letter: words(option) for letter, option in zip(question.letters, question.options, strict=True)}
    found = {letter: option for letter, option in found.items() if option.strip() and option in said}
    rest = said
    for option in sorted(found.values(), key=len, reverse=True):
        if option in rest:
            rest = rest.replace(option, " | ")
        else:
            found = {letter: each for letter, each in found.items() if each != option}
    return set(found)


def mentioned(text: str, question: Question) -> set[str]:
    """Option letters that stand in a text as letters, or as "the second option"; the article "A" does not count."""
    return _mentioned(without_articles(text), question)


def bracketed(text: str, question: Question) -> set[str]:
    """Option letters in brackets, at the head of a line of a list, after "option", or that are said to be right."""
    letters = {"".join(found).upper() for found in BRACKETED.findall(text)}
    return letters.intersection(question.letters) | _by_place(text, question)


def _mentioned(text: str, question: Question) -> set[str]:
    """Option letters that stand in the text as letters, a doubtful "A" included, or as "the second option"."""
    letters = {"".join(found).upper() for found in MENTION.findall(text)}
    return letters.intersection(question.letters) | _by_place(text, question)


def _by_place(text: str, question: Question) -> set[str]:
    """Letters of the options that a text names by their place: "the second option", "option 2", "the last one"."""
    places = {_ORDINALS.index(nth.lower()) if nth else len(question.options) - 1 for nth, _ in ORDINAL.findall(text)}
    places |= {int(place) - 1 for place in NUMBERED.findall(text)}
    return {question.letters[place] for place in places if 0 <= place < len(question.letters)}


_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def yes_or_no(question: Question) -> bool:
    """Whether the options are yes and no."""
    return {strict(option) for option in question.options} == {"yes", "no"}


def spelled_elsewhere(letter: str, question: Question) -> bool:
    """Whether another option's text spells the letter too, as in "Gate B"; an article or a pronoun does not.

    Nor does a letter that stands in every option ("angle B + angle D = 90°"): it tells none of them.
    """
    spelled = {
        each: _spells(letter, option.removeprefix("A "))
        for each, option in zip(question.letters, question.options, strict=True)
    }
    return any(found for each, found in spelled.items() if each != letter) and not all(spelled.values())


def _spells(letter: str, text: str) -> bool:
    case = re.NOFLAG if letter in "AI" else re.IGNORECASE
    return bool(re.search(rf"\b{letter}\b", text, case)) or f" {strict(text)}".endswith(f" {letter.lower()}")


def names_letters(question: Question) -> bool:
    """Whether options speak of things that have letters for names, as in "A is closer"."""
    return any(MENTION.search(option) for option in question.options)


def may_abbreviate(letter: str, question: Question) -> bool:
    """Whether a letter outside the options may mean one of them: "N" no, "F" false, "E" eight, "O" zero."""
    if letter not in "ABCDEFGH" or (letter == "F" and yes_or_no(question)):
        return True
    return bool(re.search(rf"\b{letter}", " ".join(map(spelled_out, question.options)), re.IGNORECASE))


def why_undecided(text: str, question: Question) -> str:
    """The reason that is recorded where no rule could read an answer."""
    if REFUSAL.search(text):
        return "refusal"
    if NEGATION.search(text):
        return "negation"
    texts = [option for option in question.options if words(option) in words(text)]
    return "two_options" if max(len(texts), len(_mentioned(text, question))) > 1 else "no_rule"
