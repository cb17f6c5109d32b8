"""A real vLLM, and the tiny checkpoints that it runs on a CPU."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from real import SERVED_MAX_PIXELS, Served, serve_vllm

from cof_eval.demo.checkpoint import write_checkpoint


@pytest.fixture(scope="session")
def _vllm() -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: this test needs a real engine (make setup)")


@pytest.fixture(scope="session")
def tiny(_vllm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2.5-VL of a million parameters."""
    return write_checkpoint(tmp_path_factory.mktemp("tiny") / "tiny-qwen2.5-vl")


@pytest.fixture(scope="session")
def served(_vllm: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The same weights behind an OpenAI-compatible server, with a smaller pixel cap; one for the whole session."""
    folder = tmp_path_factory.mktemp("served")
    checkpoint = write_checkpoint(folder / "tiny-qwen2.5-vl", max_pixels=SERVED_MAX_PIXELS)
    decoding = json.loads((checkpoint / "generation_config.json").read_text())
    decoding |= {"do_sample": True, "temperature": 0.7, "repetition_penalty": 1.3, "top_k": 3}  # which no client may inherit
    (checkpoint / "generation_config.json").write_text(json.dumps(decoding))
    with serve_vllm(checkpoint, folder) as (url, _):
        yield Served(url, checkpoint)
