"""The pages are written for international readers: short sentences, the field's words, one word for one thing."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import pytest
from prose import Sentence, sentences

ROOT = Path(__file__).resolve().parent.parent
WRITTEN_BY_A_PROGRAM = {"results/reference/mini/gates.md"}
PATTERNS = (
    "*.md",
    "docs/**/*.md",
    "tasks/*/README.md",
    "tests/README.md",
    "judges/**/*.md",
    "results/*/README.md",
    "results/reference/mini/*.md",
)
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in PATTERNS
    for path in ROOT.glob(pattern)
    if path.name != "CHANGELOG.md" and path.relative_to(ROOT).as_posix() not in WRITTEN_BY_A_PROGRAM
)
LONGEST, MEAN = 35, 17
GENERATED = "<!-- written by make bench from here on -->"

AVOID = {
    r"thousandths?\b": "0–1000",
    r"\bbesides?\b": "next to, while, or in addition",
    r"\b(?:a|the|this|its|their|of)\s+(?:\w+\s+)?shares?\b(?! of memory)": "fraction (0–1)",
    r"\b(?:go|goes|going|went)\s+on\b": "resumes, or continues",
    r"\b(?:leave|leaves|leaving|left)\s+\w*\s?out\b|\bleft out\b": "excluded",
    r"\bless (?!than)(?:(?:theirs|ours|the|that|those|its)\b|[\w·` ]{1,30} is\b)": "minus",
    r"\bstandard answers?\b": "reference",
    r"\bin any (?:\w+ )?dress\b": "in any format",
}
"""What a reader may misread, and the word to use."""


def text_of(page: str) -> str:
    return (ROOT / page).read_text().split(GENERATED)[0]


def prose(page: str) -> list[Sentence]:
    """A page's sentences that are not cells; a name alone in a list is none."""
    return [sentence for sentence in sentences(text_of(page)) if not sentence.cell and sentence.words > 2]


def test_there_are_pages() -> None:
    assert {"README.md", "CONTRIBUTING.md", "docs/report.md", "tasks/vstar/README.md", "results/published/README.md"} <= set(
        PAGES
    )


@pytest.mark.parametrize("page", PAGES)
def test_no_sentence_is_long(page: str) -> None:
    assert [(s.words, s.text) for s in sentences(text_of(page)) if s.words > LONGEST] == []


def test_sentences_are_short_in_the_mean() -> None:
    words = [sentence.words for page in PAGES for sentence in prose(page)]
    assert len(words) > 500
    assert statistics.mean(words) < MEAN


@pytest.mark.parametrize("page", PAGES)
def test_no_page_alone_is_much_longer(page: str) -> None:
    words = [sentence.words for sentence in prose(page)]
    assert statistics.mean(words) < MEAN + 2 if len(words) > 5 else all(count <= LONGEST for count in words)


@pytest.mark.parametrize("page", PAGES)
def test_words_that_are_misread_are_not_used(page: str) -> None:
    found = [
        (match.group(), better)
        for sentence in sentences(text_of(page))
        for pattern, better in AVOID.items()
        for match in re.finditer(pattern, sentence.text, re.IGNORECASE)
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES)
def test_no_statement_begins_with_what(page: str) -> None:
    """`What it wrote is kept` makes a reader hold the sentence until its verb; `The text is kept` does not."""
    assert [s.text for s in sentences(text_of(page)) if re.match(r"What\b", s.text) and not s.text.endswith("?")] == []


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ("One two. Three four!", [2, 2]),
        ("See Wu et al. 2023, e.g. table 3.\n", [8]),
        ("In the interval. It does.", [3, 2]),
        ("Version 3.11 is 0.5 faster.", [5]),
        ("A [link text](a/b.md) and `a code span with blanks`.", [5]),
        ("- first item\n- second item goes\n  over two lines.\n\nAfter it.", [2, 6, 2]),
        ("# A heading is none\n\n```bash\nmake it so. Now.\n```\n\nOnly this. <!-- not this -->", [2]),
        ("````md\n```bash\nx\n```\n````\nA sentence.", [2]),
        ("| a cell | another one here. And more |\n|---|---|\n", [2, 3, 2]),
        ("It ends **here.** Then – with a dash – *more.*", [3, 5]),
        ("He says (this ends.) Next one?", [4, 2]),
    ],
)
def test_sentences_are_counted_fairly(page: str, found: list[int]) -> None:
    assert [sentence.words for sentence in sentences(page)] == found


@pytest.mark.parametrize(
    "text",
    [
        "boxes in thousandths",
        "drawn beside it",
        "the share of right answers",
        "the run goes on",
        "rows are left out",
        "ours less theirs is 3",
        "sft · cof less base is +8 points",
        "the standard answer",
    ],
)
def test_each_kind_of_misread_word_is_seen(text: str) -> None:
    assert any(re.search(pattern, text) for pattern in AVOID)


@pytest.mark.parametrize(
    "text",
    [
        "no less",
        "less than five is few",
        "less reliably than small ones",
        "rows share a trajectory",
        "shared rows",
        "it turns out",
    ],
)
def test_other_uses_are_not(text: str) -> None:
    assert not any(re.search(pattern, text) for pattern in AVOID)
