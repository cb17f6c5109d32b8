"""What a run says: the same words on a terminal and in a pipe, no control code where none belongs, and nothing outside text can steer."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from fakes import sample
from rich.console import Console

from cof_eval.core.records import Outcome, Question, Verdict
from cof_eval.runs.console import Detail, Screen, say_findings, say_plan, say_troubles
from cof_eval.runs.evaluate import Progress
from cof_eval.runs.finding import Finding, Level
from cof_eval.runs.progress_bar import Bar, CountBar

Captured = pytest.CaptureFixture[str]
PLANS = sample()
DISTINCT = list({plan.key: plan for plan in PLANS}.values())
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests' own environment says of its terminal."""
    for name in ("FORCE_COLOR", "COLUMNS", "LINES", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


class TestDetail:
    @pytest.mark.parametrize(
        ("detail", "said"),
        [(Detail.QUIET, set()), (Detail.BAR, {"bar"}), (Detail.NORMAL, {"bar", "normal"}), (Detail.VERBOSE, {"bar", "normal"})],
    )
    def test_each_says_what_the_lower_ones_say_and_results_always(
        self, detail: Detail, said: set[str], capsys: Captured
    ) -> None:
        screen = Screen(detail)
        screen.say("normal")
        screen.say("bar", at=Detail.BAR)
        screen.show("result")
        out, err = capsys.readouterr()
        assert (out, set(err.split())) == ("result\n", said)

    @pytest.mark.parametrize(("detail", "lines"), [(Detail.QUIET, 0), (Detail.BAR, 0), (Detail.NORMAL, 1), (Detail.VERBOSE, 1)])
    def test_a_wait_is_a_line_where_lines_are_wanted(self, detail: Detail, lines: int, capsys: Captured) -> None:
        Screen(detail).wait("loading")
        assert capsys.readouterr().err == "loading …\n" * lines

    def test_on_a_terminal_of_another_program_no_wait_is_told(self, capsys: Captured) -> None:
        screen = Screen(shared=True)
        screen.wait("loading")
        assert list(screen.track([1, 2], "looking")) == [1, 2]
        assert capsys.readouterr().err == ""


class TestPlan:
    def test_a_new_run_says_how_much_is_to_do(self, capsys: Captured) -> None:
        say_plan(Screen(), PLANS, DISTINCT, [{"started": "2026-01-02T03:04:05+00:00"}])
        err = capsys.readouterr().err
        assert f"{len(PLANS)} rows are {len(DISTINCT)} distinct rollouts: {len(DISTINCT)} to go" in err
        assert "resuming" not in err
        assert re.search(r"^benchmark +resolution +rows +new work +cap px² +visual tokens", err, re.MULTILINE)

    def test_visual_tokens_that_nobody_predicts_are_no_zero(self, capsys: Captured) -> None:
        unknown = [replace(plan, visual_tokens=0) for plan in PLANS]
        say_plan(Screen(), unknown, unknown)
        lines = capsys.readouterr().err.splitlines()
        assert {line.split()[-1] for line in lines[1:] if line.startswith("vstar")} == {"counted"}
        assert "visual tokens" not in lines[-1]

    @pytest.mark.parametrize("detail", [Detail.BAR, Detail.NORMAL])
    @pytest.mark.parametrize("left", [2, 0])
    def test_a_later_session_says_where_it_resumes(self, detail: Detail, left: int, capsys: Captured) -> None:
        sessions = [{"started": "2026-01-01T00:00:00+00:00"}, {"started": "2026-01-02T03:04:05+00:00"}, {"started": "now"}]
        say_plan(Screen(detail), PLANS, DISTINCT[:left], sessions)
        n = len(DISTINCT)
        expected = f"resuming: {n - left} of {n} rollouts are finished (run of 2026-01-02 03:04:05 UTC), {left} to go"
        assert capsys.readouterr().err.splitlines()[-1] == expected

    def test_nothing_is_broken_or_cut_in_a_pipe(self, capsys: Captured) -> None:
        say_findings(Screen(), [Finding(Level.FAILED, "coordinates", "word " * 100), Finding(Level.OK, "fine", "x")])
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("failed   coordinates             word")
        assert line.count("word") == 100

    def test_requests_sent_again_are_counted_and_none_is_no_line(self, capsys: Captured) -> None:
        say_troubles(Screen(), {})
        say_troubles(Screen(), {"busy": 2, "reset": 3})
        assert capsys.readouterr().err == "servers: 5 requests were sent again (3 × reset, 2 × busy)\n"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> tuple[Screen, Terminal]:
    """A screen whose stderr is a terminal."""
    terminal = Terminal()
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.stderr", terminal)
    return Screen(), terminal


class TestTerminal:
    def test_the_line_of_a_wait_gives_way_to_the_next(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen, terminal = on_terminal(monkeypatch, NO_COLOR="1")
        screen.wait("loading")
        screen.wait("drawing")
        screen.say("done")
        lines = terminal.getvalue().split("\r\x1b[2K")
        assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines] == ["loading …", "drawing …", "done\n"]

    def test_a_wait_is_never_more_than_a_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen, terminal = on_terminal(monkeypatch)
        screen.wait("word " * 100)
        assert len(re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())) <= 80
        assert "\n" not in terminal.getvalue()

    def test_without_colour_there_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen, terminal = on_terminal(monkeypatch, NO_COLOR="1")
        say_findings(screen, [Finding(Level.WARNING, "what", "says")])
        assert "warning" in terminal.getvalue()
        assert not re.search(r"\x1b\[[0-9;]*(3|4|9)\d", terminal.getvalue())

    def test_a_dumb_one_gets_plain_lines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen, terminal = on_terminal(monkeypatch, TERM="dumb")
        screen.wait("loading")
        with screen.bar(10, finished=0) as bar:
            bar.show(Progress(10, done=10))
        assert not CONTROL.search(terminal.getvalue())
        assert terminal.getvalue().splitlines()[0] == "loading …"
        assert terminal.getvalue().splitlines()[1].startswith("run: 10/10")

    def test_a_table_wider_than_the_terminal_keeps_its_numbers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        screen, terminal = on_terminal(monkeypatch, COLUMNS="20")
        say_plan(screen, PLANS, DISTINCT)
        assert all(f"{plan.cap:,}" in terminal.getvalue() for plan in PLANS)


STEER = "\x1b[2J\x1b]0;title\x07\r[bold]b[/bold] :smile: \x9b31m\u202e"


@pytest.mark.parametrize(
    "say",
    [
        lambda screen: screen.say(STEER),
        lambda screen: screen.show(STEER),
        lambda screen: screen.wait(STEER),
        lambda screen: say_findings(screen, [Finding(Level.WARNING, "what", STEER)]),
        lambda screen: say_plan(screen, PLANS, DISTINCT[1:], [{"started": STEER}, {}]),
        lambda screen: say_troubles(screen, {STEER: 1}),
    ],
    ids=["say", "show", "wait", "finding", "plan", "trouble"],
)
def test_outside_text_cannot_steer_the_terminal(say: Callable[[Screen], None], capsys: Captured) -> None:
    say(Screen())
    said = "".join(capsys.readouterr())
    assert "[bold]b[/bold] :smile:" in said
    assert not CONTROL.search(said)
    assert "\u202e" not in said


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Run:
    """Rollouts that end one after the other, each right, each of an image of its own."""

    bar: Bar
    clock: Clock
    progress: Progress

    def end(self, count: int, *, every_s: float = 1.0, outcome: Outcome = Outcome.CORRECT) -> None:
        for _ in range(count):
            self.clock.now += every_s
            self.progress.done += 1
            self.progress.zooms += 2
            question = Question(str(self.progress.done), "b", "", str(self.progress.done), "What?", (), "A")
            self.progress.count_verdict(Verdict("k", "c", "m", outcome, "rule"), question)


Make = Callable[..., Run]


@pytest.fixture
def drawn() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def make(drawn: io.StringIO) -> Iterator[Make]:
    def make(total: int, *, terminal: bool = False, width: int = 80, **more: Any) -> Run:
        clock = Clock()
        console = Console(file=drawn, force_terminal=terminal, width=width, highlight=False, color_system=None)
        bar = Bar(console, total=total, live=terminal, clock=clock, **more)
        return Run(bar, clock, Progress(total, changed=bar.show))

    yield make


class TestBar:
    def test_it_tells_rate_time_left_accuracy_and_zooms(self, make: Make) -> None:
        run = make(100)
        run.end(10)
        assert run.bar.text() == "10/100 · 1.0/s · 1:30 left · accuracy 100.0 [72.2, 100.0] · 2.00 zooms"

    @pytest.mark.parametrize(
        ("every_s", "total", "said"),
        [(0.25, 20, "4.0/s · 0:02 left"), (10.0, 20, "6.0/min · 1:40 left"), (60.0, 1000, "1.0/min · 16:30:00 left")],
    )
    def test_a_slow_rate_is_told_by_the_minute(self, every_s: float, total: int, said: str, make: Make) -> None:
        run = make(total)
        run.end(10, every_s=every_s)
        assert said in run.bar.text()

    def test_errors_and_unscored_are_counted_where_there_are_any(self, make: Make) -> None:
        run = make(100)
        run.end(2, outcome=Outcome.UNSCORED)
        run.progress.errors = 1
        assert "2/100 · 1 error · 2 unscored · " in run.bar.text()
        assert "accuracy 0.0 [" in run.bar.text()

    def test_rows_of_one_image_do_not_narrow_the_interval(self, make: Make) -> None:
        run = make(100)
        question = Question("q", "b", "", "one image", "What?", (), "A")
        for _ in range(50):
            run.progress.count_verdict(Verdict("k", "c", "m", Outcome.CORRECT, "rule"), question)
        estimate, (low, high) = run.progress.accuracy() or (0.0, (0.0, 0.0))
        assert (estimate, high) == (1.0, 1.0)
        assert low < 0.3

    def test_a_step_that_is_no_run_is_counted_in_the_same_words(self, drawn: io.StringIO) -> None:
        clock = Clock()
        with CountBar(Console(file=drawn, width=80), total=4, name="judging", clock=clock) as bar:
            for _ in range(4):
                clock.now += 2
                bar.advance()
        assert drawn.getvalue().splitlines() == ["judging: 2/4 · 30.0/min · 0:04 left", "judging: 4/4 · 30.0/min"]

    def test_it_begins_where_an_earlier_session_ended(self, make: Make) -> None:
        run = make(320, finished=120)
        run.end(1)
        assert run.bar.text().startswith("121/320 · 1.0/s · 3:19 left")

    def test_in_a_pipe_it_is_a_line_at_half_and_at_the_end(self, make: Make, drawn: io.StringIO) -> None:
        run = make(100)
        with run.bar:
            run.end(100)
        lines = drawn.getvalue().splitlines()
        assert [line.split(" · ")[0] for line in lines] == ["run: 50/100", "run: 100/100"]
        assert not CONTROL.search(drawn.getvalue())

    def test_a_long_run_in_a_pipe_says_something_every_five_minutes(self, make: Make, drawn: io.StringIO) -> None:
        run = make(1000)
        with run.bar:
            run.end(100, every_s=36.0)
        assert len(drawn.getvalue().splitlines()) == 12

    @pytest.mark.parametrize("more", [{"on": False}, {"finished": 10}], ids=["off", "nothing to do"])
    def test_it_is_silent_if_off_or_with_nothing_to_do(self, more: dict[str, Any], make: Make, drawn: io.StringIO) -> None:
        run = make(10, **more)
        with run.bar:
            run.bar.show(run.progress)
        assert drawn.getvalue() == ""

    @pytest.mark.parametrize("width", [40, 80, 120])
    def test_on_a_terminal_it_is_one_line_that_fits(self, width: int, make: Make, drawn: io.StringIO) -> None:
        run = make(1000, terminal=True, width=width)
        with run.bar:
            run.end(500)
        last = [re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]|\r", "", line) for line in drawn.getvalue().split("\n") if "500/1" in line]
        assert last
        assert all(len(line) <= width for line in last)
        assert ("━" in last[-1]) is (width > 80)
        assert len(last[-1].rstrip()) <= width - 3 or width == 40  # of a terminal that writes ^C into the line
        assert "500/1,000" in last[-1]
