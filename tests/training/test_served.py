"""What SFT makes is a checkpoint that our vLLM engine runs, and what it then does is training data again."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from real import ENGINE_ARGS, cof_eval

from cof_eval.agent.protocols import Protocol
from cof_eval.core.records import Stop
from cof_eval.core.resolution import PixelLimits
from cof_eval.runs.folder import load_run
from training.data.conversation import load_template
from training.data.trajectories import Replay

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]


def test_a_trained_checkpoint_is_evaluated_and_its_trajectories_can_be_trained_on(
    trained: Path, tiny_data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("vllm")
    done = cof_eval(
        *("run", "--model", trained / "model", "--protocol", "cof_forced", "--data", f"vstar={tiny_data / 'vstar'}"),
        *("--resolutions", "224", "--limit", "4", "--engine-args", json.dumps(ENGINE_ARGS)),
        *("--keep-images", "all", "--out", tmp_path / "run"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run = load_run(tmp_path / "run")
    found = list(run.trajectories.values())
    assert [t.stop for t in found] == [Stop.ANSWERED] * 4
    assert all(t.verified for t in found) and any(t.zooms for t in found)

    protocol = msgspec.convert(run.settings["protocol"], Protocol)
    limits = protocol.limits(msgspec.convert(run.settings["engine"]["limits"], PixelLimits))
    for trajectory in found:
        messages = Replay(run, protocol, limits, {})(trajectory)
        assert sum(len(message.images) for message in messages) == 1 + trajectory.zooms


def test_vllm_serves_the_template_with_images_where_they_stand() -> None:
    renderer = pytest.importorskip("vllm.renderers.hf")
    assert renderer._detect_content_format(load_template(), default="string") == "openai"
