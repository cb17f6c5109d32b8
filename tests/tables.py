"""A few rows of every benchmark in the schema of its dataset: column names, types, files and their places, as on the hub."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from fakes import noise

from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.benchmarks.vstar_mini import write_folder
from cof_eval.core.images import encode_png

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How `datasets` stores an image column."""
TEXTS = pa.list_(pa.string())


def png(seed: int = 0, width: int = 120, height: int = 90) -> bytes:
    return encode_png(noise(width, height, seed))


def packed(seed: int = 0, **size: int) -> str:
    return base64.b64encode(png(seed, **size)).decode()


def embedded(seed: int = 0) -> dict[str, Any]:
    return {"bytes": png(seed), "path": None}


def write_parquet(path: Path, rows: list[dict[str, Any]], schema: dict[str, pa.DataType]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(list(schema.items()))), path)
    return path


def write_tsv(path: Path, rows: list[dict[str, Any]]) -> Path:
    """As pandas writes it: quoted where a field holds a tab, a quote or a line break."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def rotated(index: int, options: list[str], right: str, turn: int) -> dict[str, Any]:
    """A row of HR-Bench: its options turned by some places."""
    turned = options[turn:] + options[:turn]
    return dict(zip("ABCD", turned, strict=True)) | {
        "index": index,
        "answer": "ABCD"[turned.index(right)],
        "cycle_category": str(turn),
    }


HR_SCHEMA = {
    "index": pa.int64(),
    "question": pa.string(),
    "answer": pa.string(),
    "category": pa.string(),
    **dict.fromkeys("ABCD", pa.string()),
    "cycle_category": pa.string(),
    "image": pa.string(),
}


def hr_rows() -> list[dict[str, Any]]:
    about = [
        ("single", "What is the color of the umbrella?", ["red", "None", "blue", "yellow"], "blue"),
        ("cross", "Where is the kiosk?", ["left", "right", "behind", "above"], "left"),
    ]
    return [
        {"question": text, "category": category, "image": packed(i), **rotated(4 * i + turn, options, right, turn)}
        for i, (category, text, options, right) in enumerate(about)
        for turn in range(4)
    ]


def write_hrbench(folder: Path) -> Path:
    for size in ("4k", "8k"):
        write_parquet(folder / f"hr_bench_{size}.parquet", hr_rows(), HR_SCHEMA)
    return folder


MME_SCHEMA = {
    "index": pa.int64(),
    "bytes": pa.string(),
    "question": pa.string(),
    "multi-choice options": TEXTS,
    "answer": pa.string(),
    "category": pa.string(),
    "l2-category": pa.string(),
}
UNKNOWN = "(E) This image doesn't feature the count."


def mme_rows() -> list[dict[str, Any]]:
    first = {
        "index": 0,
        "bytes": packed(0),
        "question": "How many cars are on the bridge?",
        "multi-choice options": ["(A) 1", "(B) 2", "(C) 3", "(D) 4", UNKNOWN],
        "answer": "E",
        "category": "Perception/Monitoring",
        "l2-category": "vehicle/counting",
    }
    second = first | {
        "index": 1,
        "question": "图中招牌上写的是什么？",
        "multi-choice options": ["（A） 大阪", "（B） 東京", "(C) Αθήνα", "(D) القاهرة", "(E) не видно"],
        "answer": "B",
        "category": "Reasoning/OCR with Complex Context",
        "l2-category": "scene understanding",
    }
    return [first, second]


def write_mme(folder: Path) -> Path:
    for i, row in enumerate(mme_rows()):
        write_parquet(folder / f"data/train-0000{i}-of-00002.parquet", [row], MME_SCHEMA)
    return folder


def tree_rows() -> list[dict[str, Any]]:
    options = "(A) It hangs.\n(B) It stands.\n(C) It lies.\n(D) It leans.\n(E) It floats.\n(F) None of these"
    first = {
        "index": 0,
        "image": packed(0),
        "question": 'What does the sign that reads "STOP" do?',
        "multi-choice options": options,
        "answer": "F",
        "category": "Perception/Physical State",
        "target_instances": "[[10.0, 20.5, 30.0, 40.0], [0, 0, 5, 5]]",
    }
    return [first, first | {"index": 1, "answer": "A", "category": "Reasoning/Ordering", "target_instances": "[]"}]


def write_treebench(folder: Path) -> Path:
    write_tsv(folder / "TreeBench.tsv", tree_rows())
    return folder


def write_visual_probe(folder: Path) -> Path:
    for seed, level in enumerate(("Easy", "Medium", "Hard")):
        below = folder / f"VisualProbe_{level}"
        (below / "data").mkdir(parents=True)
        (below / "data" / "0.png").write_bytes(png(seed))
        row = {
            "doc_id": 0,
            "images": [f"VisualProbe_{level}/data/0.png"],
            "problem": "<image>\nWhat number is on the bus?",
            "solution": "27",
            "data_source": f"VisualProbe_{level}",
        }
        (below / "val.json").write_text(json.dumps([row]))
    return folder


POPE_SCHEMA = {
    **dict.fromkeys(("id", "question_id", "question", "answer", "image_source"), pa.string()),
    "image": STRUCT,
    "category": pa.string(),
}


def pope_rows() -> list[dict[str, Any]]:
    """One "yes" question that the categories share, and one "no" question in each."""
    rows = []
    for category, absent in (("adversarial", "fork"), ("popular", "chair"), ("random", "zebra")):
        for name, answer in (("dog", "yes"), (absent, "no")):
            number = len(rows)
            rows.append(
                {
                    "id": str(number),
                    "question_id": str(number % 2 + 1),
                    "question": f"Is there a {name} in the image?",
                    "answer": answer,
                    "image_source": "COCO_val2014_000000000001",
                    "image": embedded(7),
                    "category": category,
                }
            )
    return rows


def write_pope(folder: Path) -> Path:
    write_parquet(folder / "data/test-00000-of-00001.parquet", pope_rows(), POPE_SCHEMA)
    return folder


DOC_SCHEMA = {
    "questionId": pa.string(),
    "question": pa.string(),
    "question_types": TEXTS,
    "image": STRUCT,
    "docId": pa.int64(),
    "ucsf_document_id": pa.string(),
    "ucsf_document_page_no": pa.string(),
    "answers": TEXTS,
    "data_split": pa.string(),
}


def doc_rows() -> list[dict[str, Any]]:
    page = {
        "image": embedded(3),
        "docId": 14465,
        "ucsf_document_id": "pybv0228",
        "ucsf_document_page_no": "81",
        "data_split": "val",
    }
    first = {
        "questionId": "1",
        "question": "What is the date?",
        "question_types": ["form"],
        "answers": ["1/8/93", "January 8, 1993"],
    }
    second = {
        "questionId": "2",
        "question": "¿Quién firma?",
        "question_types": ["handwritten", "form"],
        "answers": ["José Núñez"],
    }
    return [page | first, page | second]


INFO_SCHEMA = {
    "questionId": pa.string(),
    "question": pa.string(),
    "answers": TEXTS,
    "answer_type": TEXTS,
    "image": STRUCT,
    "image_url": pa.string(),
    "operation/reasoning": TEXTS,
    "ocr": pa.string(),
    "data_split": pa.string(),
}


def info_rows() -> list[dict[str, Any]]:
    return [
        {
            "questionId": "98313",
            "question": "How many companies have more than 10K delivery workers?",
            "answers": ["2", "two"],
            "answer_type": ["non-extractive"],
            "image": embedded(4),
            "image_url": "https://example.org/1.png",
            "operation/reasoning": ["counting"],
            "ocr": "[]",
            "data_split": "val",
        }
    ]


def write_docvqa(folder: Path) -> Path:
    write_parquet(folder / "DocVQA/validation-00000-of-00001.parquet", doc_rows(), DOC_SCHEMA)
    write_parquet(folder / "InfographicVQA/validation-00000-of-00001.parquet", info_rows(), INFO_SCHEMA)
    return folder


STAR_SCHEMA = {
    "index": pa.int64(),
    "question": pa.string(),
    "image": STRUCT,
    "answer": pa.string(),
    "category": pa.string(),
    "l2_category": pa.string(),
    "meta_info": pa.struct([("source", pa.string()), ("split", pa.string()), ("image_path", pa.string())]),
}


def star_rows() -> list[dict[str, Any]]:
    meta = {"source": "MMBench", "split": "val", "image_path": "images/0.jpg"}
    first = {
        "index": 0,
        "question": "Which option describes the relation?\nOptions: A: The suitcase is on the book., B: The suitcase is beneath the cat.",
        "image": embedded(5),
        "answer": "A",
        "category": "coarse perception",
        "l2_category": "image scene and topic",
        "meta_info": meta,
    }
    second = first | {
        "index": 1,
        "question": "Which of the four?",
        "answer": "D",
        "category": "math",
        "l2_category": "geometry",
    }
    return [first, second]


def write_mmstar(folder: Path) -> Path:
    write_parquet(folder / "mmstar.parquet", star_rows(), STAR_SCHEMA)
    return folder


ZOOM_SCHEMA = {
    **dict.fromkeys(("id", "query", "response", "question_type"), pa.string()),
    "image": STRUCT,
    "crop_image": STRUCT,
}


def zoom_rows() -> list[dict[str, Any]]:
    first = {
        "id": "0",
        "query": "How many table lamps are in the image? Select from the following choices.\n(A) 0\n(B) 2\n(C) 1\n(D) 3",
        "response": "C",
        "question_type": "mcq",
        "image": embedded(8),
        "crop_image": {"bytes": png(9, 60, 40), "path": None},
    }
    return [
        first,
        first | {"id": "1", "query": "What does the small plate say?", "response": "EXIT 4", "question_type": "open"},
    ]


def write_zoombench(folder: Path) -> Path:
    write_parquet(folder / "data/test.parquet", zoom_rows(), ZOOM_SCHEMA)
    return folder


ADAPT_SCHEMA = {
    "uid": pa.string(),
    "image": STRUCT,
    **dict.fromkeys(
        (
            *("question", "options", "answer", "domain", "category", "type_label"),
            *("bbox", "transform", "textproblem", "textoptions", "key_step"),
        ),
        pa.string(),
    ),
}


def adapt_rows() -> dict[str, list[dict[str, Any]]]:
    """By domain, as their files are called."""
    first = {
        "uid": "rw_1",
        "image": embedded(10),
        "question": "What color are the cat's eyes?",
        "options": "",
        "answer": "Yellow with black",
        "domain": "Real-world",
        "category": "attribute",
        "type_label": "zoom-in",
        "bbox": "[10, 20, 60, 70]",
        "transform": "",
        "textproblem": "",
        "textoptions": "",
        "key_step": "1. Identify the cat.",
    }
    math = first | {
        "uid": "m_1",
        "question": "What is the area of triangle ABC?",
        "options": "(A) 50 (B) 55 (C) 60 (D) 90",
        "answer": "(C) 60",
        "domain": "Math",
        "category": "geometry",
        "bbox": "",
        "transform": "rotation 180",
    }
    return {"realworld": [first], "math": [math]}


def write_adaptmmbench(folder: Path) -> Path:
    for domain, rows in adapt_rows().items():
        write_parquet(folder / f"AdaptMMBench_{domain}.parquet", rows, ADAPT_SCHEMA)
    return folder


def o3_rows() -> list[dict[str, Any]]:
    layouts = {str(i): {"layout_id": i, "bbox": [10.5 * i, 5.0, 10.5 * i + 10, 30.25]} for i in (1, 2, 3)}
    first = {
        "file_name": "images/map/mall.png",
        "subset": "map",
        "question": "Which escalator leads to the cinema?",
        "options": "A. Escalator C, 5F\nB. Elevator C, 5F\nC. Escalator A, 1F\nD. None\nE. Elevator B\nF. Stairs",
        "answer": "E",
        "explanation": "Step 1. Refer to the legend [layout 3].",
        "target_layouts": [1, 3],
        "layout_infos": layouts,
        "img_width": 120,
        "img_height": 90,
    }
    return [
        first,
        first | {"file_name": "images/chart/sales.png", "subset": "chart", "question": "Which year grew most?", "answer": "A"},
    ]


def write_o3bench(folder: Path) -> Path:
    for seed, row in enumerate(o3_rows()):
        image = folder / "test" / str(row["file_name"])
        image.parent.mkdir(parents=True)
        image.write_bytes(png(20 + seed))
    (folder / "test/metadata.jsonl").write_text("\n".join(map(json.dumps, o3_rows())))
    return folder


def write_zoomgainbench(folder: Path) -> Path:
    """As columns are usually called; the card does not tell."""
    about = {
        "en/count": {"question": "How many red cars are there?", "options": ["3", "4", "5", "6"], "answer": "B"},
        "zh/ocr": {"question": "招牌上写的是什么？", "options": ["大阪", "東京", "京都", "奈良"], "answer": "大阪"},
    }
    (folder / "images").mkdir(parents=True)
    (folder / "images/street.png").write_bytes(png(11))
    for name, row in about.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.jsonl").write_text(json.dumps({"id": 1, "image": "images/street.png", **row}))
    return folder


CV_SCHEMA = {
    "idx": pa.int64(),
    **dict.fromkeys(("type", "task"), pa.string()),
    "image": STRUCT,
    "question": pa.string(),
    "choices": TEXTS,
    **dict.fromkeys(("answer", "prompt", "filename", "source"), pa.string()),
}


def cv_rows() -> list[dict[str, Any]]:
    rows = []
    for source, asked, choices, answer in (
        ("ADE20K", "How many organs are in the image?", ["3", "2", "1", "0"], "(C)"),
        ("COCO", "Where is the dog with respect to the car?", ["left", "right"], "(A)"),
        ("COCO", "How many cows are in the image?", ["0", "1", "2"], "(B)"),
        ("Omni3D", "Which object is closer to the camera?", ["chair", "table"], "(B)"),
    ):
        lines = "\n".join(f"({letter}) {choice}" for letter, choice in zip("ABCD", choices, strict=False))
        kind, task = ("3D", "Depth") if source == "Omni3D" else ("2D", "Count" if "many" in asked else "Relation")
        row = {"idx": len(rows), "type": kind, "task": task, "image": embedded(12), "question": asked, "choices": choices}
        prompt = f"{asked} Select from the following choices.\n{lines}"
        rows.append(row | {"answer": answer, "prompt": prompt, "filename": "img/1.png", "source": source})
    return rows


def write_cvbench(folder: Path) -> Path:
    for kind in ("2D", "3D"):
        rows = [row for row in cv_rows() if row["type"] == kind]
        write_parquet(folder / f"test_{kind.lower()}.parquet", rows, CV_SCHEMA)
    return folder


def spot_rows() -> list[dict[str, Any]]:
    first = {
        "img_filename": "vscode_macos/screen.png",
        "bbox": [30, 20, 60, 45],
        "instruction": "save the file",
        "instruction_cn": "保存文件",
        "id": "vscode_macos_0",
        "application": "vscode",
        "platform": "macos",
        "img_size": [120, 90],
        "ui_type": "icon",
        "group": "Dev",
    }
    second = {"id": "vscode_macos_1", "instruction": "open the settings", "ui_type": "text", "bbox": [90, 60, 110, 80]}
    return [first, first | second]


def write_screenspot_pro(folder: Path) -> Path:
    (folder / "images/vscode_macos").mkdir(parents=True)
    (folder / "images/vscode_macos/screen.png").write_bytes(png(13))
    (folder / "annotations").mkdir()
    (folder / "annotations/vscode_macos.json").write_text(json.dumps(spot_rows(), ensure_ascii=False))
    return folder


def write_custom(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "desk.png").write_bytes(png(6))
    rows = [
        {"image": "desk.png", "question": "What color is the mug?", "options": ["white", "red"], "answer": "red"},
        {"image": "desk.png", "question": "How many pens?", "answer": ["3", "three"], "boxes": [[1, 2, 30, 40]]},
        {"image": "desk.png", "question": "Was steht auf dem Zettel?"},
    ]
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def write_vstar(folder: Path) -> Path:
    return write_scenes(folder, count=2, seed=0)


WRITERS: dict[str, Callable[[Path], Path]] = {
    "vstar": write_vstar,
    "vstar_mini": lambda folder: write_folder(folder, count=4, seed="tables"),
    "hrbench4k": write_hrbench,
    "hrbench8k": write_hrbench,
    "mme_realworld_lite": write_mme,
    "treebench": write_treebench,
    "visual_probe": write_visual_probe,
    "pope": write_pope,
    "infovqa": write_docvqa,
    "docvqa": write_docvqa,
    "mmstar": write_mmstar,
    "zoombench": write_zoombench,
    "adaptmmbench": write_adaptmmbench,
    "o3bench": write_o3bench,
    "zoomgainbench": write_zoomgainbench,
    "cvbench": write_cvbench,
    "screenspot_pro": write_screenspot_pro,
    "custom": write_custom,
}
"""By benchmark."""


def write_all(folder: Path) -> dict[str, Path]:
    """The data of every benchmark, each in a folder of its own."""
    return {name: write(folder / name) for name, write in WRITERS.items()}
