"""The whole path on a real vLLM: six scenes at eight resolutions, killed and resumed, in process and served."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from real import BIN, ENGINE_ARGS, Served, cof_eval, end_group, engine_env, serve_vllm, write_adapter

from cof_eval.core.images import load_native, pixel_hash
from cof_eval.core.records import Outcome, Question, Stop, Trajectory
from cof_eval.core.resolution import SWEEP
from cof_eval.judging import start_judge
from cof_eval.runs.folder import RunData, image_path, load_run

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1500)]

STEP = 28
CAP = 3840 * 3840


@pytest.fixture(scope="module")
def scenes_run(tiny: Path, scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> RunData:
    """All scenes at all resolutions, in process; killed with SIGKILL once it has begun, then resumed."""
    out = tmp_path_factory.mktemp("runs") / "cof"
    arguments = [
        *("run", "--model", tiny, "--protocol", "cof_forced", "--data", f"vstar={scenes}", "--resolutions", "all"),
        *("--engine-args", json.dumps(ENGINE_ARGS), "--keep-images", "all", "--concurrency", "8", "--out", out),
    ]
    with (out.parent / "first.log").open("wb") as log:
        first = subprocess.Popen(
            [str(BIN / "cof-eval"), *map(str, arguments)], env=engine_env(), stdout=log, stderr=log, start_new_session=True
        )
    while first.poll() is None and _lines(out / "trajectories.jsonl") < 5:
        time.sleep(0.05)
    end_group(first, signal.SIGKILL)
    survived = _lines(out / "trajectories.jsonl")
    assert survived >= 5, (out.parent / "first.log").read_text()[-3000:]
    before = (out / "trajectories.jsonl").read_bytes()
    second = cof_eval(*arguments)
    assert second.returncode == 0, second.stderr[-3000:]
    assert any(f"resuming: {n} of " in second.stderr for n in (survived, survived + 1))  # a torn last line may be whole
    assert (out / "trajectories.jsonl").read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    return load_run(out)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_every_question_is_answered_at_every_resolution_once(scenes_run: RunData) -> None:
    assert len(scenes_run.rows) == 6 * 8
    assert {row.resolution for row in scenes_run.rows} == {r.name for r in SWEEP}
    keys = [json.loads(line)["key"] for line in (scenes_run.path / "trajectories.jsonl").open()]
    assert len(keys) == len(set(keys)) == len({row.trajectory for row in scenes_run.rows})
    assert {t.stop for t in scenes_run.trajectories.values()} == {Stop.ANSWERED}
    assert all(scenes_run.verdicts[row.trajectory].verdict is not Outcome.UNSCORED for row in scenes_run.rows)


def test_small_images_share_their_trajectories_above_their_native_size(scenes_run: RunData) -> None:
    by_name = {r.name: {row.question_id: row.trajectory for row in scenes_run.rows if row.resolution == r.name} for r in SWEEP}
    assert by_name["4k"]["3"] == by_name["1920"]["3"]  # 1024 x 768
    assert by_name["4k"]["2"] != by_name["2560"]["2"]  # 3600 x 2400


def test_shown_images_and_crops_have_the_prescribed_pixels(scenes_run: RunData, scenes: Path) -> None:
    zooms = 0
    for trajectory in scenes_run.trajectories.values():
        native = load_native((scenes / trajectory.question.cluster).read_bytes())
        shown = (
            native.resize(trajectory.shown.size, Image.Resampling.LANCZOS) if native.size != trajectory.shown.size else native
        )
        assert pixel_hash(shown) == trajectory.shown.hash
        for call in trajectory.calls:
            if call.crop is None:
                continue
            expected = prescribed_crop(shown, call.box)  # type: ignore[arg-type]
            assert expected.size == call.crop.size
            assert pixel_hash(expected) == call.crop.hash
            with Image.open(image_path(scenes_run.path, call.crop.hash, exact=True)) as stored:
                assert stored.tobytes() == expected.tobytes()
            zooms += 1
    assert zooms >= 40


def prescribed_crop(shown: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """The released evaluation's crop in its own words: widened by half, cut, twice as large, sides in steps of 28."""
    x1, y1, x2, y2 = box
    dx, dy = (x2 - x1) / 4, (y2 - y1) / 4
    crop = shown.crop(
        (int(max(0, x1 - dx)), int(max(0, y1 - dy)), int(min(shown.width, x2 + dx)), int(min(shown.height, y2 + dy)))
    )
    width, height = round(crop.width * 2 / STEP) * STEP, round(crop.height * 2 / STEP) * STEP
    assert 112 * 112 <= width * height <= CAP
    return crop.resize((width, height), Image.Resampling.LANCZOS)


def test_the_engine_counted_the_visual_tokens_that_were_predicted(scenes_run: RunData) -> None:
    for t in scenes_run.trajectories.values():
        assert t.verified
        assert t.turns[0].visual_tokens == t.shown.visual_tokens == (t.shown.size[0] // STEP) * (t.shown.size[1] // STEP)


def test_later_turns_find_the_earlier_ones_in_the_cache(scenes_run: RunData) -> None:
    for t in scenes_run.trajectories.values():
        for earlier, later in zip(t.turns, t.turns[1:], strict=False):
            assert later.cached_tokens >= earlier.prompt_tokens - 256


def test_the_report_shows_eight_resolutions(scenes_run: RunData) -> None:
    report = scenes_run.path / "report"
    names = [line.split(",")[3] for line in (report / "sweep.csv").read_text().splitlines() if ",overall," in line]
    assert names == ["mean", *(r.name for r in SWEEP)]
    assert (report / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert "calls and answers forced" in (report / "report.md").read_text()


@pytest.fixture(scope="module")
def served_run(
    scenes_run: RunData, served: Served, tiny: Path, scenes: Path, tmp_path_factory: pytest.TempPathFactory
) -> RunData:
    """Four resolutions of the scenes through the server."""
    out = tmp_path_factory.mktemp("served_runs") / "cof"
    done = cof_eval(
        *("run", "--model", tiny, "--engine", "openai", "--base-url", served.url, "--protocol", "cof_forced"),
        *("--data", f"vstar={scenes}", "--resolutions", "224,448,672,1024", "--out", out),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return load_run(out)


def test_served_and_in_process_engines_agree_word_for_word(scenes_run: RunData, served_run: RunData) -> None:
    here, there = said(scenes_run), said(served_run)
    assert len(there) == 24
    assert {key: here[key] for key in there} == there


def test_transformers_agrees_word_for_word(scenes_run: RunData, tiny: Path, scenes: Path, tmp_path: Path) -> None:
    done = cof_eval(
        *("run", "--model", tiny, "--engine", "transformers", "--protocol", "cof_forced", "--data", f"vstar={scenes}"),
        *("--resolutions", "224,448", "--engine-args", json.dumps({"dtype": "float32"}), "--out", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    here, there = said(scenes_run), said(load_run(tmp_path / "run"))
    assert len(there) == 12
    assert {key: here[key] for key in there} == there


def said(run: RunData) -> dict[tuple[str, str], list[tuple[str, int, int, int | None]]]:
    """What the model said to each question at each resolution."""
    return {(row.question_id, row.resolution): _said(run.trajectories[row.trajectory]) for row in run.rows}


def _said(trajectory: Trajectory) -> list[tuple[str, int, int, int | None]]:
    return [(turn.text, turn.prompt_tokens, turn.output_tokens, turn.visual_tokens) for turn in trajectory.turns]


def test_when_one_of_two_servers_is_killed_half_way_the_other_finishes_the_run(
    scenes_run: RunData, served: Served, tiny: Path, scenes: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with serve_vllm(served.checkpoint, tmp_path) as (url, doomed):
        command = [
            *(BIN / "cof-eval", "run", "--model", tiny, "--engine", "openai", "--base-url", f"{served.url},{url}"),
            *("--protocol", "cof_forced", "--data", f"vstar={scenes}", "--resolutions", "224,448,672,1024", "--out", out),
            *("--concurrency", "6", "--engine-args", '{"patience_s": 60}'),
        ]
        with (tmp_path / "run.log").open("wb") as log:
            run = subprocess.Popen([str(word) for word in command], env=engine_env(), stdout=log, stderr=log)
        while run.poll() is None and _lines(out / "trajectories.jsonl") < 8:
            time.sleep(0.05)
        end_group(doomed, signal.SIGKILL)
        status = run.wait(timeout=600)
    said_so = (tmp_path / "run.log").read_text()
    assert status == 0, said_so[-3000:]
    assert "sent again" in said_so
    here, there = said(scenes_run), said(load_run(out))
    assert len(there) == 24
    assert {key: here[key] for key in there} == there
    assert _lines(out / "trajectories.jsonl") == len(load_run(out).trajectories)  # none was run twice


def test_a_server_that_shrinks_images_stops_the_run_and_is_told_how_to_mend_it(
    served: Served, tiny: Path, scenes: Path, tmp_path: Path
) -> None:
    done = cof_eval(
        *("run", "--model", tiny, "--engine", "openai", "--base-url", served.url, "--protocol", "cof_forced"),
        *("--data", f"vstar={scenes}", "--resolutions", "2560", "--limit", "3", "--out", tmp_path / "run"),
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"cof-eval: {served.url} used ")
    assert "it shrinks images or cuts prompts" in last
    assert "--max-pixels" in last
    assert "Traceback" not in done.stderr


def test_a_served_judge_decides_what_rules_cannot(served: Served) -> None:
    question = Question("1", "vstar", "", "a", "What is on the roof?", (), "a red chimney")

    async def ask() -> tuple[Outcome, str, str]:
        judge = await start_judge("equivalence", served.url, "EMPTY")
        try:
            verdict = await judge.judge_answer(question, "some chimney, it is red")
        finally:
            await judge.close()
        return verdict.verdict, verdict.by, verdict.label

    outcome, by, label = asyncio.run(ask())
    assert by == "judge"
    assert (label, outcome) in {("1", Outcome.CORRECT), ("0", Outcome.WRONG)}


def test_lmms_evals_own_command_line_runs_the_model_in_process_with_an_adapter(
    scenes_run: RunData, tiny: Path, scenes: Path, tmp_path: Path
) -> None:
    tasks = cof_eval("tasks", "--path").stdout.strip()
    adapter = write_adapter(tiny, tmp_path / "adapter")
    model_args = (
        f"pretrained={tiny},lora={adapter},protocol=cof_forced,run={tmp_path / 'run'},engine_args={json.dumps(ENGINE_ARGS)}"
    )
    command = [
        *(sys.executable, "-m", "lmms_eval", "--model", "cof", "--model_args", model_args, "--include_path", tasks),
        *("--tasks", "cof_vstar_224", "--limit", "3", "--output_path", str(tmp_path / "lmms"), "--log_samples"),
    ]
    environment = engine_env(COF_DATA_VSTAR=str(scenes), LMMS_EVAL_HOME=str(tmp_path))
    del environment["VLLM_CPU_KVCACHE_SPACE"]  # as a user runs it: beside the server, 92% of the memory are not to be had
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    run = load_run(tmp_path / "run")
    assert [row.task for row in run.rows] == ["cof_vstar_224"] * 3
    assert "cof_vstar_224" in done.stdout
    for metric in ("acc", "acc_upper", "zooms", "tool_errors", "turns", "output_tokens", "visual_tokens", "truncated"):
        assert f"|{metric}" in done.stdout.replace(" ", "")
    plain = {row.question_id: scenes_run.trajectories[row.trajectory] for row in scenes_run.rows if row.resolution == "224"}
    adapted = {row.question_id: run.trajectories[row.trajectory] for row in run.rows}
    assert all(_said(adapted[name]) != _said(plain[name]) for name in adapted)
    assert run.settings["model"]["lora"] == str(adapter)
    (samples,) = (tmp_path / "lmms").rglob("*samples_cof_vstar_224.jsonl")
    accuracy = [json.loads(line)["acc"] for line in samples.open()]
    assert accuracy == [float(run.verdicts[row.trajectory].verdict is Outcome.CORRECT) for row in run.rows]
