"""Evaluation: all is answered once, judged once, kept at once, and goes on after whatever stopped it."""

from __future__ import annotations

import asyncio
import random
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from fakes import (
    CARD,
    FaultyDisk,
    Killer,
    Script,
    ScriptedEngine,
    ScriptedJudgeClient,
    Stored,
    answer,
    answer_all,
    call,
    job,
    planner,
    sample,
    session,
    stored,
    wander,
)

from cof_eval.agent.engine import Request, Response
from cof_eval.agent.protocols import COF, DIRECT, Calls
from cof_eval.agent.reply import CallSyntax
from cof_eval.agent.zoom import CropSource
from cof_eval.core.errors import EngineUnusableError, RunError
from cof_eval.core.images import source_hash
from cof_eval.core.journal import read_journal
from cof_eval.core.records import Outcome, Row, Stop, Trajectory, Verdict
from cof_eval.core.settings import KeepImages
from cof_eval.judging import Card, Judge
from cof_eval.judging.judge import JudgeReply
from cof_eval.runs.evaluate import Evaluation, Progress
from cof_eval.runs.folder import RunFolder, load_run
from cof_eval.runs.plan import PlannedJob

PLANS = sample()
KEYS = {plan.key for plan in PLANS}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run"


def jitter(seed: int = 0, most_s: float = 0.003) -> Callable[[], float]:
    """Random latencies."""
    chance = random.Random(seed)
    return lambda: chance.uniform(0, most_s)


def shuffled(plans: Sequence[PlannedJob], seed: int) -> list[PlannedJob]:
    return random.Random(seed).sample(plans, len(plans))


def started(engine: ScriptedEngine) -> Counter[str]:
    """How often each rollout was begun, by trajectory key."""
    return Counter(
        r.conversation.rpartition("-")[0] for r in engine.requests if not any(m.role == "assistant" for m in r.messages)
    )


def result(path: Path) -> object:
    """What a run says: everything but times and the order in which it happened."""
    run = load_run(path)
    trajectories = {key: replace(t, wall_s=0.0, ended=0.0) for key, t in run.trajectories.items()}
    verdicts = {key: replace(v, judge_s=0.0) for key, v in run.verdicts.items()}
    return sorted(run.rows, key=lambda r: (r.task, r.doc_id, r.repeat)), trajectories, verdicts


def journalled(path: Path) -> list[str]:
    return [t.key for t in read_journal(path / "trajectories.jsonl", Trajectory)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> object:
    """The sample's result, uninterrupted."""
    path = tmp_path_factory.mktemp("whole") / "run"
    answer_all(path, PLANS, ScriptedEngine(wander), client=ScriptedJudgeClient())
    return result(path)


def failing_at(number: int, error: BaseException) -> Script:
    """`wander`, but its n-th turn raises."""
    left = iter(range(number, -1, -1))

    def script(request: Request, turn: int) -> str:
        if next(left, 1) == 0:
            raise error
        return wander(request, turn)

    return script


class TestAnswering:
    @pytest.mark.parametrize("concurrency", [1, 3, 100])
    def test_everything_is_generated_judged_and_journalled_once(self, path: Path, concurrency: int, whole: object) -> None:
        engine, client = ScriptedEngine(wander, latency=jitter()), ScriptedJudgeClient(latency=jitter(1))
        answer_all(path, shuffled(PLANS, concurrency), engine, client=client, concurrency=concurrency)
        assert started(engine) == dict.fromkeys(KEYS, 1)
        assert sorted(journalled(path)) == sorted(KEYS)
        assert len((path / "rows.jsonl").read_bytes().splitlines()) == len(PLANS)
        assert {r.trajectory for r in load_run(path).rows} == KEYS
        assert result(path) == whole
        judged = [v.key for v in read_journal(path / "verdicts.jsonl", Verdict)]
        assert len(judged) == len(set(judged))
        assert len(client.prompts) == len(set(client.prompts)) > 1

    def test_the_sample_shows_every_kind_of_work(self, whole: object) -> None:
        _, trajectories, verdicts = whole  # type: ignore[misc]
        assert len(KEYS) < len(PLANS)
        assert {t.stop for t in trajectories.values()} == {Stop.ANSWERED, Stop.NO_ANSWER}
        assert any(t.zooms for t in trajectories.values())
        assert any(t.tool_errors for t in trajectories.values())
        assert {v.by.partition(":")[0] for v in verdicts.values()} == {"rule", "judge", "stop"}

    @pytest.mark.parametrize("concurrency", [1, 2, 7, 1000])
    def test_never_more_rollouts_run_at_once_than_asked_for(self, path: Path, concurrency: int) -> None:
        engine = ScriptedEngine(wander, latency=jitter())
        answer_all(path, PLANS, engine, concurrency=concurrency)
        assert engine.most_running <= concurrency
        assert engine.most_running > 1 or concurrency == 1

    def test_a_second_session_does_nothing_anew(self, path: Path) -> None:
        answer_all(path, PLANS, ScriptedEngine(wander), client=ScriptedJudgeClient())
        files = {p: p.read_bytes() for p in path.glob("*.jsonl")}
        engine, client, progress = ScriptedEngine(wander), ScriptedJudgeClient(), Progress(0)
        answer_all(path, PLANS, engine, client=client, progress=progress)
        assert (engine.requests, client.prompts, progress.done) == ([], [], 0)
        assert {p: p.read_bytes() for p in path.glob("*.jsonl")} == files

    def test_a_later_session_adds_only_what_is_new(self, path: Path) -> None:
        first, second = ScriptedEngine(wander), ScriptedEngine(wander)
        answer_all(path, PLANS[:7], first)
        answer_all(path, PLANS, second)
        assert not set(started(first)) & set(started(second))
        assert sorted(journalled(path)) == sorted(KEYS)
        assert load_run(path).expected_rows == len(PLANS)

    def test_nothing_to_do_is_done_at_once(self, path: Path) -> None:
        engine = ScriptedEngine(wander)
        answer_all(path, [], engine)
        assert (engine.requests, load_run(path).rows) == ([], ())

    def test_repeats_are_work_of_their_own(self, path: Path) -> None:
        source = stored()
        plans = [planner().plan(job(source=source, repeat=i)) for i in range(3)]
        answer_all(path, plans, ScriptedEngine(wander))
        run = load_run(path)
        assert sorted(t.repeat for t in run.trajectories.values()) == [0, 1, 2]
        assert all(run.trajectories[row.trajectory].repeat == row.repeat for row in run.rows)

    @pytest.mark.parametrize(
        "calls",
        [{}, {"calls": Calls.NATIVE}, {"call_syntax": CallSyntax.PATTERN, "call_pattern": "<z>{box}</z>"}],
        ids=["text", "native", "pattern"],
    )
    def test_a_question_without_an_image_is_asked_without_the_tool_but_decoded_as_the_run(
        self, path: Path, calls: dict[str, Any]
    ) -> None:
        protocol = replace(COF, temperature=0.5, top_p=0.9, max_new_tokens=77, **calls)
        plans = [planner(protocol).plan(job(repeat=i)) for i in range(2)]
        engine = ScriptedEngine(["It is blue"])
        answer_all(path, plans, engine, protocol=protocol)
        assert {(r.temperature, r.top_p, r.max_tokens, r.messages[0].parts[0].text) for r in engine.requests} == {  # type: ignore[union-attr]
            (0.5, 0.9, 77, DIRECT.system)
        }
        assert len({r.seed for r in engine.requests}) == 2
        assert not any(r.tools for r in engine.requests)
        found = load_run(path).trajectories.values()
        assert sorted((t.repeat, t.protocol, t.answer) for t in found) == [(i, "cof", "It is blue") for i in range(2)]

    def test_a_stock_tasks_question_is_answered_and_not_judged(self, path: Path) -> None:
        plan = planner().plan(job(source=stored(), options=(), answer=""))
        client, progress = ScriptedJudgeClient(), Progress(1)
        answer_all(path, [plan], ScriptedEngine([answer("whatever")]), client=client, progress=progress)
        assert (client.prompts, progress.done, progress.unscored) == ([], 1, 0)
        assert load_run(path).trajectories[plan.key].answer == "whatever"

    @pytest.mark.parametrize("source", CropSource)
    def test_crops_and_shown_images_are_kept_under_the_hashes_of_the_trajectory(self, path: Path, source: CropSource) -> None:
        protocol = replace(COF, crop_source=source)
        plan = planner(protocol).plan(job(source=stored(600, 400)))
        engine = ScriptedEngine([call(10, 10, 90, 90), answer("B")])
        answer_all(path, [plan], engine, keep_images=KeepImages.ALL, protocol=protocol)
        (found,) = load_run(path).trajectories.values()
        hashes = {found.shown.hash, *(c.crop.hash for c in found.calls if c.crop)}
        assert {p.stem for p in (path / "images").rglob("*.png")} == hashes
        assert len(hashes) == 2


class TestProgress:
    def test_adds_up(self, path: Path) -> None:
        plans = [*PLANS, *(planner().plan(job(90 + i, source=Stored(f"gone {i}", None))) for i in range(3))]
        seen: list[tuple[int, int, int, int]] = []
        progress = Progress(len(KEYS) + 3, changed=lambda p: seen.append((p.done, p.zooms, p.errors, p.unscored)))
        answer_all(path, plans, ScriptedEngine(wander, latency=jitter()), progress=progress)
        run = load_run(path)
        unscored = [v for v in run.verdicts.values() if v.verdict is Outcome.UNSCORED]
        zooms = sum(t.zooms for t in run.trajectories.values())
        assert seen[-1] == (progress.total, zooms, 3, len(unscored))
        assert len(unscored) > 3
        assert all(a <= b for earlier, later in pairwise(seen) for a, b in zip(earlier, later, strict=True))
        assert len(seen) == 2 * progress.total  # each trajectory ends, and is judged


@pytest.mark.slow
class TestResume:
    @pytest.mark.parametrize("concurrency", [1, 5])
    def test_after_a_crash_at_any_turn_equals_an_uninterrupted_run(self, path: Path, concurrency: int, whole: object) -> None:
        chance = random.Random(concurrency)
        done: set[str] = set()
        for _ in range(60):
            engine = ScriptedEngine(failing_at(chance.randrange(8), RuntimeError("crash")), latency=jitter())
            try:
                answer_all(path, PLANS, engine, client=ScriptedJudgeClient(latency=jitter(1)), concurrency=concurrency)
            except RuntimeError as error:
                assert str(error) == "crash"
            assert not done & set(started(engine))
            assert len(journalled(path)) == len(set(journalled(path)))
            done = set(journalled(path))
        answer_all(path, PLANS, ScriptedEngine(wander), client=ScriptedJudgeClient())
        assert result(path) == whole
        assert len(journalled(path)) == len(KEYS)

    @pytest.mark.parametrize("piece", [None, 400], ids=["whole writes", "short writes"])
    def test_after_the_disk_failed_at_any_write_equals_an_uninterrupted_run(
        self, tmp_path: Path, piece: int | None, whole: object
    ) -> None:
        plans = sample(2)
        expected = tmp_path / "expected"
        untroubled = FaultyDisk(piece=piece)
        answer_all(expected, plans, ScriptedEngine(wander), client=ScriptedJudgeClient(), disk=untroubled)
        for fail_at in range(0, len(untroubled.calls), 1 if piece is None else 5):
            path = tmp_path / str(fail_at)
            engine = ScriptedEngine(wander, latency=jitter(fail_at))
            with pytest.raises(RunError, match="No space left on device"):
                answer_all(
                    path,
                    plans,
                    engine,
                    client=ScriptedJudgeClient(),
                    disk=FaultyDisk(fail_at=fail_at, piece=piece, for_good=True),
                )
            kept = set(journalled(path))
            engine = ScriptedEngine(wander)
            answer_all(path, plans, engine, client=ScriptedJudgeClient())
            assert not kept & set(started(engine))
            assert len(journalled(path)) == len(set(journalled(path)))
            assert result(path) == result(expected)

    def test_after_sigkill_at_any_moment_equals_an_uninterrupted_run(self, path: Path, whole: object) -> None:
        chance = random.Random(0)
        with Killer("answer_until_killed.py") as killer:
            for folder in (path / str(i) for i in range(5)):
                kept: list[str] = []
                for _ in range(12):
                    killer.round(folder, after_words=chance.randrange(4), after_us=int(10 ** chance.uniform(1, 4)))
                    before, kept = kept, journalled(folder)
                    assert kept[: len(before)] == before
                answer_all(folder, PLANS, ScriptedEngine(wander), client=ScriptedJudgeClient())
                assert result(folder) == whole
                assert sorted(journalled(folder)) == sorted(KEYS)
                assert len([*read_journal(folder / "rows.jsonl", Row)]) == len(PLANS)

    def test_a_cancelled_session_keeps_what_ended_and_goes_on(self, path: Path, whole: object) -> None:
        async def cancelled_after(turns: int) -> set[str]:
            engine = ScriptedEngine(wander, latency=jitter(turns))
            task = asyncio.create_task(session(path, PLANS, engine, client=ScriptedJudgeClient(latency=jitter())))
            while len(engine.requests) < turns and not task.done():
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return set(started(engine))

        done: set[str] = set()
        for turns in (0, 1, 3, 9, 14):
            assert not done & asyncio.run(cancelled_after(turns))
            done = set(journalled(path))
        answer_all(path, PLANS, ScriptedEngine(wander), client=ScriptedJudgeClient())
        assert result(path) == whole
        assert len(journalled(path)) == len(KEYS)

    def test_cancelled_while_trajectories_are_written_they_are_written_to_the_end(self, path: Path) -> None:
        disk = HeldDisk()

        async def cancelled_while_writing() -> None:
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))  # the others' writes wait for a thread
            engine = ScriptedEngine([answer("B")])
            task = asyncio.create_task(session(path, PLANS, engine, disk=disk, concurrency=3))
            while not disk.waiting.is_set():
                await asyncio.sleep(0)
            for _ in range(50):
                await asyncio.sleep(0)  # what was asked is answered, and its trajectory handed over
            ended.append(len(engine.requests))
            task.cancel()
            await asyncio.sleep(0)
            disk.go.set()
            with pytest.raises(asyncio.CancelledError):
                await task

        ended: list[int] = []
        asyncio.run(cancelled_while_writing())
        assert len(journalled(path)) == ended[0] >= 3


class HeldDisk(FaultyDisk):
    """A disk whose third sync (the first trajectory's, after the questions' and the rows') waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting, self.go = threading.Event(), threading.Event()

    def fsync(self, fd: int, /) -> None:
        super().fsync(fd)
        if self.calls.count("fsync") == 3:
            self.waiting.set()
            self.go.wait()


class TestFailures:
    def test_of_the_engine_are_unscored_and_tried_again_in_the_next_session(self, path: Path, whole: object) -> None:
        broken = ScriptedEngine(wander, latency=jitter(), fail=lambda r: r.conversation < "8")
        progress = Progress(len(KEYS))
        answer_all(path, PLANS, broken, client=ScriptedJudgeClient(), progress=progress)
        run = load_run(path)
        failed = {key for key, t in run.trajectories.items() if t.stop is Stop.ERROR}
        assert failed == {key for key in KEYS if key < "8"}
        assert all(run.verdicts[key].verdict is Outcome.UNSCORED for key in failed)
        assert (progress.errors, progress.unscored) == (len(failed), len(failed))
        engine = ScriptedEngine(wander)
        answer_all(path, PLANS, engine, client=ScriptedJudgeClient())
        assert set(started(engine)) == failed
        assert result(path) == whole

    def test_of_an_engine_that_cannot_serve_stop_the_run_and_what_ended_is_kept(self, path: Path, whole: object) -> None:
        engine = ScriptedEngine(failing_at(25, EngineUnusableError("other pixels")), latency=jitter())
        with pytest.raises(EngineUnusableError, match="other pixels"):
            answer_all(path, PLANS, engine, client=ScriptedJudgeClient())
        kept = journalled(path)
        assert 0 < len(kept) < len(KEYS)
        again = ScriptedEngine(wander)
        answer_all(path, PLANS, again, client=ScriptedJudgeClient())
        assert set(started(again)) == KEYS - set(kept)
        assert result(path) == whole

    def test_that_a_user_can_fix_are_reported_before_others_and_keep_their_cause(self, path: Path) -> None:
        unusable = EngineUnusableError("gone")
        unusable.__cause__ = KeyError("why")
        errors, both = iter([RuntimeError("defect"), unusable]), asyncio.Barrier(2)

        class Failing(ScriptedEngine):
            async def generate(self, request: Request) -> Response:
                await both.wait()
                raise next(errors)

        with pytest.raises(EngineUnusableError, match="gone") as caught:
            answer_all(path, PLANS, Failing([]), concurrency=2)
        assert isinstance(caught.value.__cause__, KeyError)

    def test_of_images_that_cannot_be_read_are_counted_and_forgotten_once_the_file_is_mended(self, path: Path) -> None:
        bad, good = Stored("bad", None), stored()
        for mended in (False, True):
            bad.data = stored(84, 84).data if mended else None
            plans = [planner().plan(job(d, r, s)) for d, s in enumerate((bad, good)) for r in ("224", "336")]
            engine, progress = ScriptedEngine([answer("B")]), Progress(0)
            answer_all(path, plans, engine, progress=progress)
            run = load_run(path)
            bad_rows = [run.trajectories[r.trajectory] for r in run.rows if r.doc_id == 0]
            assert (len(run.rows), run.expected_rows, len(bad_rows)) == (4, 4, 2)
            assert [t.stop for t in bad_rows] == [Stop.ANSWERED if mended else Stop.ERROR] * 2
            assert (progress.done, progress.errors, len(engine.requests)) == ((1, 0, 1) if mended else (3, 2, 1))

    def test_of_images_whose_pixels_are_damaged_concern_only_their_own_rows(self, path: Path) -> None:
        cut = Stored("cut", (stored(400, 300).data or b"")[:-2000])
        plans = [planner().plan(job(i, r, cut if i == 2 else stored(seed=i))) for r in ("224", "336", "448") for i in range(5)]
        assert not any(p.error for p in plans)
        answer_all(path, plans, ScriptedEngine(wander), concurrency=20)
        run = load_run(path)
        stops = {(r.doc_id, r.resolution): run.trajectories[r.trajectory].stop for r in run.rows}
        assert {where for where, stop in stops.items() if stop is Stop.ERROR} == {(2, r) for r in ("224", "336", "448")}
        assert all(t.error and "image" in t.error for t in run.trajectories.values() if t.stop is Stop.ERROR)

    def test_of_an_image_that_changed_after_it_was_planned_never_mix_two_images(self, path: Path) -> None:
        source = stored()
        plan = planner().plan(job(source=source))
        source.data = stored(84, 84).data
        engine = ScriptedEngine(wander)
        answer_all(path, [plan], engine)
        (found,) = load_run(path).trajectories.values()
        assert (found.stop, engine.requests) == (Stop.ERROR, [])
        assert "changed while this session ran" in (found.error or "")

    def test_of_our_own_in_reading_an_image_end_the_run_instead_of_hanging_it(self, path: Path) -> None:
        class Defect(Stored):
            def read(self) -> bytes:
                if self.reads:
                    raise ZeroDivisionError
                return super().read()

        source = Defect("x", stored(400, 300).data)
        plans = planner()
        with pytest.raises(ZeroDivisionError):
            answer_all(path, [plans.plan(job(0, r, source)) for r in ("224", "336", "448")], ScriptedEngine(wander))

    def test_to_keep_a_crop_stop_the_run_with_the_reason(self, path: Path) -> None:
        path.mkdir()
        answer_all(path, [], ScriptedEngine(wander))
        (path / "images").write_text("in the way")
        with pytest.raises(RunError, match=r"cannot write .*images.*free space"):
            answer_all(path, PLANS, ScriptedEngine([call(1, 1, 50, 50)]), keep_images=KeepImages.CROPS)


class TestJudging:
    @staticmethod
    def plans(rows: int = 12) -> list[PlannedJob]:
        """Different images and one question, so that equal answers are equal content."""
        return [planner().plan(job(i, source=stored(seed=i), text="Which?")) for i in range(rows)]

    @pytest.mark.parametrize("concurrency", [1, 12])
    def test_equal_answers_are_judged_once_even_when_asked_at_the_same_time(self, path: Path, concurrency: int) -> None:
        client = ScriptedJudgeClient(latency=jitter())
        answer_all(path, self.plans(), ScriptedEngine([answer("the mug")]), client=client, concurrency=concurrency)
        assert len(client.prompts) == 1
        run = load_run(path)
        assert [v.verdict for v in run.verdicts.values()] == [Outcome.CORRECT] * 12
        assert len([*read_journal(path / "verdicts.jsonl", Verdict)]) == 1

    @staticmethod
    def labelled(*answers: str, **changes: object) -> list[PlannedJob]:
        """Rows of equal text and image with different standard answers."""
        source = stored(seed=1)
        return [planner().plan(job(i, source=source, text="Which?", answer=a, **changes)) for i, a in enumerate(answers)]

    def test_rows_of_equal_work_are_judged_each_by_its_own_standard_answer(self, path: Path) -> None:
        engine = ScriptedEngine([answer("B")])
        answer_all(path, self.labelled("A", "B", "B", ""), engine)
        run = load_run(path)
        assert len(engine.requests) == len(run.trajectories) == 1
        verdicts = [run.verdict(row) for row in run.rows]
        assert [v and v.verdict for v in verdicts] == [Outcome.WRONG, Outcome.CORRECT, Outcome.CORRECT, None]
        assert len([*read_journal(path / "verdicts.jsonl", Verdict)]) == 2

    def test_a_label_that_is_new_in_a_later_session_is_judged_without_generating_again(self, path: Path) -> None:
        answer_all(path, self.labelled("A"), ScriptedEngine([answer("B")]))
        again = ScriptedEngine([])
        answer_all(path, self.labelled("A", "B"), again)
        run = load_run(path)
        assert again.requests == []
        assert [v.verdict for row in run.rows if (v := run.verdict(row))] == [Outcome.WRONG, Outcome.CORRECT]

    def test_the_judge_is_told_every_accepted_answer(self, path: Path) -> None:
        client = ScriptedJudgeClient(lambda prompt: "1" if "2\nor: two" in prompt else "0")
        plans = self.labelled("2", options=(), also=("two",))
        answer_all(path, plans, ScriptedEngine([answer("a pair")]), client=client)
        (found,) = load_run(path).verdicts.values()
        assert (found.verdict, found.by) == (Outcome.CORRECT, "judge")

    def test_a_row_without_a_standard_answer_is_settled_and_judged_by_nobody(self, path: Path) -> None:
        client = ScriptedJudgeClient()
        answer_all(path, self.labelled("", options=()), ScriptedEngine([answer("a pair")]), client=client)
        run = load_run(path)
        (row,) = run.rows
        assert (run.settled(row), run.verdict(row), client.prompts, run.verdicts) == (True, None, [], {})

    def test_a_judge_is_asked_at_most_64_things_at_once(self, path: Path) -> None:
        progress = Progress(90)

        class Late(ScriptedJudgeClient):
            async def ask(self, prompt: str, card: Card, image: bytes | None = None) -> JudgeReply:
                self.running += 1
                self.most_running = max(self.most_running, self.running)
                while progress.done < progress.total:  # all answers are there before the first reply
                    await asyncio.sleep(0.001)
                self.running -= 1
                return JudgeReply("1")

        client = Late()
        plans = [planner().plan(job(i)) for i in range(90)]
        answer_all(path, plans, ScriptedEngine(["the mug"]), client=client, concurrency=90, progress=progress)
        assert client.most_running == 64
        assert {v.verdict for v in load_run(path).verdicts.values()} == {Outcome.CORRECT}

    def test_what_rules_decide_is_not_asked(self, path: Path) -> None:
        client = ScriptedJudgeClient()
        answer_all(path, self.plans(), ScriptedEngine([answer("B")]), client=client)
        assert client.prompts == []
        assert {v.by for v in load_run(path).verdicts.values()} == {"rule:letter"}

    def test_a_failure_is_unscored_with_its_reason_and_filled_in_by_the_next_session(self, path: Path, whole: object) -> None:
        client = ScriptedJudgeClient(fail=lambda prompt: "mug 1" in prompt, latency=jitter())
        progress = Progress(len(KEYS))
        answer_all(path, PLANS, ScriptedEngine(wander), client=client, progress=progress)
        run = load_run(path)
        missing = {key for key, v in run.verdicts.items() if v.verdict is Outcome.UNSCORED}
        assert missing
        assert progress.unscored == len(missing)
        assert {run.verdicts[key].reason for key in missing} == {"scripted failure"}
        engine, again = ScriptedEngine(wander), ScriptedJudgeClient()
        answer_all(path, PLANS, engine, client=again)
        assert engine.requests == []
        assert set(again.prompts) == {p for p in client.prompts if "mug 1" in p}
        assert result(path) == whole

    def test_a_failure_is_asked_again_when_the_same_evaluation_is_asked_again(self, path: Path) -> None:
        failures = iter([True, False])
        client, plans = ScriptedJudgeClient(fail=lambda prompt: next(failures)), self.plans(1)
        with RunFolder(path, {"judge": {"card": "card", "model": "big"}}) as run:
            judge = Judge(CARD, client)
            work = Evaluation(engine=ScriptedEngine([answer("the mug")]), protocol=COF, run=run, judge=judge, concurrency=1)
            for outcome in (Outcome.UNSCORED, Outcome.CORRECT):
                asyncio.run(work.answer(plans))
                assert [v.verdict for v in run.verdicts.values()] == [outcome]

    def test_a_reply_that_is_no_label_is_unscored(self, path: Path) -> None:
        answer_all(path, self.plans(1), ScriptedEngine([answer("the mug")]), client=ScriptedJudgeClient(lambda prompt: "maybe"))
        (verdict,) = load_run(path).verdicts.values()
        assert (verdict.verdict, verdict.by, verdict.raw) == (Outcome.UNSCORED, "judge", "maybe")

    def test_without_a_judge_the_undecided_stay_unscored_until_a_session_has_one(self, path: Path, whole: object) -> None:
        answer_all(path, PLANS, ScriptedEngine(wander))
        unscored = [v for v in load_run(path).verdicts.values() if v.verdict is Outcome.UNSCORED]
        assert {v.by for v in unscored} == {"none"}
        lines = (path / "verdicts.jsonl").read_bytes()
        answer_all(path, PLANS, ScriptedEngine(wander))
        assert (path / "verdicts.jsonl").read_bytes() == lines
        answer_all(path, PLANS, ScriptedEngine(wander), client=ScriptedJudgeClient())
        assert result(path) == whole

    def test_another_judge_judges_anew_without_generating_anything(self, path: Path) -> None:
        for model, label in (("big", "1"), ("small", "0")):
            engine, client = ScriptedEngine(wander), ScriptedJudgeClient(lambda prompt, label=label: label, model=model)  # type: ignore[misc]
            answer_all(path, PLANS, engine, client=client)
        assert engine.requests == []
        outcomes = {v.verdict for v in load_run(path).verdicts.values() if v.by == "judge"}
        assert outcomes == {Outcome.WRONG}

    def test_a_crash_between_trajectory_and_verdict_leaves_the_verdict_to_the_next_session(
        self, path: Path, whole: object
    ) -> None:
        answer_all(path, PLANS, ScriptedEngine(wander), client=ScriptedJudgeClient())
        (path / "verdicts.jsonl").unlink()
        engine = ScriptedEngine(wander)
        answer_all(path, PLANS, engine, client=ScriptedJudgeClient(latency=jitter()))
        assert (engine.requests, result(path)) == ([], whole)

    def test_an_answer_that_json_cannot_hold_is_judged_and_kept(self, path: Path) -> None:
        answer_all(path, self.plans(1), ScriptedEngine([answer("the \ud800 mug")]))
        run = load_run(path)
        (found,) = run.trajectories.values()
        assert (found.answer, run.verdicts[found.key].by) == ("the \ufffd mug", "none")


class Watching:
    """An engine that keeps nothing, and counts how many shown images are alive at once."""

    context, max_images = 32_768, 16
    limits = ScriptedEngine(wander).limits

    def __init__(self) -> None:
        self._inner = ScriptedEngine(wander, latency=jitter())
        self.alive = self.most_alive = 0

    def text_tokens(self, text: str) -> int:
        return len(text)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def generate(self, request: Request) -> Response:
        if len(request.messages) == 2:
            self.alive += 1
            self.most_alive = max(self.most_alive, self.alive)
            weakref.finalize(request.images[0].image, self._gone)
        response = await self._inner.generate(request)
        self._inner.requests.clear()
        return response

    def _gone(self) -> None:
        self.alive -= 1


class TestMemory:
    @pytest.mark.parametrize("crops", CropSource)
    @pytest.mark.parametrize("concurrency", [1, 4])
    def test_decoded_images_grow_with_concurrency_and_not_with_the_benchmark(
        self, path: Path, concurrency: int, crops: CropSource
    ) -> None:
        """At a native size that needs no resizing, the shown image is the native one."""
        protocol = replace(COF, crop_source=crops)
        plans = [planner(protocol).plan(job(i, "native", stored(140, 112, seed=i))) for i in range(40)]
        engine = Watching()
        answer_all(path, plans, engine, concurrency=concurrency, protocol=protocol)
        assert len(journalled(path)) == 40
        assert engine.most_alive <= concurrency + 2  # two more wait for the next resolution of their file

    def test_a_file_is_decoded_once_for_all_its_resolutions(self, path: Path) -> None:
        sources = [stored(400, 300, seed=i) for i in range(5)]
        plans = planner()
        planned = [plans.plan(job(i, r, s, cluster=s.name)) for r in ("224", "336", "448") for i, s in enumerate(sources)]
        answer_all(path, shuffled(planned, 0), ScriptedEngine(wander), concurrency=1)
        assert [s.reads for s in sources] == [2] * 5  # once for its header, once for its pixels
        assert {t.image.hash for t in load_run(path).trajectories.values()} == {source_hash(s.data or b"") for s in sources}
