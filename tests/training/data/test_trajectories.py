from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fakes import LIMITS, ScriptedEngine, answer, call, noise, question

from cof_eval.agent.protocols import COF, DIRECT, BoxFrame, Crops, Protocol
from cof_eval.agent.rollout import Subject, rollout
from cof_eval.agent.zoom import CropSource, View
from cof_eval.core.errors import DataError
from cof_eval.core.images import encode_png, pixel_hash, resize, source_hash
from cof_eval.core.records import ImageRef, Outcome, Stop, Trajectory, Verdict, verdict_key
from cof_eval.core.resolution import parse_resolution, shown_size
from cof_eval.core.settings import KeepImages
from cof_eval.runs.folder import RunFolder
from training.data.conversation import messages_for_trl
from training.data.rows import DraftRow, DroppedRow, Reason, chat
from training.data.trajectories import coverage, read_trajectories
from training.recipe.recipe import DataSource

NATIVE = noise(560, 420, seed=3)
BYTES = encode_png(NATIVE)
SHOWN = resize(NATIVE, shown_size(NATIVE.size, parse_resolution("224"), COF.limits(LIMITS)))
TURNS = [f"<think>Two.</think> {call(20, 20, 60, 60)} {call(50, 50, 90, 90)}", f"One more. {call(5, 5, 40, 40)}", answer("B")]


MILLI = replace(COF, name="mine", frame=BoxFrame.MILLI, crop_source=CropSource.NATIVE)
"""A user's own protocol: thousandths, and crops from the native image."""


def recorded(
    script: list[str], key: str, *, boxes: tuple[Any, ...] = (), protocol: Protocol = COF
) -> tuple[Trajectory, ScriptedEngine, dict[str, Any]]:
    """A trajectory of the evaluation, the engine that was asked, and every image it kept."""
    view = View(SHOWN, NATIVE.size, NATIVE if protocol.crop_source is CropSource.NATIVE else None)
    about = Subject(
        question=question(boxes=boxes),
        image=ImageRef(source_hash(BYTES), NATIVE.size),
        view=view,
        shown_hash=pixel_hash(SHOWN),
        key=key,
    )
    engine, kept = ScriptedEngine(script), {pixel_hash(SHOWN): SHOWN}
    return asyncio.run(rollout(about, engine, protocol, keep_image=kept.__setitem__)), engine, kept


def write_run(path: Path, *scripts: list[str], keep: KeepImages = KeepImages.ALL, protocol: Protocol = COF) -> list[Trajectory]:
    """A run folder with one trajectory for each script; those that say B are right."""
    settings = {"model": "m", "protocol": msgspec.to_builtins(protocol), "engine": {"limits": msgspec.to_builtins(LIMITS)}}
    settings["judge"] = {"card": "c", "model": ""}
    made = []
    with RunFolder(path, settings, keep_images=keep) as run:
        for number, script in enumerate(scripts):
            found, _, kept = recorded(script, f"k{number}", boxes=((100.0, 100.0, 160.0, 160.0),), protocol=protocol)
            run.add_trajectory(found)
            if found.stop is Stop.ANSWERED:
                outcome = Outcome.CORRECT if found.answer == "B" else Outcome.WRONG
                run.add_verdict(Verdict(verdict_key("c", "", found.question, found.answer), "c", "", outcome, "rule:letter"))
            for name, image in kept.items():
                run.keep_image(name, image)
            made.append(found)
    return made


def read(path: Path, *, protocol: Protocol = COF, **filters: Any) -> list[DraftRow | DroppedRow]:
    return list(read_trajectories(DataSource(format="run", path=str(path), **filters), protocol))  # type: ignore[arg-type]


@pytest.fixture
def photos(tmp_path: Path) -> str:
    """A folder with the native image."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(BYTES)
    return str(tmp_path / "photos")


@pytest.mark.parametrize("protocol", [COF, MILLI], ids=lambda p: p.name)
def test_a_replayed_trajectory_is_what_the_model_was_sent(protocol: Protocol, photos: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run", TURNS, protocol=protocol)
    native = protocol.crop_source is CropSource.NATIVE
    (draft,) = read(tmp_path / "run", protocol=protocol, images=photos if native else None)
    _, engine, _ = recorded(TURNS, "k0", protocol=protocol)
    sent = messages_for_trl(engine.requests[-1].messages)
    assert isinstance(draft, DraftRow)
    assert chat(draft.messages) == [*sent, {"role": "assistant", "content": [{"type": "text", "text": TURNS[-1]}]}]
    assert [image.data for image in draft.images] == [encode_png(part.image) for part in engine.requests[-1].images]


def test_crops_of_a_native_image_need_it_again(photos: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run", TURNS, [answer("B")], protocol=MILLI)
    zoomed, direct = read(tmp_path / "run", protocol=MILLI)
    assert isinstance(zoomed, DroppedRow) and isinstance(direct, DraftRow)
    assert (zoomed.reason, "name its folder (images: …)" in zoomed.says) == (Reason.REPLAY, True)
    assert all(isinstance(d, DraftRow) for d in read(tmp_path / "run", protocol=MILLI, images=photos))


def test_native_images_stand_in_for_images_that_were_not_kept(photos: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run", TURNS, keep=KeepImages.NONE)
    (dropped,) = read(tmp_path / "run")
    assert isinstance(dropped, DroppedRow) and dropped.reason is Reason.REPLAY and "--keep-images all" in dropped.says
    (draft,) = read(tmp_path / "run", images=photos)
    assert isinstance(draft, DraftRow) and len(draft.images) == 4


def test_only_good_trajectories_are_kept(tmp_path: Path) -> None:
    bad_call = [call(9, 9, 2, 2), answer("B")]
    write_run(tmp_path / "run", TURNS, [answer("A")], ["no idea"], [answer("B")], bad_call)
    reasons = [d.reason if isinstance(d, DroppedRow) else None for d in read(tmp_path / "run")]
    assert reasons == [None, Reason.VERDICT, Reason.VERDICT, None, Reason.FILTER]
    assert [isinstance(d, DraftRow) for d in read(tmp_path / "run", errors=True)] == [True, False, False, True, True]
    assert [isinstance(d, DraftRow) for d in read(tmp_path / "run", zooms=(1, 2), errors=True)] == [False] * 5


def test_zooms_that_miss_the_target_are_left_out(tmp_path: Path) -> None:
    scale = SHOWN.width / NATIVE.width
    hit = [call(*(round(v * scale) for v in (90, 90, 170, 170))), answer("B")]
    miss = [call(0, 0, 30, 20), answer("B")]
    found = write_run(tmp_path / "run", hit, miss, [answer("B")])
    assert [coverage(t) for t in found] == [1.0, 0.0, 0.0]
    kept = read(tmp_path / "run", coverage=0.9)
    assert [isinstance(d, DraftRow) for d in kept] == [True, False, True]  # a direct answer has no crop to miss with
    assert isinstance(kept[1], DroppedRow) and "0.00 of a target" in kept[1].says


@pytest.mark.parametrize(
    ("protocol", "what"),
    [
        (MILLI, "frame, crop_source"),
        (replace(COF, widen=1.0), "widen"),
        (replace(COF, crops=Crops.WITHHELD), "crops"),
        (replace(COF, error_turn="No: {error}"), "error_turn"),
    ],
)
def test_a_run_with_other_boxes_or_crops_is_refused(protocol: Protocol, what: str, tmp_path: Path) -> None:
    write_run(tmp_path / "run", [answer("B")], protocol=protocol)
    with pytest.raises(DataError, match=f"differs from the recipe's 'cof' in {what}; give the recipe the run's protocol"):
        read(tmp_path / "run")


def test_limits_and_decoding_teach_no_other_conversation(tmp_path: Path) -> None:
    sampled = replace(COF, name="sampled", temperature=1.0, max_turns=9, max_new_tokens=99, turn_patterns=(".*",))
    write_run(tmp_path / "run", TURNS, protocol=sampled)
    assert [isinstance(d, DraftRow) for d in read(tmp_path / "run")] == [True]


def test_a_run_under_other_words_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run", TURNS, protocol=replace(DIRECT))
    with pytest.raises(DataError, match="differs from the recipe's 'cof' in system, question, format"):
        read(tmp_path / "run")
