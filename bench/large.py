"""A benchmark of 8K images inside a table: how memory grows from a few rows to many, from loading to the last answer."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from bench.figures import Figure, below
from bench.scripted import ANSWER, Scripted, evaluate
from cof_eval.benchmarks import BENCHMARKS
from cof_eval.core.resolution import parse_resolution
from cof_eval.runs.plan import Job

FEW, MANY = 8, 48


def large() -> list[Figure]:
    """Peak memory of a process that loads, plans and answers 48 distinct 8K images, over that for 8, concurrency 4."""
    with tempfile.TemporaryDirectory() as folder:
        files = {rows: _write_table(Path(folder) / f"hr_bench_8k_{rows}.parquet", rows) for rows in (FEW, MANY)}
        peaks = {rows: _peak_mb(file, Path(folder) / f"cache-{rows}") for rows, file in files.items()}
        size = files[MANY].stat().st_size / 2**20
    detail = f"peak {peaks[FEW]:.0f} MB for {FEW} images, {peaks[MANY]:.0f} MB for {MANY} in a table of {size:.0f} MB"
    return [below("8K benchmark: memory ratio", peaks[MANY] / peaks[FEW], 1.2, "x", detail)]


def _write_table(file: Path, rows: int) -> Path:
    """HR-Bench 8K's schema in a single row group; every image is an own one of some 20 MB."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts = ("question", "answer", "category", "A", "B", "C", "D", "cycle_category", "image")
    schema = pa.schema([("index", pa.int64()), *((name, pa.string()) for name in texts)])
    photo = _photo()

    def batch(index: int) -> pa.RecordBatch:
        data = base64.b64encode(photo + os.urandom(16)).decode()  # decoders ignore what follows a JPEG's end
        columns = [index, f"Question {index}?", "B", "single", "one", "two", "three", "four", "0", data]
        return pa.record_batch([[value] for value in columns], schema=schema)

    with pq.ParquetWriter(file, schema, compression="none", use_dictionary=False) as writer:
        writer.write_table(pa.Table.from_batches([batch(i) for i in range(rows)]), row_group_size=rows)
    return file


def _photo() -> bytes:
    """A JPEG of 7680x4320 px with detail everywhere."""
    tile = Image.frombytes("RGB", (960, 540), os.urandom(960 * 540 * 3))
    image = Image.new("RGB", (7680, 4320))
    for i in range(64):
        image.paste(tile, (960 * (i % 8), 540 * (i // 8)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()


def _peak_mb(file: Path, cache: Path) -> float:
    code = f"from bench.large import _measure; _measure({str(file)!r})"
    environment = os.environ | {"COF_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return float(json.loads(done.stdout.strip().splitlines()[-1]))


def _measure(file: str) -> None:
    items = BENCHMARKS["hrbench8k"].load(Path(file))
    jobs = [
        Job(task="bench", doc_id=i, question=item.question, resolution=parse_resolution("224"), source=item.image)
        for i, item in enumerate(items)
    ]
    asyncio.run(evaluate(Scripted(ANSWER, turns=1), jobs, 4))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps(peak / 1024 if sys.platform != "darwin" else peak / 2**20))
