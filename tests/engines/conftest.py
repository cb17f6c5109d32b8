"""A real vLLM, the tiny checkpoints that it runs on a CPU, and scenes to ask it about."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from real import SERVED_MAX_PIXELS, Served, serve_vllm

from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.engines.tiny_checkpoint import write_checkpoint


@pytest.fixture(scope="session")
def _vllm() -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed: this test needs a real engine (make setup)")


@pytest.fixture(scope="session")
def tiny(_vllm: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen2.5-VL of a million parameters."""
    return write_checkpoint(tmp_path_factory.mktemp("tiny") / "tiny-qwen2.5-vl")


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six questions in V*'s layout, on JPEG and PNG files from 640x480 to 3600x2400: one is larger than resolution 2560."""
    folder = write_scenes(tmp_path_factory.mktemp("scenes") / "vstar", count=6, seed=5)
    large = folder / "direct_attributes" / "scene_0002.jpg"
    annotation = json.loads(large.with_suffix(".json").read_text())
    annotation["bbox"] = [[side * 3 // 2 for side in box] for box in annotation["bbox"]]
    large.with_suffix(".json").write_text(json.dumps(annotation))
    Image.open(large).resize((3600, 2400)).save(large)
    return folder


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
