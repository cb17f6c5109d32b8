"""The viewer in a real Chromium, opened from the file system."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cof_eval.agent.reply import SYNTAXES, CallSyntax
from cof_eval.core.records import Call, Finish, ImageRef, Outcome, ShownImage, Stop, Trajectory, Turn
from cof_eval.report import report_runs, write_report
from cof_eval.report.rows import rows_table
from cof_eval.report.summary import summarize
from cof_eval.report.viewer import write_viewer
from cof_eval.runs.folder import RunData

pytestmark = pytest.mark.slow

RIGHT, WRONG, UNSCORED = Outcome.CORRECT, Outcome.WRONG, Outcome.UNSCORED
HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror=\"window.hacked = 2\"><svg onload='window.hacked = 3'> "
    "javascript:alert(1) --> ]]> \u2028 \u2029 &lt; \\u003c `${window.hacked = 4}` {{ 7 * 7 }} '\"; window.hacked = 5; //"
)


def trajectories(run: RunData) -> dict[tuple[str, str], Trajectory]:
    """Each trajectory by task and question id."""
    return {(row.task, row.question_id): run.trajectories[row.trajectory] for row in run.rows}


def until(page: Any, expression: str) -> None:
    """Wait for a JavaScript expression to hold; Playwright's own wait evaluates strings, which the page forbids."""
    for _ in range(500):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"never held: {expression}")


def ready(page: Any) -> None:
    """Wait until the list says how many rows it has, all of them read."""
    until(page, "/rows?$/.test(document.querySelector('.tally')?.textContent ?? '')")


def open_list(page: Any, url: str, query: str = "") -> list[str]:
    """The verdicts of the listed rows."""
    page.goto("about:blank")
    page.goto(f"{url}#/list{query}")
    ready(page)
    return [text.strip() for text in page.locator("table.rows tbody td:first-child .verdict").all_inner_texts()]


def open_trajectory(page: Any, url: str, task: str, doc: int = 0, run: int = 0) -> None:
    page.goto("about:blank")
    page.goto(f"{url}#/trajectory?run={run}&task={task}&doc={doc}&repeat=0")
    page.wait_for_selector("article.trajectory")


def loaded(image: Any) -> bool:
    return bool(image.evaluate("async (image) => { await image.decode(); return image.naturalWidth > 0; }"))


def number(text: str) -> int:
    return int(re.sub(r"\D", "", text))


@pytest.fixture
def alone(tmp_path: Path) -> Callable[..., str]:
    """Writes the viewer of runs that are made in memory, without figures; returns its address."""

    def write(*runs: RunData) -> str:
        labels = [f"run {i}" for i in range(len(runs))]
        tables = [summarize(rows_table(run, label=label)) for run, label in zip(runs, labels, strict=True)]
        (tmp_path / "report").mkdir(exist_ok=True)
        return write_viewer(runs, tmp_path / "report", labels=labels, sweep=pd.concat(tables)).as_uri()

    return write


def with_trajectory(run: RunData, **changes: Any) -> RunData:
    """The run with its only trajectory changed."""
    ((key, trajectory),) = run.trajectories.items()
    return replace(run, trajectories={key: replace(trajectory, **changes)})


class TestOverview:
    def test_it_opens_from_the_file_system_with_its_figures(self, page, looked) -> None:
        page.goto(looked.url)
        assert page.locator("body > *:visible").first.inner_text() == page.locator("#headline").inner_text()
        assert "looker · cof is partly unscored" in page.locator("#headline").inner_text()
        assert "looker · direct is unfinished: 12 of 20 rows" in page.locator("#headline").inner_text()
        assert loaded(page.locator("figure img").first)

    def test_an_accuracy_leads_to_its_rows(self, page, looked) -> None:
        page.goto(looked.url)
        cell = page.locator("table.grid tbody tr:nth-child(2) td").nth(1)
        shown = float(cell.locator("strong").inner_text())
        cell.locator("a").click()
        ready(page)
        verdicts = page.locator("table.rows tbody td:first-child .verdict").all_inner_texts()
        assert len(verdicts) == 6
        assert shown == pytest.approx(100 * verdicts.count("Correct") / 6, abs=0.05)
        assert set(page.locator("table.rows td:nth-child(4)").all_inner_texts()) == {"448"}

    def test_a_cell_says_what_its_rows_cost(self, page, make_run, asked, alone) -> None:
        page.goto(alone(make_run(asked("a", "224", RIGHT, output_tokens=12, visual_tokens=345))))
        assert "12.0 text tokens" in page.locator("table.grid td").inner_text()
        assert "345 visual" in page.locator("table.grid td").inner_text()

    def test_a_note_that_is_not_of_all_runs_says_whose_it_is(self, page, make_run, asked, alone) -> None:
        page.goto(
            alone(
                make_run(asked("a", "224", RIGHT), notes=["forced", "small"]),
                make_run(asked("a", "224", RIGHT), notes=["small"]),
            )
        )
        assert page.locator("p.note").all_inner_texts() == ["run 0: forced", "small"]

    def test_settings_that_differ_are_marked(self, page, looked) -> None:
        page.goto(looked.url)
        assert page.locator("tr.differs th").all_inner_texts() == [
            "protocol.name differs",
            "protocol.max_turns differs",
            "judge.model differs",
        ]

    def test_the_theme_follows_the_system_until_one_is_chosen(self, page, looked) -> None:
        ground = "() => getComputedStyle(document.body.parentElement).backgroundColor"
        page.goto(looked.url)
        light = page.evaluate(ground)
        page.emulate_media(color_scheme="dark")
        dark = page.evaluate(ground)
        assert light != dark
        page.keyboard.press("d")
        assert page.locator("#theme").inner_text() == "Theme: light"
        assert page.evaluate(ground) == light
        page.reload()
        assert page.evaluate(ground) == light
        page.evaluate("localStorage.clear()")


class TestList:
    def test_every_row_is_listed_and_every_filter_value_counted(self, page, looked) -> None:
        verdicts = open_list(page, looked.url)
        rows = [(run, row) for run in looked.runs for row in run.rows]
        assert page.locator(".tally").inner_text() == f"{len(rows)} rows"
        expected = [run.verdicts[row.trajectory].verdict.value.capitalize() for run, row in rows]
        assert verdicts == expected
        assert {"Correct", "Wrong", "Unscored"} <= set(expected)
        for name in set(expected):
            label = page.locator('[data-facet="verdict"] label').filter(has_text=name)
            assert number(label.locator(".n").inner_text()) == expected.count(name)

    def test_filters_narrow_the_list_and_stand_in_the_address(self, page, looked) -> None:
        before = open_list(page, looked.url)
        page.locator('[data-facet="verdict"] label').filter(has_text="Wrong").click()
        page.wait_for_selector(".chip")
        page.locator('[data-facet="resolution"] label').filter(has_text="224").click()
        until(page, "document.querySelectorAll('.chip').length === 2")
        assert page.url.endswith("#/list?verdict=wrong&resolution=224")
        narrowed = page.locator("table.rows tbody td:first-child .verdict").all_inner_texts()
        assert 0 < len(narrowed) < len(before)
        assert set(narrowed) == {"Wrong"}
        page.reload()
        ready(page)
        assert page.locator("table.rows tbody tr").count() == len(narrowed)
        page.go_back()
        until(page, "document.querySelectorAll('.chip').length === 1")

    def test_counts_beside_a_filter_say_what_choosing_it_would_give(self, page, looked) -> None:
        open_list(page, looked.url, "?verdict=wrong")
        label = page.locator('[data-facet="resolution"] label').filter(has_text="448")
        promised = number(label.locator(".n").inner_text())
        label.click()
        until(page, "document.querySelectorAll('.chip').length === 2")
        assert page.locator("table.rows tbody tr").count() == promised > 0

    def test_zooms_errors_stops_and_categories_filter_too(self, page, looked) -> None:
        both = [(row, run.trajectories[row.trajectory]) for run in looked.runs for row in run.rows]
        counts = {
            "?zooms=0": sum(t.zooms == 0 for _, t in both),
            "?errors=1,2": sum(t.tool_errors in (1, 2) for _, t in both),
            "?stop=no_answer": sum(t.stop is Stop.NO_ANSWER for _, t in both),
            "?category=relative_position": sum(t.question.category == "relative_position" for _, t in both),
            "?run=1": len(looked.runs[1].rows),
        }
        assert all(counts.values())
        assert {query: len(open_list(page, looked.url, query)) for query in counts} == counts

    def test_the_search_looks_in_ids_questions_and_answers(self, page, make_run, asked, alone) -> None:
        url = alone(
            make_run(asked("needle-7", "224", RIGHT), asked("b", "224", WRONG, answer="the NEEDLE"), asked("c", "224", RIGHT))
        )
        assert open_list(page, url) == ["Correct", "Wrong", "Correct"]
        page.keyboard.press("/")
        page.keyboard.type("Needle")
        until(page, "document.querySelectorAll('table.rows tbody tr').length === 2")
        assert page.url.endswith("?q=Needle")
        assert page.evaluate("document.activeElement.id") == "search"
        assert len(open_list(page, url, "?q=what")) == 3

    def test_sorting_orders_the_rows_either_way(self, page, looked) -> None:
        open_list(page, looked.url, "?sort=tokens")
        tokens = [number(text) for text in page.locator("table.rows td:nth-child(7)").all_inner_texts()]
        assert tokens == sorted(tokens)
        page.locator("button.sort").filter(has_text="Tokens").click()
        page.wait_for_selector('th[aria-sort="descending"]')
        assert [number(text) for text in page.locator("table.rows td:nth-child(7)").all_inner_texts()] == tokens[::-1]

    @pytest.mark.parametrize("width", [420, 800, 1400])
    def test_what_was_expected_stays_on_one_line(self, page, looked, width: int) -> None:
        page.set_viewport_size({"width": width, "height": 900})
        open_list(page, looked.url, "?verdict=wrong")
        lines = page.locator("td.answer .below")
        assert lines.count()
        assert {text.strip()[:9] for text in lines.all_inner_texts()} == {"expected "}
        assert all(line.bounding_box()["height"] < 24 for line in lines.all())

    def test_a_list_without_matches_says_so(self, page, looked) -> None:
        assert open_list(page, looked.url, "?q=nowhere-to-be-found") == []
        assert "No row passes these filters" in page.locator(".empty").inner_text()

    def test_a_broken_address_shows_the_list_all_the_same(self, page, looked) -> None:
        assert len(open_list(page, looked.url, "?verdict=%E0%A4%A&page=-4&sort=constructor&__proto__=1")) == 0
        assert len(open_list(page, looked.url, "?page=99&sort=nothing")) == 30


class TestTrajectory:
    def test_a_click_opens_the_row_with_all_that_was_said(self, page, looked) -> None:
        open_list(page, looked.url)
        page.locator("table.rows tbody tr").first.locator("td.answer").click()
        page.wait_for_selector("article.trajectory")
        run = looked.runs[0]
        trajectory = run.trajectories[run.rows[0].trajectory]
        texts = [element.text_content() for element in page.locator(".model-text").all()]
        assert texts == [turn.text for turn in trajectory.turns]
        assert page.locator(".where").inner_text().startswith("vstar · 0 · direct_attributes")

    def test_boxes_lie_where_the_model_put_them(self, page, looked) -> None:
        (task, question), trajectory = next(
            (place, t) for place, t in trajectories(looked.runs[0]).items() if t.zooms >= 2 and t.shown.size[0] > 400
        )
        open_trajectory(page, looked.url, task, int(question))
        image = page.locator(".boxed img").bounding_box()
        calls = [call for call in trajectory.calls if call.box]
        assert page.locator(".boxed .box").count() == len(calls)
        for number_, call in enumerate(trajectory.calls, start=1):
            if not call.box:
                continue
            drawn = page.locator(f'.boxed .box[data-box="{number_}"]').bounding_box()
            scale = image["width"] / trajectory.shown.size[0]
            assert drawn["x"] - image["x"] == pytest.approx(call.box[0] * scale, abs=1)
            assert drawn["y"] - image["y"] == pytest.approx(call.box[1] * scale, abs=1)
            if call.crop:
                assert drawn["width"] == pytest.approx((call.box[2] - call.box[0]) * scale, abs=1)
        assert page.locator(".boxed .target").count() == len(trajectory.question.boxes) > 0

    def test_numbers_of_boxes_at_the_same_place_stand_side_by_side(self, page, make_run, asked, alone) -> None:
        calls = tuple(Call("{}", (20, 40, 80, 90), "shown", error="no") for _ in range(3))
        url = alone(
            with_trajectory(make_run(asked("q", "224", WRONG)), turns=(Turn("…", Finish.STOP, 1, 0, 1, 9, 0.0, calls),))
        )
        open_list(page, url)
        page.locator("td.question a").click()
        page.wait_for_selector("article.trajectory")
        places = sorted(label.bounding_box()["x"] for label in page.locator(".boxed .number").all())
        width = page.locator(".boxed .number").first.bounding_box()["width"]
        assert len(places) == 3
        assert all(right - left >= width for left, right in pairwise(places))

    def test_a_call_of_every_syntax_is_set_apart_from_the_words_around_it(self, page, make_run, asked, alone) -> None:
        for syntax in set(CallSyntax) - {
            CallSyntax.NONE,
            CallSyntax.PATTERN,
        }:  # a pattern's tags are known to its protocol alone
            tag = "grounding" if syntax is CallSyntax.GROUNDING else "tool_call"
            said = f"<think>so</think>{SYNTAXES[syntax].write('zoom', {'bbox_2d': [1, 2, 3, 4]})}"
            run = with_trajectory(make_run(asked("q", "224", WRONG)), turns=(Turn(said, Finish.STOP, 1, 0, 1, 9, 0.0, ()),))
            open_list(page, alone(run))
            page.locator("td.question a").click()
            page.wait_for_selector("article.trajectory")
            assert page.locator(".model-text").inner_text().replace("\n", "") == said.replace("\n", "")
            assert "monospace" in page.locator(f".model-text .{tag}").evaluate("e => getComputedStyle(e).fontFamily")

    def test_boxes_lead_to_their_crops_and_back(self, page, looked) -> None:
        (task, question), trajectory = next(
            (place, t) for place, t in trajectories(looked.runs[0]).items() if t.zooms >= 2 and not t.tool_errors
        )
        open_trajectory(page, looked.url, task, int(question))
        page.locator('.boxed .box[data-box="2"]').click(position={"x": 1, "y": 1})
        assert page.locator(".call.chosen").get_attribute("data-box") == "2"
        page.locator('.call[data-box="1"] button.number').click()
        assert page.locator(".box.chosen").get_attribute("data-box") == "1"
        assert all(loaded(image) for image in page.locator(".call img").all())
        assert page.locator(".call img").count() == trajectory.zooms

    def test_tool_errors_tokens_and_times_stand_with_their_turn(self, page, looked) -> None:
        (task, question), trajectory = next((place, t) for place, t in trajectories(looked.runs[0]).items() if t.tool_errors)
        open_trajectory(page, looked.url, task, int(question))
        error = next(call.error for call in trajectory.calls if call.error)
        assert error in page.locator(".call-error").first.inner_text()
        facts = page.locator(".turn-facts").all_inner_texts()
        assert [number(text.split("prompt")[0]) for text in facts] == [turn.output_tokens for turn in trajectory.turns]
        assert all(text.count("s") and "engine" in text for text in facts)

    @pytest.mark.parametrize(("by", "said"), [("judge", "the judge big"), ("rule:", "the rule “"), ("none", "nobody")])
    def test_the_verdict_says_who_gave_it(self, page, looked, by: str, said: str) -> None:
        place = next(
            (i, row) for i, run in enumerate(looked.runs) for row in run.rows if run.verdicts[row.trajectory].by.startswith(by)
        )
        open_trajectory(page, looked.url, place[1].task, place[1].doc_id, place[0])
        assert f"Decided by\n{said}" in page.locator(".verdict-panel").inner_text().replace("\t", "\n")

    def test_a_verdict_that_is_missing_is_told_with_its_reason(self, page, looked) -> None:
        run = looked.runs[0]
        row = next(row for row in run.rows if run.verdicts[row.trajectory].verdict is UNSCORED)
        open_trajectory(page, looked.url, row.task, row.doc_id)
        assert run.verdicts[row.trajectory].reason in page.locator(".verdict-panel").inner_text()

    def test_a_pending_row_says_what_to_do(self, page, make_run, asked, alone) -> None:
        open_list(page, alone(make_run(asked("a", "224", RIGHT), asked("a", "4k", None, stop=None))))
        page.locator("table.rows tbody tr").nth(1).click()
        assert "This row is pending" in page.locator(".empty").inner_text()
        assert page.locator(".cell").count() == 2

    def test_a_link_to_no_row_is_told(self, page, looked) -> None:
        page.goto(f"{looked.url}#/trajectory?run=7&task=nothing&doc=0&repeat=0")
        page.wait_for_selector(".empty")
        assert "no such row" in page.locator(".empty").inner_text()


class TestPictures:
    def test_where_pictures_were_not_kept_boxes_lie_on_an_empty_frame(self, page, looked, tmp_path: Path) -> None:
        bare = tmp_path / "bare"
        shutil.copytree(looked.runs[0].path, bare, ignore=shutil.ignore_patterns("images", "report"))
        url = (write_report(report_runs([replace(looked.runs[0], path=bare)]), bare / "report")[0]).as_uri()
        (task, question), trajectory = next((place, t) for place, t in trajectories(looked.runs[0]).items() if t.zooms)
        open_trajectory(page, url, task, int(question))
        frame = page.locator(".boxed").bounding_box()
        assert frame["width"] / frame["height"] == pytest.approx(trajectory.shown.size[0] / trajectory.shown.size[1], rel=0.01)
        assert page.locator(".boxed .box").count() == sum(call.box is not None for call in trajectory.calls)
        assert "picture not kept" in page.locator(".boxed .missing").inner_text()
        assert page.locator("article img").count() == 0

    def test_pictures_that_went_away_later_leave_a_frame(self, page, looked, tmp_path: Path, heard) -> None:
        moved = tmp_path / "moved"
        shutil.copytree(looked.runs[0].path, moved, ignore=shutil.ignore_patterns("report"))
        url = (write_report(report_runs([replace(looked.runs[0], path=moved)]), moved / "report")[0]).as_uri()
        shutil.rmtree(moved / "images")
        open_trajectory(page, url, looked.runs[0].rows[0].task)
        page.wait_for_selector(".boxed .missing")
        assert all("ERR_FILE_NOT_FOUND" in problem for problem in heard.problems)
        heard.problems.clear()

    def test_a_report_elsewhere_finds_the_pictures_of_every_run(self, page, looked, tmp_path: Path) -> None:
        out = tmp_path / "some where" / "else #1"
        url = write_report(report_runs(looked.runs), out)[0].as_uri()
        for run in (0, 1):
            open_trajectory(page, url, "cof_vstar_448", 0, run)
            assert loaded(page.locator(".boxed img"))

    def test_exact_pictures_are_shown_as_well(self, page, looked) -> None:
        open_trajectory(page, looked.url, "cof_vstar_448", 0, 1)
        assert page.locator(".boxed img").get_attribute("src").endswith(".png")
        assert loaded(page.locator(".boxed img"))


class TestSideBySide:
    def test_two_resolutions_are_compared(self, page, looked) -> None:
        open_trajectory(page, looked.url, "cof_vstar_448", 1)
        page.locator('[data-step="Compare"]').click()
        page.wait_for_selector(".compare")
        for name in ("0.224.0", "0.448.0", "1.448.0", "0.1024.0"):
            cell = page.locator(f'[data-cell="{name}"]')
            if (cell.get_attribute("aria-pressed") == "true") != (name in ("0.224.0", "0.1024.0")):
                cell.click()
                page.wait_for_selector(f'[data-cell="{name}"][aria-pressed="{str(name in ("0.224.0", "0.1024.0")).lower()}"]')
        columns = page.locator(".column")
        assert [text.strip() for text in columns.locator("h2").all_inner_texts()] == ["224", "1024"]
        asked = trajectories(looked.runs[0])
        for at, task in enumerate(("cof_vstar_224", "cof_vstar_1024")):
            trajectory = asked[task, "1"]
            assert loaded(columns.nth(at).locator(".boxed img"))
            assert columns.nth(at).locator(".boxed .box").count() == sum(call.box is not None for call in trajectory.calls)
            assert columns.nth(at).locator(".crops img").count() == trajectory.zooms
        page.reload()
        page.wait_for_selector(".compare")
        assert page.locator(".column").count() == 2

    def test_the_same_question_is_found_in_both_runs(self, page, looked) -> None:
        open_trajectory(page, looked.url, "cof_vstar_448", 2)
        assert page.locator(".elsewhere .cell").count() == 5
        page.locator(".elsewhere-run").nth(1).locator(".cell").filter(has_text="448").click()
        until(page, "location.hash.includes('run=1')")
        until(page, "document.querySelector('.where')?.textContent.includes('looker · direct')")


class TestKeyboard:
    def test_the_whole_way_without_a_mouse(self, page, looked) -> None:
        page.goto(looked.url)
        page.keyboard.press("l")
        ready(page)
        page.keyboard.press("j")
        page.keyboard.press("j")
        page.keyboard.press("k")
        page.keyboard.press("Enter")
        page.wait_for_selector("article.trajectory")
        assert "1 of 30" in page.locator(".bar").inner_text()
        page.keyboard.press("j")
        until(page, "document.querySelector('.bar').textContent.includes('2 of 30')")
        page.keyboard.press("ArrowRight")
        until(page, "location.hash.includes('task=cof_vstar_448')")
        until(page, "document.querySelector('.where strong').textContent === '448'")
        page.keyboard.press("c")
        page.wait_for_selector(".compare")
        page.keyboard.press("u")
        page.wait_for_selector("article.trajectory")
        page.keyboard.press("u")
        ready(page)
        page.keyboard.press("ArrowDown")  # goes on from the row that was looked at: the second of 448
        page.keyboard.press("Enter")
        until(page, "document.querySelector('.bar')?.textContent.includes('9 of 30')")
        page.keyboard.press("o")
        page.wait_for_selector("#overview:visible")

    def test_boxes_are_stepped_through_and_targets_hidden(self, page, looked) -> None:
        (task, question), trajectory = next(
            (place, t) for place, t in trajectories(looked.runs[0]).items() if len(t.calls) >= 2
        )
        open_trajectory(page, looked.url, task, int(question))
        steps = []
        for key in ["b"] * (len(trajectory.calls) + 1) + ["B"]:
            page.keyboard.press(key)
            steps.append(int(page.locator(".call.chosen").get_attribute("data-box")))
        assert steps == [*range(1, len(trajectory.calls) + 1), 1, len(trajectory.calls)]
        page.keyboard.press("t")
        assert page.locator(".boxed .target:visible").count() == 0

    def test_a_question_mark_shows_the_keys_and_escape_closes_them(self, page, looked) -> None:
        page.goto(looked.url)
        page.keyboard.press("?")
        assert "next, previous box" in page.locator("dialog").inner_text()
        page.keyboard.press("Escape")
        assert not page.locator("dialog").is_visible()

    def test_letters_typed_into_the_search_are_no_commands(self, page, looked) -> None:
        open_list(page, looked.url)
        page.keyboard.press("/")
        page.keyboard.type("o")
        until(page, "location.hash.includes('q=o')")
        page.keyboard.press("Escape")
        page.keyboard.press("o")
        page.wait_for_selector("#overview:visible")

    def test_everything_that_can_be_used_shows_its_focus(self, page, looked) -> None:
        open_trajectory(page, looked.url, "cof_vstar_448", 0)
        page.keyboard.press("Tab")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        unnamed = "[...document.querySelectorAll('button, a, input, select')].filter((e) => !e.closest('[hidden]') && !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).length"
        assert page.evaluate(unnamed) == 0


class TestHostileText:
    def test_it_stays_text_on_every_page(self, page, make_run, asked, alone) -> None:
        run = make_run(
            asked("q", "224", WRONG, answer=HOSTILE, category=HOSTILE), label=HOSTILE, notes=[HOSTILE], model={HOSTILE: HOSTILE}
        )
        trajectory = next(iter(run.trajectories.values()))
        turn = replace(trajectory.turns[0], text=HOSTILE, calls=(Call(HOSTILE, error=HOSTILE),))
        question = replace(trajectory.question, text=HOSTILE, options=(HOSTILE, "b"), category=HOSTILE)
        url = alone(with_trajectory(run, turns=(turn,), question=question, protocol=HOSTILE, error=HOSTILE))
        page.goto(url)
        assert HOSTILE in page.locator(".note").text_content()
        visible = re.sub("[\u2028\u2029]", "", HOSTILE)
        assert open_list(page, url) == ["Wrong"]
        assert visible[:100] in page.locator("td.answer .clamp").inner_text()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_selector("article.trajectory")
        assert page.locator(".model-text").text_content() == HOSTILE
        assert page.locator(".verdict-panel dd").first.text_content() == HOSTILE
        assert page.locator(".call-error .prose").text_content() == HOSTILE
        assert page.evaluate("window.hacked") is None
        assert page.locator("main script, main img, main svg[onload], a[href^='javascript']").count() == 0

    def test_a_hundred_kilobytes_stay_text(self, page, make_run, asked, alone) -> None:
        long = (HOSTILE * 1000)[:100_000]
        run = make_run(asked("q", "224", WRONG, answer=long))
        (trajectory,) = run.trajectories.values()
        url = alone(with_trajectory(run, turns=(replace(trajectory.turns[0], text=long),)))
        open_list(page, url)
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_selector("article.trajectory")
        page.locator(".model-text button").click()
        assert page.locator(".model-text").text_content() == long
        page.locator(".verdict-panel dd button").first.click()
        assert page.locator(".verdict-panel dd").first.text_content() == long
        assert page.evaluate("window.hacked") is None

    def test_what_would_be_invisible_or_turn_the_text_around_is_named(self, page, make_run, asked, alone) -> None:
        run = make_run(asked("q", "224", WRONG, answer="a\u202eb\x00c\u200bd"))
        (trajectory,) = run.trajectories.values()
        open_list(page, alone(with_trajectory(run, turns=(replace(trajectory.turns[0], text="e\ud800f\u2067"),))))
        assert page.locator("td.answer").inner_text().startswith("aU+202EbU+0000cU+200Bd")
        page.locator("td.question a").click()
        assert page.locator(".model-text").inner_text() == "e\ufffdfU+2067"

    @pytest.mark.parametrize("text", ["الجواب هو أحمر", "答案是红色的", "उत्तर लाल है", "e\u0301 👁 ½"])
    def test_other_scripts_are_shown_as_they_are(self, page, make_run, asked, alone, text: str) -> None:
        run = make_run(asked(text, "224", WRONG, answer=text, category=text))
        url = alone(run)
        open_list(page, url, f"?q={text}")
        assert page.locator("td.answer .clamp").inner_text() == text
        page.locator("td.question a").click()
        page.wait_for_selector("article.trajectory")
        assert page.locator(".verdict-panel dd").first.inner_text() == text

    def test_the_page_forbids_markup_from_data_inline_scripts_and_the_network(self, page, looked, heard) -> None:
        page.goto(looked.url)
        attempts = {
            "markup": "() => { document.body.innerHTML = '<b>x</b>'; }",
            "script": "() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 1'; document.body.append(s); }",
            "other file": "() => { document.createElement('script').src = 'https://example.org/x.js'; }",
            "fetch": "async () => { await fetch('https://example.org/'); }",
        }
        outcomes = {
            name: page.evaluate(f"async () => {{ try {{ await ({code})(); return 'done'; }} catch (e) {{ return e.name; }} }}")
            for name, code in attempts.items()
        }
        assert set(outcomes.values()) == {"TypeError"}
        page.evaluate(
            "() => { const i = document.createElement('img'); i.src = 'https://example.org/x.png'; document.body.append(i); }"
        )
        page.wait_for_timeout(100)
        assert page.evaluate("window.hacked") is None
        assert all("example.org" not in url for url in heard.requests)
        heard.problems.clear()

    def test_numbers_that_no_picture_has_break_nothing(self, page, make_run, asked, alone) -> None:
        run = make_run(asked("q", "224", WRONG))
        calls = (
            Call("{}", (5, 5, 1, 1), "shown", error="inverted"),
            Call("{}", (0, 0, 1e300, 9), "unknown"),
            Call("{}", (-50, -50, 9e9, 9e9), "shown"),
        )
        turn = Turn("…", Finish.LENGTH, 1, 0, 1, None, 0.0, calls)
        url = alone(with_trajectory(run, turns=(turn,), image=ImageRef("n", (0, 0)), shown=ShownImage((0, 0), 0)))
        open_list(page, url)
        page.locator("td.question a").click()
        page.wait_for_selector("article.trajectory")
        assert page.locator(".call").count() == 3
        assert page.locator(".boxed .box").count() == 0


class TestStates:
    @pytest.mark.parametrize(
        ("outcomes", "expected", "line"),
        [
            ([RIGHT, RIGHT], 2, "Complete: all 2 rows are answered and scored."),
            ([RIGHT], 1234, "Unfinished: 1 of 1\u202f234 rows are answered."),
            ([RIGHT, UNSCORED], 2, "Partly unscored: 1 of 2 answers, so accuracy is a lower bound."),
            ([], 0, "Empty: it has no rows."),
            ([], 7, "Empty: none of its 7 rows is answered."),
        ],
    )
    def test_the_first_line_says_how_far_a_run_is(
        self, page, make_run, asked, alone, outcomes, expected: int, line: str
    ) -> None:
        url = alone(make_run(*(asked(f"q{i}", "224", outcome) for i, outcome in enumerate(outcomes)), expected=expected))
        page.goto(url)
        assert page.locator("body").inner_text().splitlines()[0] == line
        assert len(open_list(page, url)) == len(outcomes)

    def test_ten_thousand_rows_are_paged_and_the_last_opens(self, page, make_run, asked, alone) -> None:
        url = alone(make_run(*(asked(f"q{i}", "224", RIGHT, cluster="c") for i in range(10_020))))
        assert len(open_list(page, url, "?page=201")) == 20
        assert page.locator(".tally").inner_text() == "10\u202f020 rows"
        page.locator("table.rows tbody tr").last.click()
        page.wait_for_selector("article.trajectory")
        assert "q10019" in page.locator(".where").inner_text()
        assert "10\u202f020 of 10\u202f020" in page.locator(".bar").inner_text()
        page.keyboard.press("k")
        until(page, "document.querySelector('.where').textContent.includes('q10018')")

    def test_data_that_went_away_is_told(self, page, looked, tmp_path: Path, heard) -> None:
        url = write_report(report_runs(looked.runs), tmp_path / "out")[0].as_uri()
        for chunk in (tmp_path / "out" / "viewer" / "data").glob("records-*.js"):
            chunk.unlink()
        page.goto(f"{url}#/trajectory?run=0&task=cof_vstar_224&doc=0&repeat=0")
        page.wait_for_selector(".empty")
        assert "cannot be read: keep the folder viewer/" in page.locator(".empty").inner_text()
        heard.problems.clear()

    def test_at_800_pixels_nothing_reaches_out_of_the_page(self, page, looked) -> None:
        page.set_viewport_size({"width": 800, "height": 900})
        for address in (
            "",
            "#/list",
            "#/trajectory?run=0&task=cof_vstar_448&doc=1&repeat=0",
            "#/compare?run=0&task=cof_vstar_448&doc=1&repeat=0",
        ):
            page.goto("about:blank")
            page.goto(looked.url + address)
            page.wait_for_selector("#overview:visible" if not address else "#view h1")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), address
