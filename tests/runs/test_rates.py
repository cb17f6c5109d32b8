"""Rates from run folders: which run they come from, what differs there, and what a hostile folder does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import question

from cof_eval.core.errors import RunError
from cof_eval.core.records import Call, Crop, Finish, ImageRef, Row, ShownImage, Stop, Trajectory, Turn, to_json
from cof_eval.runs.estimate import Cell
from cof_eval.runs.rates import Rates, find_rates, load_records

HERE = {
    "model": {"pretrained": "m", "fingerprint": "f"},
    "protocol": {"name": "cof", "max_turns": 6},
    "engine": {"name": "openai", "engine_args": {}},
    "machine": {"gpus": "none", "cpus": 2},
    "sessions": [{"concurrency": 8, "base_url": "http://a"}],
}


def trajectory(name: str, *, wall_s: float = 2.0, ended: float = 0.0, zooms: int = 0, stop: Stop = Stop.ANSWERED) -> Trajectory:
    crop = Call("c", (0, 0, 1, 1), "shown", crop=Crop("h", (56, 56), (0, 0, 1, 1), 40))
    turns = [Turn("t", Finish.STOP, 100 * (i + 1), 0, 20, 64 + 40 * i, 1.0, (crop,)) for i in range(zooms)]
    turns.append(Turn("t", Finish.STOP, 100 * (zooms + 1), 0, 20, 64 + 40 * zooms, 1.0))
    asked = question(id=name, cluster=f"{name}.jpg")
    shown = ShownImage((224, 224), 64, "s")
    return Trajectory(name, asked, ImageRef(name, (1, 1)), "cof", shown, tuple(turns), "B", stop, None, 0, wall_s, ended)


def write(folder: Path, rollouts: dict[str, list[Trajectory]], **settings: Any) -> Path:
    """A run folder: by resolution, the trajectories that answer its rows."""
    folder.mkdir(parents=True)
    (folder / "run.yaml").write_text(yaml.safe_dump({"format": 1, **HERE, **settings}))
    rows = [
        Row(f"cof_vstar_{resolution}", i, t.question.id, "vstar", resolution, 0, t.key, 1)
        for resolution, each in rollouts.items()
        for i, t in enumerate(each)
    ]
    (folder / "rows.jsonl").write_bytes(b"".join(to_json(row) + b"\n" for row in rows))
    unique = {t.key: t for each in rollouts.values() for t in each}
    (folder / "trajectories.jsonl").write_bytes(b"".join(to_json(t) + b"\n" for t in unique.values()))
    return folder


def find(run: Path, named: Path | None = None) -> Rates | None:
    return find_rates(run, load_records(run), HERE, named)


def pilot(count: int = 3, prefix: str = "q", **changes: Any) -> list[Trajectory]:
    return [trajectory(f"{prefix}{i}", **changes) for i in range(count)]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_pilot_in_the_same_folder_comes_first(tmp_path: Path) -> None:
    write(tmp_path / "runs" / "other", {"224": pilot(50)})
    own = write(tmp_path / "runs" / "own", {"224": pilot(zooms=2)})
    found = find(own)
    assert found is not None
    assert (found.own, found.rollouts, found.differences) == (True, 3, ())
    sample = found.samples["vstar", "224"][0]
    assert (sample.prompt_tokens, sample.output_tokens, sample.crop_tokens) == (600, 60, 80)


def test_else_the_run_of_the_same_checkpoint_and_protocol_that_differs_least(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write(runs / "foreign", {"224": pilot(50)}, model={"fingerprint": "g"})
    write(runs / "direct", {"224": pilot(50)}, protocol={"name": "direct"})
    write(runs / "far", {"224": pilot(50)}, engine={"name": "vllm"}, machine={"gpus": "H100", "cpus": 96})
    near = write(runs / "near", {"224": pilot(4)}, sessions=[{"concurrency": 64, "base_url": "http://a"}])
    write(runs / "empty", {})
    found = find(runs / "new")
    assert found is not None
    assert (found.run, found.own, found.differences) == (near, False, ("concurrency: 64",))


def test_runs_in_the_usual_place_are_found_for_a_folder_elsewhere(tmp_path: Path) -> None:
    write(tmp_path / "results" / "runs" / "one", {"224": pilot()})
    found = find(tmp_path / "elsewhere" / "new")
    assert found is not None
    assert found.run == Path("results/runs/one")


def test_without_any_there_are_none(tmp_path: Path) -> None:
    assert find(tmp_path / "runs" / "new") is None


def test_a_named_run_may_differ_in_anything_and_what_differs_is_said(tmp_path: Path) -> None:
    other = write(
        tmp_path / "other", {"224": pilot()}, model={"pretrained": "n", "fingerprint": "g"}, protocol={"name": "cof", "max_turns": 3},
        engine={"name": "vllm", "engine_args": {"dtype": "half"}}, machine={"gpus": "H100", "cpus": 2},
    )  # fmt: skip
    found = find(tmp_path / "new", other)
    assert found is not None
    assert found.on_gpus
    assert found.differences == (
        "checkpoint: n", "protocol's max_turns: 3", "engine's name: vllm", "engine's dtype: half", "gpus: H100",
    )  # fmt: skip


def test_a_named_folder_that_is_none_or_empty_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is no run folder"):
        find(tmp_path / "new", tmp_path)
    with pytest.raises(RunError, match="no finished rollout"):
        find(tmp_path / "new", write(tmp_path / "empty", {"224": pilot(stop=Stop.ERROR)}))


@pytest.mark.parametrize(
    "yaml_text",
    [
        "[]", "format: 2", "{", "format: 1\nmodel: 3\nprotocol: [1]\nsessions: 7\nengine: x",
        "format: 1\nmodel: {fingerprint: f}\nprotocol: {name: cof}\nsessions: [1, null, {started: yesterday}]\n"
        "engine: {engine_args: 3}\nmachine: none",
    ],
)  # fmt: skip
def test_a_hostile_run_folder_beside_is_no_reason_to_fail(tmp_path: Path, yaml_text: str) -> None:
    hostile = write(tmp_path / "runs" / "hostile", {"224": pilot()})
    (hostile / "run.yaml").write_text(yaml_text)
    torn = write(tmp_path / "runs" / "torn", {"224": pilot()})
    (torn / "trajectories.jsonl").write_text("{}\n{}\n")
    found = find(tmp_path / "runs" / "new")
    assert found is None or found.run == hostile


def test_the_pace_comes_from_when_rollouts_ended_and_old_runs_do_not_tell(tmp_path: Path) -> None:
    ended = [trajectory(f"q{i}", wall_s=4.0, ended=1_000_010.0 + 2 * i) for i in range(5)]
    session = {"started": "1970-01-12T13:46:40+00:00", "concurrency": 8, "base_url": "http://a"}  # 1,000,000 s
    found = find(write(tmp_path / "new", {"224": ended}, sessions=[session]))
    assert found is not None
    assert found.pace is not None
    assert found.pace.under_way == pytest.approx(20 / 12)
    assert found.pace.startup_s == pytest.approx((6, 6, 6))
    old = find(write(tmp_path / "old", {"224": pilot()}))
    assert old is not None
    assert old.pace is None


def test_a_large_resolution_is_judged_by_the_images_that_are_large_where_there_are_enough(tmp_path: Path) -> None:
    small, large = pilot(4, "small"), pilot(2, "large", wall_s=9.0)
    found = find(write(tmp_path / "a", {"224": [*small, *pilot(2, "low")], "4k": [*small, *large]}))
    assert found is not None

    def walls(cell: Cell) -> list[float]:
        return [sample.wall_s for sample in found.samples[cell]]

    assert walls(("vstar", "4k")) == [9.0, 9.0]
    assert len(walls(("vstar", "224"))) == 6
    few = find(write(tmp_path / "b", {"224": small, "4k": [*small, large[0]]}))
    assert few is not None
    assert len(few.samples["vstar", "4k"]) == 5
