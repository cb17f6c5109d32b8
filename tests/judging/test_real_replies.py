"""The rules on thousands of real replies, and `cof-eval judge --rules` on any file."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest
from commands import in_process
from dissent import OTHER, TAKEN_BACK
from fake_server import serve
from rejudging import again, made

from cof_eval.core.errors import UsageError
from cof_eval.judging.replies import Reply, load_replies
from cof_eval.judging.rules import score
from cof_eval.judging.rules_report import RuledReply, rule_on, rules_lines

UNDECIDED_BY_VERSION_3 = 3963
"""Of the replies with options or yes/no in the shared file."""

READ = {
    ("Which type of force from the woman's finger", "B"): "the matcher took the article A for the letter; the answer is B",
    ("does the prime meridian intersect?\nA. North America", "B"): "the same: 'A continent …', and the answer is B",
    ("does the prime meridian intersect?\nA. South America", "B"): "the same: 'A continent …', and the answer is B",
    ("is the omnivore in this food web?", "D"): "the same: 'A food web …', and the answer is D",
    ("contains matter that was once part of the kelp?", "C"): "the same: 'A food web …', and the answer is C",
    ("is yellow with a blue design", "D"): "the reply is D and its text, but for doubled blanks that the matcher minds",
    ("what is written on the wall?", "wood lumber co"): "the reference ends in a full stop, which the matcher minds",
    ("what is written in the image?", "begins"): "the reference ends in a full stop, which the matcher minds",
}
"""Every disagreement with a recorded verdict, by a part of the question and what the rule read: why the recorded one is wrong."""


@pytest.fixture(scope="module")
def ruled() -> list[RuledReply]:
    file = Path(__file__).resolve().parents[3] / "shared" / "data" / "real_replies" / "replies.jsonl.gz"
    if not file.is_file():
        pytest.skip("../shared/data/real_replies is absent: this test rules on real replies")
    return rule_on(load_replies(file))


@pytest.mark.slow
def test_at_most_half_of_the_choices_that_version_3_left_undecided_are_left(ruled: list[RuledReply]) -> None:
    left = [each for each in ruled if each.reply.form != "open" and not each.decided]
    assert 2 * len(left) <= UNDECIDED_BY_VERSION_3


@pytest.mark.slow
def test_every_disagreement_is_listed_and_none_is_the_rules_fault(ruled: list[RuledReply]) -> None:
    found = Counter(
        next(
            ((part, said) for part, said in READ if part in _whole(each) and said == each.ruling.chosen),
            (_whole(each), each.ruling.chosen),
        )
        for each in ruled
        if each.disagrees
    )
    assert found == Counter(READ.keys())


def _whole(each: RuledReply) -> str:
    return "\n".join([each.reply.question, *each.reply.options])


@pytest.mark.slow
def test_each_pattern_decides_some_of_them(ruled: list[RuledReply]) -> None:
    patterns = {
        "letter_text_reason",
        "final_statement",
        "yes_no_sentences",
        "yes_no_other_words",
        "special_tokens",
        "list_repr",
    }
    patterns |= {"letter_text", "letter_text_inside", "differing_words", "option_restated", "quoted_text", "no_instead"}
    assert patterns <= {each.ruling.rule for each in ruled if each.decided}


@pytest.mark.slow
def test_no_real_decision_by_a_pattern_outlives_a_sentence_against_it(ruled: list[RuledReply]) -> None:
    patterns = {
        "letter_text_reason",
        "letter_text_inside",
        "final_statement",
        "option_restated",
        "differing_words",
        "list_repr",
    }
    patterns |= {"yes_no_sentences", "yes_no_other_words", "no_instead", "special_tokens"}
    decided = [each for each in ruled if each.decided and each.ruling.rule in patterns]
    for each in decided[::25]:
        asked = each.reply.asked()
        for against in _against(each):
            after = score(f"{each.reply.reply}\n{against}", asked)
            assert after.outcome is None or after.chosen != each.ruling.chosen, (each.reply.reply, against)


def _against(each: RuledReply) -> list[str]:
    chosen, options = each.ruling.chosen, each.reply.options
    others = [(chr(65 + i), option) for i, option in enumerate(options) if chr(65 + i) != chosen]
    if not others:
        return [*TAKEN_BACK, "No." if chosen == "yes" else "Yes."]
    letter, text = others[0]
    names = {"letter": letter, "text": text, "own": options[ord(chosen) - 65], "own_letter": chosen}
    return [*TAKEN_BACK, *(sentence.format(**names) for sentence in OTHER)]


REPLY = {"question": "What is it?\n(A) red\n(B) blue", "options": ["red", "blue"], "reference": "B", "reply": "B"}


def write(path: Path, *rows: object) -> Path:
    data = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


class TestCommand:
    @pytest.mark.parametrize("name", ["replies.jsonl", "replies.jsonl.gz"])
    @pytest.mark.parametrize(("recorded", "status"), [("correct", 0), (None, 0), ("wrong", 1)])
    def test_it_says_how_many_are_decided_and_every_disagreement(
        self, tmp_path: Path, name: str, recorded: str | None, status: int
    ) -> None:
        undecided = {**REPLY, "reply": "the colour of the sea"}
        file = write(tmp_path / name, {**REPLY, "recorded_verdict": recorded, "source": "s", "kind": "k"}, undecided)
        done = in_process("judge", "--rules", file)
        assert done.status == status, done.err
        assert f"disagreements: {status}" in done.out
        assert "1 (50.0%)" in done.out
        assert "Traceback" not in done.err

    def test_a_hostile_reply_cannot_speak_to_the_terminal(self, tmp_path: Path) -> None:
        reply = "B</s>\x1b[2J\x1b]0;title\x07\u202e\nB"
        rows = [
            {**REPLY, "reply": each, "recorded_verdict": "wrong", "source": "\x1b[31m\n", "kind": "\u202e"}
            for each in (reply, "B")
        ]
        rows[1]["question"] = "\x1b[2J What is it?"
        done = in_process("judge", "--rules", write(tmp_path / "replies.jsonl", *rows))
        assert done.status == 1
        assert not {char for char in done.out if not char.isprintable()} - {"\n"}

    def test_a_runs_answers_are_compared_with_its_judge(self, tmp_path: Path) -> None:
        run = made(tmp_path / "run")
        with serve(models=["judge"]) as server:
            again(run, server)
        done = in_process("judge", "--rules", run)
        assert done.status == 0, done.err
        assert "23 replies" in done.out

    @pytest.mark.parametrize(
        ("row", "says"),
        [
            ("{", "line 1"),
            ("", "holds no replies"),
            ("[" * 100_000, "line 1"),
            ({"question": "q"}, "reply"),
            ({**REPLY, "reference": "Z"}, "'Z'"),
            ({**REPLY, "question": " "}, "no text"),
            ({**REPLY, "recorded_verdict": "unscored"}, "correct, wrong, or null"),
            ({**REPLY, "recorded_verdict": "maybe"}, "maybe"),
            ({**REPLY, "reference": 4}, "reference"),
        ],
    )
    def test_a_file_that_cannot_be_read_is_one_line_that_names_the_line(self, tmp_path: Path, row: object, says: str) -> None:
        with pytest.raises(UsageError, match=says) as caught:
            load_replies(write(tmp_path / "replies.jsonl", row))
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("data", [b"no gzip", gzip.compress(b"{}" * 99, mtime=0)[:-9], b""], ids=["other", "cut", "empty"])
    def test_a_broken_archive_or_a_missing_file_is_one_line_and_status_2(self, tmp_path: Path, data: bytes) -> None:
        file = tmp_path / "replies.jsonl.gz"
        if data:
            file.write_bytes(data)
        done = in_process("judge", "--rules", file)
        assert done.status == 2
        assert "Traceback" not in done.err


def test_forms_are_told_apart_and_columns_keep_apart() -> None:
    replies = [
        Reply(question="q?", reply="Yes", reference="yes", recorded_verdict=None),
        Reply(question="q?", reply="blue", reference=("blue", "azure")),
        Reply(question="q?", reply="A", reference="A", options=("x", "y")),
    ]
    assert [reply.form for reply in replies] == ["yes/no", "open", "options"]
    lines = list(rules_lines("x", rule_on(replies)))
    assert sum("1 (100.0%)" in line for line in lines) == 3
    assert "disagreements: 0" in lines
