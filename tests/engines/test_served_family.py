"""What is assumed of a served model's image processor where its files are not at hand, and that it is said."""

from __future__ import annotations

import pytest

from cof_eval.agent.protocols import COF, DIRECT, PROTOCOLS, Protocol
from cof_eval.engines.served_family import QWEN3_VL_LIMITS, QWEN25_VL_LIMITS, find_family

QWEN3_VL, DEEPEYES = PROTOCOLS["qwen3_vl"], PROTOCOLS["deepeyes"]


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("Qwen/Qwen3-VL-8B-Instruct", 32),
        ("qwen3-vl:8b", 32),
        ("/models/Qwen3.5-9B", 32),
        ("Qwen3.6-35B-A3B", 32),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 28),
        ("qwen2-vl-7b", 28),
        ("qwen2_5_vl_sft", 28),
    ],
)
@pytest.mark.parametrize("protocol", [DIRECT, COF])
def test_a_family_is_known_by_its_name(name: str, factor: int, protocol: Protocol) -> None:
    family = find_family(None, protocol, ["served", name])
    assert (family.limits.factor, family.known) == (factor, True)
    assert f"assumed from the name {name!r}" in family.assumed


@pytest.mark.parametrize(
    "name",
    [
        "OpenGVLab/InternVL3_5-8B",
        "google/gemma-3-4b-it",
        "glm-4.6v",
        "llava-hf/llava-onevision-qwen2-7b-ov-hf",
        "openai/gpt-5.1",
        "o3",
        "gemini-3-pro",
    ],
)
def test_the_others_have_a_processor_of_their_own_whose_tokens_are_counted(name: str) -> None:
    family = find_family(None, DIRECT, ["served", name], max_pixels=100_000)
    assert (family.limits.counted, family.limits.max_pixels, family.known) == (True, 100_000, True)
    assert f"the name {name!r} (a processor of its own)" in family.assumed


@pytest.mark.parametrize(("protocol", "limits"), [(QWEN3_VL, QWEN3_VL_LIMITS), (DEEPEYES, QWEN25_VL_LIMITS)])
def test_without_a_telling_name_the_protocol_says_for_which_family_it_is_made(protocol: Protocol, limits: object) -> None:
    family = find_family(None, protocol, ["my-checkpoint"])
    assert (family.limits, family.known) == (limits, True)
    assert f"assumed from protocol {protocol.name}" in family.assumed


def test_where_nothing_tells_stock_qwen25_vl_is_assumed_and_visual_tokens_prove_nothing() -> None:
    family = find_family(None, DIRECT, ["my-checkpoint"], max_pixels=100_000)
    assert (family.limits.factor, family.limits.max_pixels, family.known) == (28, 100_000, False)
    assert "nothing tells the family" in family.assumed
