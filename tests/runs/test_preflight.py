"""What is known to go wrong before anything is generated."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import ScriptedEngine, question

from cof_eval.agent.protocols import COF, DIRECT, Crops
from cof_eval.agent.zoom import CropSource
from cof_eval.core.resolution import SWEEP, PixelLimits, parse_resolution
from cof_eval.core.settings import ModelSettings
from cof_eval.engines.gpus import Gpu
from cof_eval.runs.finding import Level
from cof_eval.runs.preflight import (
    budget,
    check_context,
    check_images,
    check_memory,
    check_pixels,
    check_protocol,
    check_served,
    preflight,
)

PACKAGE = Path(__file__).resolve().parents[2] / "cof_eval"
SMALL, LARGE = parse_resolution("224"), parse_resolution("4k")


def engine(**options: object) -> ScriptedEngine:
    return ScriptedEngine([""], **options)  # type: ignore[arg-type]


def test_a_small_resolution_fits_whatever_the_model_does() -> None:
    (finding,) = check_context(COF, engine(), [SMALL])
    assert finding.level is Level.OK


def test_at_4k_a_zoom_on_nearly_everything_may_fill_the_context() -> None:
    (finding,) = check_context(COF, engine(), [LARGE])
    assert finding.level is Level.WARNING
    assert "of 5 zooms" in finding.says


def test_an_image_that_alone_fills_the_context_is_a_failure_with_its_cure() -> None:
    (finding,) = check_context(COF, engine(context=8000), [LARGE])
    assert finding.level is Level.FAILED
    assert "max_model_len" in finding.says


def test_the_budget_counts_what_a_rollout_would_use() -> None:
    most = budget(replace(COF, max_new_tokens=100), engine(), SMALL)
    assert most.first_turn > 64 + 100  # 224 x 224 px are 64 visual tokens
    assert most.zoom > 256 + 100  # a crop of everything is twice as wide and high
    assert most.zooms == (most.context - most.first_turn) // most.zoom


def test_the_budget_is_of_the_images_that_are_there() -> None:
    most = budget(COF, engine(), LARGE, [(1260, 980), (640, 480)])
    assert most.first_turn - budget(COF, engine(), LARGE, [(640, 480)]).first_turn == 1260 * 980 // 784 - 644 * 476 // 784
    assert most == budget(COF, engine(), parse_resolution("1920"), [(1260, 980)])  # shown as it is at both
    native = replace(COF, crop_source=CropSource.NATIVE)
    assert budget(native, engine(), SMALL, [(1260, 980)]).zoom == most.zoom < budget(native, engine(), SMALL).zoom


def test_images_that_fit_are_no_reason_to_warn() -> None:
    (finding,) = check_context(COF, engine(), [LARGE], [(1000, 750)])
    assert finding.level is Level.OK


def test_a_baseline_without_zooms_needs_only_its_first_turn() -> None:
    (finding,) = check_context(DIRECT, engine(), [LARGE])
    assert finding.level is Level.OK


def test_too_few_images_are_told_with_the_setting_to_change() -> None:
    finding = check_images(COF, engine(max_images=2))
    assert finding.level is Level.WARNING
    assert 'limit_mm_per_prompt {"image": 6}' in finding.says


@pytest.mark.parametrize(("name", "level"), [("2560", Level.OK), ("4k", Level.WARNING), ("native", Level.WARNING)])
def test_a_processors_cap_below_the_resolution_is_told(name: str, level: Level) -> None:
    finding = check_pixels(COF, engine(limits=PixelLimits(28, 3136, 12_845_056)), [parse_resolution(name)])
    assert finding.level is level
    assert ("mm_processor_kwargs" in finding.says) is (level is Level.WARNING)


@pytest.mark.parametrize(
    ("served", "warned"), [(None, False), ("org/CoF-7b", False), ("/models/CoF-7b", False), ("Qwen2.5-VL-7B", True)]
)
def test_a_server_with_another_model_than_the_runs_is_told(served: str | None, warned: bool) -> None:
    assert bool(check_served("org/CoF-7b", served)) is warned


def test_neighbours_in_the_sweep_share_a_finding_that_holds_the_worst_of_them() -> None:
    findings = check_protocol(COF, engine(context=16_000), set(SWEEP))
    said = {f.what: f for f in findings if f.what.startswith("context")}
    assert [(what, f.level) for what, f in said.items()] == [
        ("context at 224–448", Level.OK),
        ("context at 672–2560", Level.WARNING),
        ("context at 4k", Level.FAILED),
    ]
    needs = [budget(COF, engine(context=16_000), parse_resolution(name)) for name in ("448", "672", "2560")]
    assert said["context at 224–448"].says.startswith(f"at most {needs[0].first_turn + 5 * needs[0].zoom:,} of 16,000 tokens")
    assert f"{needs[1].first_turn:,} to {needs[2].first_turn:,} tokens" in said["context at 672–2560"].says
    assert f"then {needs[2].zooms} to {needs[1].zooms} of 5 zooms" in said["context at 672–2560"].says


def test_each_finding_is_a_line_and_nothing_to_check_is_none() -> None:
    assert all("\n" not in str(f) for f in check_protocol(COF, engine(), set(SWEEP)))
    assert check_protocol(COF, engine(), set()) == []


CONFIG = {"text_config": {"num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4, "hidden_size": 3584}}
"""Qwen2.5-VL-7B's."""


@pytest.fixture
def seven_b(tmp_path: Path) -> Path:
    """A folder as large as the weights of a 7B model, on paper."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(16 * 2**30)  # a hole: takes no disk
    return tmp_path


@pytest.mark.parametrize(
    ("gpus", "engine_args", "level"),
    [
        ([Gpu(81_920, 81_000)], {}, Level.OK),
        ([Gpu(16_000, 16_000)], {}, Level.FAILED),
        ([Gpu(16_000, 16_000)] * 2, {}, Level.FAILED),
        ([Gpu(16_000, 16_000)] * 2, {"tensor_parallel_size": 2}, Level.OK),
        ([Gpu(24_000, 24_000)], {"gpu_memory_utilization": 0.5}, Level.FAILED),
        ([Gpu(24_000, 9_000)], {}, Level.FAILED),
        ([], {}, Level.OK),
    ],
)
def test_memory_is_estimated_before_weights_load(
    seven_b: Path, gpus: list[Gpu], engine_args: dict[str, Any], level: Level
) -> None:
    (finding,) = check_memory(seven_b, engine_args, 32_768, gpus)
    assert finding.level is level
    assert "about 19.4 GiB (16.0 of weights, 1.8 for one conversation of 32,768 tokens)" in finding.says


def test_without_weights_or_sizes_nothing_is_guessed(tmp_path: Path) -> None:
    assert check_memory(tmp_path, {}, 32_768, []) == []


def test_a_run_a_question_and_doctor_tell_one_list_of_findings() -> None:
    parts = {"check_served", "check_protocol", "check_memory", "check_boxes"}
    others = [PACKAGE / name for name in ("runs/doctor.py", "runs/ask.py", "lmms/model.py")]
    for path in others:
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert "preflight" in names and not names & parts, path


def test_the_list_holds_the_server_the_protocol_and_the_boxes() -> None:
    settings = ModelSettings(pretrained="org/cof-7b", engine="openai", base_url="http://127.0.0.1:1/v1")
    served = engine()
    served.served_name = "another"  # type: ignore[attr-defined]
    oracle = replace(COF, crops=Crops.ORACLE)
    found = preflight(settings, oracle, served, [SMALL], [(400, 300)], [question()])
    assert [each.what for each in found] == ["served model", "images", "pixels", "context at 224", "oracle crops"]
    named = preflight(replace(settings, served_name="another"), oracle, served, [SMALL], [(400, 300)], [question()])
    assert found[1:] == named
