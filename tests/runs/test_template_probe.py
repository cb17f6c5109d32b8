"""What a checkpoint's own chat template keeps from the model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engines"))
from tiny_qwen35 import chat_template

from cof_eval.agent.protocols import PROTOCOLS
from cof_eval.core.resolution import PixelLimits
from cof_eval.engines.checkpoint import Checkpoint
from cof_eval.engines.tiny_checkpoint import CORPUS, VOCABULARY, build_processor, build_tokenizer
from cof_eval.runs.preflight import Finding, Level
from cof_eval.runs.template_probe import check_template

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def processor() -> Any:
    pytest.importorskip("transformers")
    return build_processor(build_tokenizer(CORPUS, VOCABULARY), 12_845_056)


def probed(processor: Any, template: str | None, protocol: str) -> list[Finding]:
    if template is None:
        pytest.skip("TRL, which ships these chat templates, is not installed")
    processor.chat_template = template
    limits = PixelLimits(PROTOCOLS[protocol].factor or 28, 3136, 12_845_056)
    return check_template(PROTOCOLS[protocol], Checkpoint(Path(), limits, 0, 0, processor))


@pytest.mark.parametrize(
    ("template", "protocol", "level", "says"),
    [
        ("qwen2_5_vl", "cof", Level.OK, "sees all of two earlier turns"),
        ("qwen3_5_think", "cof", Level.WARNING, "this template drops the thoughts of earlier turns"),
        ("qwen3_5_think", "qwen3_5", Level.OK, "replies hold `</think>` alone"),
        ("qwen3_6", "qwen3_5", Level.OK, "replies hold `</think>` alone"),
        ("qwen3_5_think", "direct", Level.OK, "sees the whole prompt"),
    ],
)
def test_what_the_model_will_not_see_is_said(template: str, protocol: str, level: Level, says: str, processor: Any) -> None:
    (finding,) = probed(processor, chat_template(template), protocol)
    assert finding.level is level
    assert says in finding.says


LOSSY = "{% for m in messages %}{% if m.role != 'system' %}{% for p in m.content %}{{ p.text if p.type == 'text' }}{% endfor %}{% endif %}{% endfor %}"


def test_a_template_of_any_model_is_asked_what_it_drops(processor: Any) -> None:
    (finding,) = probed(processor, LOSSY, "cof")
    assert finding.level is Level.WARNING
    assert "the system message" in finding.says
    assert "3 of 3 images" in finding.says


def test_a_template_that_refuses_the_conversation_is_a_failure(processor: Any) -> None:
    (finding,) = probed(processor, "{{ raise_exception('no images, please') }}", "cof")
    assert finding.level is Level.FAILED
    assert "no images, please" in finding.says


def test_without_the_checkpoints_files_nothing_is_said() -> None:
    assert check_template(PROTOCOLS["cof"], None) == []
