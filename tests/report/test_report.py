import html
import re
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from cof_eval.agent.protocols import PROTOCOLS
from cof_eval.core.errors import RunError, UsageError
from cof_eval.core.records import Outcome, Stop
from cof_eval.core.resolution import SWEEP
from cof_eval.report import report_run, report_runs, summary
from cof_eval.report import write_report as write_reported
from cof_eval.report.caveats import caveats
from cof_eval.report.markdown import brief, report_text
from cof_eval.report.model_card import card_text
from cof_eval.report.published import comparable, load_published
from cof_eval.report.text import accuracy, between, count, escape, mean, percent, points, probability, table

pytestmark = pytest.mark.slow

RIGHT, WRONG, UNSCORED = Outcome.CORRECT, Outcome.WRONG, Outcome.UNSCORED
PUBLISHED = Path(__file__).parents[2] / "results" / "published"
HOSTILE = "a|b\n# <script>alert(1)</script> ![x](http://evil/) `c` *d* _e_ \\| &lt; \x00\u202e"


def write_report(runs, out: Path, published: Path | None = None) -> list[Path]:
    return write_reported(report_runs(runs), out, published)


@pytest.fixture
def report():
    """The text of the report on some runs, without figures."""

    def text(*runs, published: Path | None = None) -> str:
        ready = report_runs(runs)
        sweep = pd.concat([run.sweep for run in ready], ignore_index=True)
        return report_text(ready, comparable(load_published(published), sweep), {})

    return text


@pytest.fixture
def whole(make_run, asked):
    """A complete run: `right` of 4 questions right at two resolutions."""

    def build(right: int = 3, label: str = "model · cof", **settings):
        questions = (asked(f"q{i}", name, RIGHT if i < right else WRONG, zooms=1) for name in ("224", "448") for i in range(4))
        return make_run(*questions, label=label, **settings)

    return build


def cells(text: str, start: str) -> list[str]:
    """The cells of the first table line that starts so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {start} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_one_report_compares_each_pair_of_runs_once(whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: Counter[str] = Counter()

    def counted(made, ours: pd.DataFrame, theirs: pd.DataFrame, **same) -> pd.DataFrame:
        compared[f"{ours['run'].iloc[0]}, {theirs['run'].iloc[0]}"] += 1
        return made(ours, theirs, **same)

    made = report_run.pair_questions
    monkeypatch.setattr(report_run, made.__name__, partial(counted, made))
    ready = report_runs([whole(3, "a"), whole(1, "b"), whole(2, "c")])
    write_reported(ready, tmp_path)
    assert list(summary(ready))
    assert compared == {"a, b": 1, "a, c": 1}


def test_every_file_is_written_and_returned(whole, tmp_path: Path) -> None:
    paths = write_report([whole()], tmp_path / "a" / "report", PUBLISHED)
    figures = {f"{kind}.{suffix}" for kind in ("sweep", "frontier", "zooms") for suffix in ("png", "svg")}
    tables = {f"{name}.{suffix}" for name in ("rows", "calls") for suffix in ("csv", "parquet")}
    assert {path.name for path in paths} == {"index.html", "summary.md", "report.md", "sweep.csv", *figures, *tables}
    assert {*paths, tmp_path / "a" / "report" / "viewer"} == set((tmp_path / "a" / "report").iterdir())
    assert all(path.stat().st_size > 100 for path in paths)


def test_csv_files_hold_the_tables_of_all_runs(whole, tmp_path: Path) -> None:
    write_report([whole(), whole(1, "base · direct")], tmp_path)
    rows, sweep = pd.read_csv(tmp_path / "rows.csv"), pd.read_csv(tmp_path / "sweep.csv")
    assert rows.groupby("run")["correct"].sum().to_dict() == {"model · cof": 6, "base · direct": 2}
    overall = sweep[sweep["category"] == "overall"]
    assert list(overall["acc"]) == [0.75, 0.75, 0.75, 0.25, 0.25, 0.25]
    assert list(overall["resolution"].astype(str)) == ["mean", "224", "448"] * 2
    pairs = pd.read_csv(tmp_path / "pairs.csv")
    assert list(pairs["resolution"].astype(str)) == ["mean", "224", "448"]
    assert list(pairs["difference"]) == [0.5, 0.5, 0.5]


def test_a_second_benchmark_has_a_figure_of_its_own(make_run, asked, tmp_path: Path) -> None:
    run = make_run(asked("a", "224", RIGHT), asked("a", "224", RIGHT, benchmark="../pope"))
    names = {path.name for path in write_report([run], tmp_path)}
    assert {"sweep.png", "sweep__pope.png"} < names
    text = (tmp_path / "report.md").read_text()
    assert "](sweep.png)" in text
    assert "](sweep__pope.png)" in text


def test_a_complete_run_says_so_in_the_first_line(report, whole) -> None:
    assert report(whole()).splitlines()[0] == "**Complete: all 8 rows are answered and scored.**"


def test_an_unfinished_run_says_so_in_the_first_line(report, make_run, asked) -> None:
    run = make_run(asked("a", "224", RIGHT), asked("b", "224", None, stop=None), expected=1528)
    assert report(run).splitlines()[0] == "**Unfinished (1 of 1,528 rows are answered).**"


def test_a_partly_unscored_run_says_so_in_the_first_line(report, make_run, asked) -> None:
    text = report(make_run(asked("a", "224", RIGHT), asked("b", "224", UNSCORED, stop=Stop.ERROR), asked("c", "224", None)))
    assert text.splitlines()[0] == "**Partly unscored (2 of 3 answered rows, so accuracy is a lower bound).**"
    assert cells(text, "224")[4] == "100.0"


def test_an_empty_run_says_so_in_the_first_line(report, make_run) -> None:
    text = report(make_run(expected=8), published=PUBLISHED)
    assert text.splitlines()[0] == "**Empty (none of its 8 rows is answered).**"


def test_a_run_with_nothing_answered_yet_still_reports(report, make_run, asked) -> None:
    text = report(make_run(asked("a", "224", None, stop=None)))
    assert text.splitlines()[0] == "**Empty (none of its 1 rows is answered).**"
    assert cells(text, "224")[1:4] == ["0", "0", "–"]


def test_with_several_runs_the_first_line_names_those_that_lack_something(report, make_run, whole) -> None:
    first = report(whole(), make_run(label="base", expected=3)).splitlines()[0]
    assert first == "**model · cof is complete; base is empty (none of its 3 rows is answered).**"


def test_the_table_shows_accuracy_with_its_interval_and_the_costs(report, make_run, asked) -> None:
    right = (asked(f"q{i}", "2560", RIGHT, zooms=1, output_tokens=700, visual_tokens=2040, key=f"k{i}") for i in range(162))
    wrong = (asked(f"q{i}", "2560", WRONG, stop=Stop.LENGTH, tool_errors=1, key=f"k{i}") for i in range(162, 191))
    shared = (asked(f"q{i}", "4k", RIGHT, zooms=1, output_tokens=700, visual_tokens=2040, key=f"k{i}") for i in range(5))
    text = report(make_run(*right, *wrong, *shared))
    names = cells(text, "resolution")
    found = dict(zip(names, cells(text, "2560"), strict=True))
    assert found == {
        "resolution": "2560",
        "n": "191",
        "images": "191",
        "accuracy [95%]": "84.8 [79.0, 89.2]",
        "zooms": "0.85 [0.80, 0.90]",
        "text tokens": "1,189 [1,118, 1,260]",
        "visual tokens": "1,740 [1,639, 1,841]",
        "tokens per correct": "3,453 [3,448, 3,459]",
    }
    failures = text[text.index("| failures and costs |") :]
    found = dict(zip(cells(failures, "failures and costs"), cells(failures, "2560"), strict=True))
    assert [found[name] for name in ("length", "turn limit", "no answer", "tool errors", "zoomed", "cached")] == [
        *("29", "0", "0", "0.15", "84.8", "40.0"),
    ]
    assert cells(failures, "4k")[-1] == "5"


def test_many_categories_stand_below_each_other(report, make_run, asked) -> None:
    text = report(make_run(*(asked(f"q{i}", "448", RIGHT, category=f"Perception/kind {i}") for i in range(9))))
    assert cells(text, "accuracy [95%] by category")[1] == "448"
    assert cells(text, "Perception/kind 8")[1].startswith("100.0 [")
    assert "(n=9)" in cells(text, "Perception")[1]


def test_categories_stand_side_by_side(report, make_run, asked) -> None:
    text = report(make_run(asked("a", "224", RIGHT), asked("b", "224", WRONG, category="relative_position", options=2)))
    assert cells(text, "accuracy [95%] by category")[1:] == ["direct_attributes", "relative_position"]
    assert "100.0 [20.7, 100.0] (n=1) | 0.0 [0.0, 79.3] (n=1)" in text


def test_a_benchmarks_own_metrics_stand_beside_accuracy(report, make_run, asked, tmp_path: Path) -> None:
    run = make_run(
        *(asked(f"q{i}", "224", RIGHT, benchmark="docvqa", options=0, answer=said) for i, said in enumerate(["a", "b"]))
    )
    for text in (report(run), card_text(report_runs([run]))):
        assert cells(text, "the benchmark's own, percent [95%]")[1] == "anls"
        assert cells(text[text.index("the benchmark's own") :], "224")[1] == "50.0 [9.5, 90.5]"
    write_report([run], tmp_path)
    (line,) = pd.read_csv(tmp_path / "metrics.csv").to_dict("records")
    assert (line["metric"], line["value"], line["n"]) == ("anls", 0.5, 2)


def test_intervals_of_its_own_metrics_are_over_images(report, make_run, asked) -> None:
    said = {"a": "a", "b": "b"}  # every question about one image is right, every one about the other wrong
    rows = [
        asked(f"{image}{i}", "224", RIGHT, benchmark="docvqa", options=0, answer=answer, cluster=image)
        for image, answer in said.items()
        for i in range(20)
    ]
    text = report(make_run(*rows))
    assert cells(text[text.index("the benchmark's own") :], "224")[1] == "50.0 [0.2, 99.8]"


def test_two_runs_are_compared_pair_by_pair(report, whole) -> None:
    text = report(whole(3), whole(1, "base · direct"))
    part = text[text.index("### model · cof minus base · direct") :]
    found = dict(zip(cells(part, "resolution"), cells(part, "224"), strict=True))
    assert found["difference, points [95%]"].startswith("+50.0 [")
    names = ("pairs", "images", "model · cof", "base · direct", "p", "p (Holm)", "wins", "losses", "pairs unscored")
    assert [found[name] for name in names] == ["4", "4", "75.0", "25.0", "0.5", "1", "2", "0", "0"]


def test_wins_and_losses_are_listed_by_id_with_both_answers(make_run, asked, report) -> None:
    ours = make_run(asked("won", "224", RIGHT, answer="A"), asked("lost", "224", WRONG, answer="B|C"))
    theirs = make_run(asked("won", "224", WRONG, answer="D"), asked("lost", "224", RIGHT, answer="A"), label="base")
    text = report(ours, theirs)
    assert cells(text, "win")[1:] == ["224", "won", "direct&#95;attributes".replace("&#95;", "_"), "A", "A", "D"]
    assert cells(text, "loss")[5] == "B&#124;C"


def test_runs_that_differ_in_one_thing_say_which(report, whole) -> None:
    text = report(whole(protocol={"name": "cof"}), whole(1, "base", protocol={"name": "direct", "max_turns": 1}))
    assert text.split("\n\n")[2] == "The runs differ in one thing: protocol (cof · direct)."


def test_runs_that_differ_in_more_say_so_before_anything_else(report, whole) -> None:
    text = report(whole(seed=1, model={"fingerprint": "x"}), whole(1, "base", seed=2, model={"fingerprint": "y"}))
    assert text.split("\n\n")[2].startswith("**The runs differ in 2 things")
    assert cells(text, "model")[1:] == ["fingerprint=x", "fingerprint=y"]
    assert cells(text, "seed")[1:] == ["1", "2"]
    assert text.index("| differs |") < text.index("# Accuracy")


def test_a_run_compared_with_itself_differs_in_nothing(report, whole) -> None:
    assert "differ in no recorded setting" in report(whole(), whole(label="again"))


def test_one_run_is_compared_with_nothing(report, whole) -> None:
    assert "| wins |" not in report(whole())


def test_notes_of_the_run_stand_above_the_tables(report, whole) -> None:
    text = report(whole(notes=["random weights", "calls forced by structured output"]))
    assert "- random weights\n- calls forced by structured output\n" in text.split("## vstar")[0]


def test_a_note_of_one_run_names_it_and_a_note_of_all_runs_does_not(report, whole) -> None:
    text = report(whole(notes=["random weights", "greedy"]), whole(label="base", notes=["greedy"]))
    assert "- model · cof: random weights\n- greedy\n" in text


def test_what_several_runs_suffer_is_said_once_with_each_runs_figures(make_run, asked, whole) -> None:
    first = make_run(asked("a", "224", UNSCORED), asked("b", "224", RIGHT), label="first")
    second = make_run(asked("a", "224", UNSCORED), asked("b", "224", UNSCORED), label="second")
    said = "partly unscored, so accuracy is a lower bound: first (1 of 2 answered rows), second (2 of 2 answered rows)"
    assert caveats(report_runs([first, second, whole(label="third")]), "vstar") == [said]
    assert caveats(report_runs([first]), "vstar") == ["partly unscored (1 of 2 answered rows, so accuracy is a lower bound)"]


def test_rows_that_share_images_are_said_to_be_so(report, make_run, asked, whole) -> None:
    text = report(make_run(*(asked(f"q{i}", "224", RIGHT, cluster="one") for i in range(4))))
    assert "rows of vstar are not independent (1 images in 4 rows at 224, so its intervals and tests are over images)" in text
    assert "not independent" not in report(whole())


def test_predicted_visual_tokens_are_said_to_be_so(report, make_run, asked) -> None:
    assert "- visual tokens are predicted, not counted by the engine (1 rows)\n" in report(
        make_run(asked("a", "224", RIGHT, visual_tokens=None))
    )


def test_published_figures_are_listed_with_their_sources(report, make_run, asked, whole) -> None:
    text = report(make_run(*(asked(f"q{i}", "224", RIGHT) for i in range(191))), published=PUBLISHED)
    assert cells(text, "Adaptive-CoF-7B")[1:4] == ["overall", "39.3", "44.0"]
    assert "| Mini-o3-7B | overall | 88.2 | Mini-o3 README | average of 32 |" in text
    assert "Published" not in report(whole())


def test_published_figures_do_not_stand_beside_a_part_of_the_benchmark(report, whole) -> None:
    assert "Adaptive-CoF-7B" not in report(whole(), published=PUBLISHED)


def test_how_to_read_this_is_four_points(report, whole) -> None:
    section = report(whole()).split("## How to read this\n")[1].split("## Settings")[0]
    assert len(re.findall(r"^- ", section, re.MULTILINE)) == 4


def test_settings_are_listed_as_far_as_they_are_there(report, whole) -> None:
    text = report(whole(model={"path": "org/m", "dtype": "bfloat16"}, versions={"vllm": "0.30.0"}, judge=None))
    assert cells(text, "model")[1] == "path=org/m, dtype=bfloat16"
    assert cells(text, "protocol: name")[1] == "cof"
    assert cells(text, "versions")[1] == "vllm=0.30.0"
    assert "| judge |" not in text


def test_a_long_setting_is_cut(report, whole) -> None:
    assert len(cells(report(whole(model={"prompt": "long " * 1000})), "model")[1]) < 450


def test_hostile_text_stays_text_in_every_table(report, make_run, asked) -> None:
    run = make_run(
        asked("a", "224", RIGHT, category=HOSTILE, answer=HOSTILE),
        asked("b", "224", RIGHT, category="plain"),
        label=HOSTILE,
        notes=[HOSTILE],
        model={HOSTILE: HOSTILE},
    )
    text = report(run, run)
    body = text.replace("[flips.csv](flips.csv)", "")
    assert "<" not in body
    assert "![" not in body
    assert "`" not in body
    widths = {block: {line.count("|") for line in block.splitlines()} for block in body.split("\n\n") if block.startswith("| ")}
    assert widths
    assert all(len(width) == 1 for width in widths.values())


def test_hostile_answers_survive_in_the_rows(make_run, asked, tmp_path: Path) -> None:
    write_report([make_run(asked("a", "224", RIGHT, answer='x,"y"\nz|<b>'))], tmp_path)
    assert list(pd.read_csv(tmp_path / "rows.csv")["answer"]) == ['x,"y"\nz|<b>']


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one run"):
        write_report([], tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(whole, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"cannot write the report to .*file"):
        write_report([whole()], tmp_path / "file")


def test_all_eight_resolutions_of_two_runs_report(make_run, asked, report) -> None:
    runs = [
        make_run(*(asked(f"q{i}", r.name, RIGHT, zooms=i) for r in SWEEP for i in range(3)), label=label)
        for label in ("a", "b")
    ]
    text = report(*runs)
    assert [cells(text, resolution.name)[1] for resolution in SWEEP] == ["3"] * 8


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("direct_attributes", "direct_attributes"),
        ("a|b", "a&#124;b"),
        ("<b>", "&#60;b&#62;"),
        ("&lt;", "&#38;lt;"),
        ("[x](y)", "&#91;x&#93;(y)"),
        ("\\|", "&#92;&#124;"),
        ("# `a` *b*", "&#35; &#96;a&#96; &#42;b&#42;"),
        ("_e_ ~f~", "&#95;e&#95; &#126;f&#126;"),
        ("one\r\n two\ttabs", "one two tabs"),
        ("a\u202eb\x00c", "a b c"),
        (None, "None"),
        ("", ""),
    ],
)
def test_escape_leaves_no_markup(text: object, escaped: str) -> None:
    assert escape(text) == escaped


def test_tables_set_numbers_to_the_right() -> None:
    assert table(["a", "b", "c"], [["x", "1.0", "word"]]).splitlines()[1] == "| --- | ---: | --- |"


def test_numbers_are_written_short_and_unknown_ones_as_a_dash() -> None:
    nan = float("nan")
    line = {"n": 191, "acc": 162 / 191, "acc_low": 0.79045, "acc_high": 0.89216}
    assert accuracy(line) == "84.8 [79.0, 89.2]"
    assert [percent(0.5), points(0.053), points(-0.1), mean(1.005), count(4042.6)] == ["50.0", "+5.3", "-10.0", "1.00", "4,043"]
    assert [percent(nan), points(nan), mean(nan), count(nan)] == ["–"] * 4


def test_the_same_mean_with_and_without_an_interval() -> None:
    line = {"zooms": 0.846, "zooms_low": -0.01, "zooms_high": 0.9}
    assert between(line, "zooms", 2) == "0.85 [0.00, 0.90]"
    assert between({**line, "zooms_low": float("nan")}, "zooms", 2) == "0.85"
    assert between({"zooms": 0.0, "zooms_low": 0.0, "zooms_high": 0.0}, "zooms", 2) == "0.00"


def test_small_p_values_are_never_zero() -> None:
    assert [probability(p) for p in (0.0, 0.0009, 0.0123, 1.0, float("nan"))] == ["< 0.001", "< 0.001", "0.012", "1", "–"]


class TestCard:
    """The model card, `summary.md`."""

    def test_it_opens_with_the_headline_and_says_what_is_missing(self, make_run, asked) -> None:
        run = make_run(asked("a", "224", RIGHT), asked("b", "224", None, stop=None), expected=8)
        first, second, *_ = card_text(report_runs([run])).split("\n\n")
        assert first == (
            "**model · cof on vstar: 100.0% [20.7, 100.0] correct at 224, n = 1; 0.00 zooms, 10 text and 64 visual tokens a question; "
            "so far 1 of 8 rows.**"
        )
        assert second == "Unfinished (1 of 8 rows are answered)."
        assert card_text(report_runs([make_run(expected=8)])).startswith(
            "**model · cof: nothing answered yet.**\n\nEmpty (none"
        )

    def test_it_has_numbers_settings_versions_and_caveats_and_no_picture(self, whole) -> None:
        run = whole(
            notes=["random weights"],
            model={"pretrained": "org/m", "fingerprint": "abc"},
            protocol={"name": "cof", "max_turns": 6, "temperature": 0.0},
            versions={"vllm": "0.30.0", "idna": "3"},
            judge={"card": "equivalence", "model": "Qwen"},
        )
        text = card_text(report_runs([run]))
        assert cells(text, "224")[1:4] == ["4", "4", "75.0 [30.1, 95.4]"]
        assert cells(text, "model")[1] == "org/m"
        assert cells(text, "checkpoint")[1] == "abc"
        assert cells(text, "protocol settings")[1] == "max_turns=6, temperature=0.0"
        assert cells(text, "option order")[1] == "–"
        assert cells(text, "judge")[1] == "card=equivalence, model=Qwen"
        assert cells(text, "versions")[1] == "vllm=0.30.0"
        assert text.endswith("## Caveats\n\n- random weights\n")
        assert "](" not in text

    def test_every_switch_that_moves_scores_is_on_it(self, whole) -> None:
        protocol = msgspec.to_builtins(replace(PROTOCOLS["mini_o3"], name="mine", crops="blank"))
        text = card_text(report_runs([whole(protocol=protocol, option_order="shuffled:3", repeats=32)]))
        said = cells(text, "protocol settings")[1]
        texts = {
            "name",
            "system",
            "question",
            "option",
            "format",
            "crop_turn",
            "error_turn",
            "between",
            "closing",
            "turn_patterns",
        }
        kept = {
            name: value for name, value in protocol.items() if name not in texts | {"open_question"} and value not in (None, "")
        }
        assert {"crops": "blank", "frame": "unit", "bad_call": "text", "temperature": 1.0}.items() <= kept.items()
        assert html.unescape(said) == ", ".join(f"{name}={brief(value, 3_000)}" for name, value in kept.items())
        assert "…" not in said
        assert (cells(text, "option order")[1], cells(text, "repeats")[1]) == ("shuffled:3", "32")
        assert protocol["system"][:40] not in text

    def test_the_test_is_named_as_it_was_made(self, make_run, asked) -> None:
        def run(outcome: Outcome, label: str):
            return make_run(*(asked(f"q{i}", "224", outcome, cluster=f"image{i // 2}") for i in range(8)), label=label)

        assert "p = 0.12 (exact sign flips of images)" in card_text(report_runs([run(RIGHT, "a"), run(WRONG, "b")]))

    def test_two_runs_are_compared_in_sentences(self, whole) -> None:
        text = card_text(report_runs([whole(3), whole(1, "base")]))
        assert (
            "- 224: model · cof minus base is +50.0 [-72.7, +100.0] points on the 4 questions scored in both, p = 0.5 (McNemar exact); "
            "max-T over resolutions: 0.5; detectable: none points" in text
        )

    def test_hostile_names_stay_text(self, whole) -> None:
        text = card_text(report_runs([whole(label=HOSTILE, notes=[HOSTILE], model={"pretrained": HOSTILE})]))
        assert "<" not in text
        assert "](" not in text


def test_what_servers_did_otherwise_than_asked_stands_above_the_numbers(report, whole) -> None:
    asked = {"http://a/v1": {"left_out": {"top_k": "unknown | field", "min_p": "unknown"}}}
    replies = {"mended": {"whole texts moved": 3}, "ignored_fields": {"timings": 8}}
    servers = {
        "model": {"weights": ["/a", "/b"], "asked": asked, "replies": replies},
        "judge": {"asked": {"http://j/v1": {"unused": ["top_k"]}}},
    }
    run = whole(servers=servers)
    said = caveats(report_runs([run]))
    assert any(line.startswith("the server may have used its own top_k, min_p: it refused to be told") for line in said)
    assert "servers named different weights under one name (/a, /b)" in said
    assert any(line.startswith("the judge's server may have used its own top_k") for line in said)
    assert {"whole texts moved (3 replies)", "fields of replies that were not read: timings (8)"} <= set(said)
    assert not any("timings" in line for line in caveats(report_runs([run]), "vstar"))  # a figure's note is short
    assert "may have used its own top_k, min_p" in report(run)
