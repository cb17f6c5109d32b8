"""A benchmark outside the package, in one file: is the door open? Run it with `--benchmark-module examples/benchmarks/doors.py`."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from cof_eval.benchmarks import Benchmark, Item, Rows
from cof_eval.benchmarks.metrics import part
from cof_eval.core.images import ImageSource, encode_png
from cof_eval.core.records import Question


def load(data: Path | None) -> Rows:
    """Two doors, drawn here; a real one reads its files from `data`, or from the hub."""
    return Rows.collect((_door(is_open) for is_open in (True, False)), "there is no door")


def _door(is_open: bool) -> Item:
    wall = Image.new("RGB", (600, 400), "white")
    ImageDraw.Draw(wall).rectangle((250, 100, 350, 380), fill="black" if is_open else "brown")
    name = "open" if is_open else "shut"
    question = Question(
        id=name,
        benchmark="doors",
        category="inside",
        cluster=name,
        text="Is the door open?\n(A) yes\n(B) no",
        options=("yes", "no"),
        answer="A" if is_open else "B",
        boxes=((250, 100, 350, 380),),
    )
    return Item(question, ImageSource(data=encode_png(wall)))


BENCHMARKS = {"doors": Benchmark(load, (part("inside", "inside"),))}
