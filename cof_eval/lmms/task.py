"""lmms-eval's task seam: a benchmark at one resolution as a task that any of its chat models can run.

A row carries its question as JSON and its image as stored bytes, so that nothing is decoded before it is needed. The
model `cof` reads both; another chat model gets the shown image and the question's text, and its plain answers are judged
by `plain` once all are there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import datasets
from lmms_eval.api.instance import Instance
from lmms_eval.api.task import ConfigurableMessagesTask
from loguru import logger

from ..agent.conversation import asked_text
from ..benchmarks import BENCHMARKS
from ..benchmarks.metrics import judged_answer
from ..benchmarks.views import ViewedItem, exclusions, view_items
from ..core.errors import DataError, ImageError, UsageError
from ..core.image_view import ImageView
from ..core.images import ImageSource, RegionSource, load_native, resize
from ..core.option_order import OptionOrder, OrderKind, apply_orders
from ..core.records import Outcome, Question, Trajectory, Verdict, digest, from_json, question_values, to_json
from ..core.resolution import parse_resolution, shown_size
from ..core.secrets import safe_urls
from ..core.settings import data_folder, image_view, option_order, question_limit, run_folder, world_size
from ..core.text import one_line
from ..runs.plan import Job
from .plain import LIMITS, POINT_FRAME, PlainAnswer, PlainResult, judge_plain
from .replies import load_result, read_reply

METRICS = ("acc", "acc_upper", "zooms", "tool_errors", "turns", "output_tokens", "visual_tokens", "truncated")
"""Columns of lmms-eval's table for every benchmark; see docs/vocabulary.md."""

ACCURACY = ("acc", "acc_upper")
"""Those that compare with a reference."""

SPLIT = "test"


class CofTask(ConfigurableMessagesTask):  # type: ignore[misc]
    """One benchmark at one resolution. Its YAML says `benchmark`, `resolution` and the task's name."""

    def __init__(self, config: dict[str, Any], **kwargs: Any) -> None:
        config = dict(config)
        config.pop("class", None)
        self.benchmark = str(config.pop("benchmark"))
        self.resolution = parse_resolution(config.pop("resolution"))
        if self.benchmark not in BENCHMARKS:
            raise UsageError(f"unknown benchmark {self.benchmark!r}; known: {', '.join(BENCHMARKS)}")
        self.own_metrics = BENCHMARKS[self.benchmark].metrics
        self.unshown: dict[int, str] = {}
        """By row: why another model was not shown the image."""
        self.plain: dict[int, PlainResult] = {}
        """By row: what became of another model's plain answers."""
        self.repeats = int(config.pop("repeats", 1))
        """How often every question is asked."""
        super().__init__(config={**config, **self._fixed()}, **kwargs)

    def _fixed(self) -> dict[str, Any]:
        """What lmms-eval wants to know and a YAML need not repeat."""
        metrics: list[dict[str, Any]] = [
            {"metric": name, "aggregation": "mean", "higher_is_better": name in ACCURACY} for name in METRICS
        ]
        metrics += [
            {"metric": own.name, "aggregation": own.of, "higher_is_better": own.higher_is_better} for own in self.own_metrics
        ]
        return {
            "dataset_path": self.benchmark,
            "test_split": SPLIT,
            "output_type": "generate_until",
            "doc_to_text": question_text,
            "doc_to_target": reference_answer,
            "doc_to_messages": self.messages,
            "process_results": self.row_metrics,
            "metric_list": metrics,
        }

    def download(self, dataset_kwargs: dict[str, Any] | None = None) -> None:
        """Load the benchmark's rows, options in the order asked for, each as often as asked for; images stay undecoded."""
        view, limit = image_view(), question_limit()
        rows = load_rows(self.benchmark, data_folder(self.benchmark), view)
        rows = arrange_rows(rows.select(range(min(limit, len(rows)))) if limit else rows, option_order(), self.repeats)
        rows = rows.add_column("resolution", [self.resolution.name] * len(rows)).add_column("row", list(range(len(rows))))
        rows = rows.add_column("view", [view.value] * len(rows))
        self.dataset = datasets.DatasetDict({SPLIT: rows})
        self.dataset_no_image = datasets.DatasetDict({SPLIT: rows.remove_columns("image")})

    def set_config(self, key: str, value: Any, update: bool = False) -> None:
        """As lmms-eval's; its `repeats` become rows here: it would generate k times and score the first reply only."""
        if key == "num_fewshot" and value:
            raise UsageError(
                f"--num_fewshot {value}: cof-eval's tasks ask every question alone, without examples. Leave it out"
            )
        if key != "repeats":
            super().set_config(key, value, update)
            return
        before, self.repeats = (self.dataset, self.dataset_no_image), int(value)
        self.download()
        for old, new in zip(before, (self.dataset, self.dataset_no_image), strict=True):
            old[SPLIT] = new[SPLIT]  # lmms-eval holds on to the old ones
        self.dataset, self.dataset_no_image = before

    def messages(self, doc: dict[str, Any]) -> list[dict[str, Any]]:
        """The shown image and the question, for models other than `cof`; an image that cannot be shown is excluded."""
        text = {"type": "text", "text": question_text(doc)}
        source = row_source(doc)
        if source is None:
            return [{"role": "user", "content": [text]}]
        try:
            native = load_native(source.read())
            shown = resize(native, shown_size(native.size, self.resolution, LIMITS))
        except ImageError as error:
            logger.error(f"{self.config.task}, row {doc['row']} stays unscored: {error}")
            self.unshown[doc["row"]] = str(error)
            return [{"role": "user", "content": [text]}]
        return [{"role": "user", "content": [{"type": "image", "url": shown}, text]}]

    def apply_filters(self) -> Any:
        """Called once, when all is generated: judges other models' plain answers before their rows are scored."""
        filtered = super().apply_filters()
        said = [self._said(request) for request in self.instances if read_reply(request.resps[0] or "") is None]
        if said:
            self.plain = {each.plan.job.doc_id: each for each in self._judged(said)}
        return filtered

    def _said(self, request: Instance) -> PlainAnswer:
        doc = self.dataset[SPLIT][request.doc_id]
        counts = request.token_counts[0] if request.token_counts else None
        return PlainAnswer(
            job=Job(
                task=self.config.task,
                doc_id=request.doc_id,
                question=row_question(doc),
                resolution=self.resolution,
                source=row_source(doc),
                repeat=doc["repeat"],
            ),
            text=str(request.resps[0] or ""),
            error=self.unshown.get(request.doc_id),
            prompt_tokens=(counts and counts.input_tokens) or 0,
            output_tokens=(counts and counts.output_tokens) or 0,
        )

    def _judged(self, said: list[PlainAnswer]) -> list[PlainResult]:
        model = _model_name(getattr(self, "args", None))
        run = run_folder() if world_size() == 1 else None
        if run is not None and not model:
            logger.warning(f"COF_RUN={run}: lmms-eval does not say which model answered, so its answers are not kept")
        return judge_plain(said, model=model, run=run if model else None, notes=data_notes(self.benchmark))

    def row_metrics(self, doc: dict[str, Any], results: list[str]) -> dict[str, Any]:
        """The metrics of one row. Never raises: lmms-eval would retry for ten seconds and then lose the row."""
        try:
            question = row_question(doc)
            reply = read_reply(results[0])
            if reply is not None:
                return self._metrics(question, *load_result(reply, question))
            ended = self.plain[doc["row"]]
            return self._metrics(question, ended.trajectory, ended.verdict)
        except Exception as error:  # counted as unscored, and said
            logger.error(f"{self.config.task}: a row could not be scored: {error!r}")
            return _metrics(None, None)

    def _metrics(self, question: Question, trajectory: Trajectory | None, verdict: Verdict | None) -> dict[str, Any]:
        """All metrics of a row; without a reference there is nothing to be right about."""
        values: dict[str, Any] = _metrics(trajectory, verdict)
        if not question.answer:
            return {name: value for name, value in values.items() if name not in ACCURACY}
        return values | dict.fromkeys((own.name for own in self.own_metrics), judged_answer(question, trajectory, verdict))


@lru_cache(maxsize=16)
def load_rows(benchmark: str, folder: Path | None, view: ImageView = ImageView.FULL) -> Any:
    """A benchmark's rows under a view: `question` (JSON), `answer`, `image` and `region`.

    `image` is a path, or stored bytes of images made in memory; neither where none is shown. `region` is the part of it that is shown,
    px of the native image; none for all of it.

    What cannot be asked of them is the description.

    Raises:
        DataError: if the benchmark's data cannot be used, or none of its questions can be asked so.
    """
    items = BENCHMARKS[benchmark].load(folder)
    if not items:
        raise DataError(f"benchmark {benchmark} has no rows in {folder or 'its hub dataset'}")
    viewed = view_items(items, view)
    if not viewed:
        raise DataError(f"no question can be asked under view {view}: {'; '.join(exclusions(items, view))}; use --view full")
    rows = datasets.Dataset.from_dict(
        {
            "question": [_json(item.question) for item in viewed],
            "answer": [item.question.answer for item in viewed],
            "image": [_stored(item) for item in viewed],
            "region": [item.image.box if isinstance(item.image, RegionSource) else None for item in viewed],
        },
        features=datasets.Features(
            question=datasets.Value("large_string"),
            answer=datasets.Value("string"),
            image=datasets.Image(decode=False),
            region=datasets.Sequence(datasets.Value("float64")),
        ),
    )
    notes = (items.note and f"{benchmark}: {items.note}", *exclusions(items, view))
    rows.info.description = "\n".join(one_line(note) for note in notes if note)
    return rows


def _json(question: Question) -> str:
    """A question as a row holds it."""
    return to_json(question_values(question)).decode()


def _stored(item: ViewedItem) -> dict[str, Any] | None:
    """Where the whole image is, as `datasets` stores it; None if none is shown."""
    source = item.image.source if isinstance(item.image, RegionSource) else item.image
    return {"path": source.path, "bytes": source.data} if source else None


def arrange_rows(rows: Any, order: OptionOrder, repeats: int) -> Any:
    """A benchmark's rows with their options in an order, each rotation and repeat a row of its own.

    The column `repeat` tells repeats apart. Images are stored files or paths, and stay undecoded.

    Raises:
        UsageError: if options are to be moved that do not stand in their question's text as they should.
    """
    if order.kind is OrderKind.DATASET and repeats == 1:
        return rows.add_column("repeat", [0] * len(rows))
    ordered = apply_orders((from_json(text, Question) for text in rows["question"]), order)
    taken = [(place, question, k) for place, question in ordered for k in range(repeats)]
    with _without_bars():
        kept = rows.select([i for i, _, _ in taken]).remove_columns(["question", "answer"])
        kept = kept.add_column("question", [_json(q) for _, q, _ in taken], feature=datasets.Value("large_string"))
        kept = kept.add_column("answer", [q.answer for _, q, _ in taken])
        return kept.add_column("repeat", [k for _, _, k in taken])


@contextmanager
def _without_bars() -> Iterator[None]:
    """No progress bars of `datasets` for what takes no time."""
    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


_SECRET = re.compile(r"(\w*(?:api_key|token|secret|password))=[^,]*", re.IGNORECASE)


def _model_name(command_line: Any) -> str:
    """What lmms-eval's command line says about the model, secrets excluded; empty if there was no command line."""
    said = (str(getattr(command_line, name, None) or "") for name in ("model", "model_args"))
    return _SECRET.sub(r"\1=…", safe_urls(" ".join(filter(None, said))))


def data_notes(benchmark: str) -> list[str]:
    """What of a benchmark's data, as loaded now, cannot be asked, or not under the view in use; empty if all can."""
    return str(load_rows(benchmark, data_folder(benchmark), image_view()).info.description).splitlines()


def data_digest(benchmark: str, known: str = "") -> str:
    """Identifies a benchmark's questions as they are loaded now; `known`, if an earlier version gave that to the same questions."""
    questions = load_rows(benchmark, data_folder(benchmark), image_view())["question"]
    now, earlier = digest(*questions), BENCHMARKS[benchmark].earlier
    if known in ("", now) or earlier is None:
        return now
    asked = (from_json(text, Question) for text in questions)
    before = digest(*(_json(earlier(each)) for each in asked))
    return known if before == known else now


def row_question(doc: dict[str, Any]) -> Question:
    """The question of a row."""
    return from_json(doc["question"], Question)


def row_source(doc: dict[str, Any]) -> ImageSource | RegionSource | None:
    """Where a row's image, or the part of it that is shown, is; None if none is shown."""
    image = doc["image"]
    if image is None:
        return None
    whole = ImageSource(data=image["bytes"]) if image["bytes"] is not None else ImageSource(path=image["path"])
    region = doc["region"]
    return RegionSource(whole, (region[0], region[1], region[2], region[3])) if region else whole


def question_text(doc: dict[str, Any]) -> str:
    """The question's text, verbatim, as other models than `cof` are asked it."""
    return asked_text(row_question(doc), POINT_FRAME)


def reference_answer(doc: dict[str, Any]) -> str:
    """The reference."""
    return str(doc["answer"])


def _visual_tokens(trajectory: Trajectory | None) -> float:
    """NaN where nobody told them: a mean over such rows is none."""
    told = trajectory.visual_tokens if trajectory else 0
    return math.nan if told is None else float(told)


def _metrics(trajectory: Trajectory | None, verdict: Verdict | None) -> dict[str, float]:
    outcome = verdict.verdict if verdict else Outcome.UNSCORED
    return {
        "acc": float(outcome is Outcome.CORRECT),
        "acc_upper": float(outcome is not Outcome.WRONG),
        "zooms": float(trajectory.zooms if trajectory else 0),
        "tool_errors": float(trajectory.tool_errors if trajectory else 0),
        "turns": float(len(trajectory.turns) if trajectory else 0),
        "output_tokens": float(trajectory.output_tokens if trajectory else 0),
        "visual_tokens": _visual_tokens(trajectory),
        "truncated": float(trajectory.stop.truncated if trajectory else 0),
    }
