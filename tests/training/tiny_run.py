"""Recipes for the tests' own data, and rows that are wrong in one way each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cof_eval.agent.protocols import COF
from training.recipe.recipe import Recipe
from training.recipe.recipe_file import load_recipe

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 500
"""Longest that a training process may take."""


def tiny_recipe(home: Path, out: Path, /, **changes: Any) -> Recipe:
    """`sft_tiny` on this data."""
    conversations = home / "conversations" / "conversations.jsonl"
    values = {
        "model": str(home / "checkpoint"),
        "out": str(out),
        "data": [{"format": "messages", "path": str(conversations)}],
        **changes,
    }
    return load_recipe(Path("sft_tiny"), values)


def write_rows(folder: Path, rows: Iterable[Any]) -> Path:
    """Rows as JSON lines; a text is written as it is."""
    file = folder / "rows.jsonl"
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return file


def row(image: str, **changes: Any) -> dict[str, Any]:
    """A good row with one zoom, its crop being the image itself."""
    call = '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [10, 10, 60, 60]}}</tool_call>'
    messages = [
        {"role": "system", "content": COF.system},
        {"role": "user", "content": "<image>\nQuestion: What is it?" + COF.format},
        {"role": "assistant", "content": f"<think>Small.</think> {call}"},
        {"role": "user", "content": "<image>\n" + COF.format.strip()},
        {"role": "assistant", "content": "<think>A mug.</think> <answer>A mug</answer>"},
    ]
    return {"messages": messages, "images": [image, image], **changes}


def said_by(messages: list[dict[str, Any]], index: int, **changes: Any) -> list[dict[str, Any]]:
    """The messages with one of them changed."""
    return [{**message, **(changes if i == index else {})} for i, message in enumerate(messages)]


def environment(**changes: str) -> Mapping[str, str]:
    """Of a training process on shared CPU cores."""
    quiet = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(ROOT)}
    return {**os.environ, **quiet, **changes}


def sft(*words: str | Path) -> subprocess.Popen[str]:
    """`python -m training.sft` begun in a process of its own."""
    command = [sys.executable, "-m", "training.sft", *map(str, words)]
    return subprocess.Popen(
        command, cwd=ROOT, env=dict(environment()), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
