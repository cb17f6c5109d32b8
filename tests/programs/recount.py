"""Counts what a run must find, from benchmarks' source files and a rule of answers alone: nothing of this project is imported.

Prints JSON: by benchmark and resolution, `n`, `acc` and the benchmark's own metrics. The rule answers by a question's words and by
whether its image is shown whole (`answer`); the test's scripted engine follows the same rule.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from pathlib import Path

SIDES = {"224": 224, "336": 336, "448": 448, "672": 672, "1024": 1024, "1920": 1920, "2560": 2560, "4k": 3840}
WIDTH, HEIGHT = 560, 392
"""Of every image."""


def answer(question: str, whole: bool, choices: str) -> str:
    """A letter of so many choices, or one of "yes" and "no" where there are none."""
    number = int(hashlib.sha256(f"{question}{whole}".encode()).hexdigest(), 16)
    return choices[number % len(choices)] if choices else ("yes", "no")[number % 2]


def mean(values: list[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def vstar(folder: Path, whole: bool) -> dict[str, object]:
    right = []
    for line in (folder / "test_questions.jsonl").read_text().splitlines():
        row = json.loads(line)
        stem, *lines = row["text"].split("\n")
        right.append(answer(stem, whole, "ABCD"[: sum(line.startswith("(") for line in lines)]) == row["label"])
    return {"n": len(right), "acc": mean(right)}


def pope(folder: Path, whole: bool) -> dict[str, object]:
    pairs = []
    for file in sorted(folder.glob("coco_pope_*.json")):
        for line in file.read_text().splitlines():
            row = json.loads(line)
            pairs.append((row["label"] == "yes", answer(row["text"], whole, "") == "yes"))
    both, known, said = (sum(map(test, pairs)) for test in (all, lambda pair: pair[0], lambda pair: pair[1]))
    return {
        "n": len(pairs),
        "acc": mean([is_yes == says_yes for is_yes, says_yes in pairs]),
        "precision": both / said if said else None,
        "recall": both / known if known else None,
        "f1": 2 * both / (known + said),
        "yes_ratio": said / len(pairs),
    }


def hrbench4k(folder: Path, whole: bool) -> dict[str, object]:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "hr_bench_4k.parquet").to_pylist()
    right = [answer(row["question"] + row["A"], whole, "ABCD") == row["answer"] for row in rows]
    fours, kinds = defaultdict(list), defaultdict(list)
    for row, is_right in zip(rows, right, strict=True):
        fours[row["question"]].append(is_right)
        kinds[row["category"]].append(is_right)
    return {
        "n": len(rows),
        "acc": mean(right),
        "acc_4_of_4": mean([all(four) for four in fours.values()]),
        "single": mean(kinds["single"]),
        "cross": mean(kinds["cross"]),
    }


def mmstar(folder: Path, whole: bool) -> dict[str, object]:
    import pyarrow.parquet as pq

    rows = pq.read_table(folder / "mmstar.parquet").to_pylist()
    right = [answer(row["question"].split("\n")[0], whole, "ABCD") == row["answer"] for row in rows]
    fine, coarse = defaultdict(list), defaultdict(list)
    for row, is_right in zip(rows, right, strict=True):
        fine[row["l2_category"]].append(is_right)
        coarse[row["category"]].append(is_right)
    return {
        "n": len(rows),
        "acc": mean(right),
        "acc_micro": mean(right),
        "acc_macro": sum(sum(each) / len(each) for each in fine.values()) / len(fine),
        "math": mean(coarse["math"]),
        "coarse_perception": mean(coarse["coarse perception"]),
    }


BENCHMARKS = {"vstar": vstar, "pope": pope, "hrbench4k": hrbench4k, "mmstar": mmstar}


def main(folder: Path) -> None:
    found = {
        name: {resolution: count(folder / name, side**2 >= WIDTH * HEIGHT) for resolution, side in SIDES.items()}
        for name, count in BENCHMARKS.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
