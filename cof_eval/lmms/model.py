"""lmms-eval's model seam: `--model cof` runs the Chain-of-Focus agent on every request of every task at once.

The entry point that makes it known stands in `lmms_plugin`.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from lmms_eval.api.instance import GenerationResult, Instance, TokenCounts
from lmms_eval.api.model import lmms
from loguru import logger

from ..agent.engine import Engine
from ..agent.protocols import Crops, Protocol, parse_protocol
from ..agent.protocols.protocol import check_repeats
from ..benchmarks import BENCHMARKS
from ..core.errors import BudgetReachedError, RunError, UsageError
from ..core.image_view import ImageView
from ..core.images import ImageSource, encode_png
from ..core.paths import run_path
from ..core.provenance import git_commit, machine, versions
from ..core.records import Question, Stop, Trajectory
from ..core.resolution import COUNTED, NATIVE, Resolution, parse_resolution
from ..core.secrets import safe_urls
from ..core.settings import (
    ModelSettings,
    api_key,
    judge_api_key,
    option_order,
    parse_model_args,
    quiet_engines,
    use_image_view,
    world_size,
)
from ..engines import EngineSettings, check_engine, open_engine
from ..engines.checkpoint import identify
from ..judging import Judge, judge_settings, load_card, start_judge
from ..runs.console import Screen, say_findings, say_plan, say_served, say_troubles
from ..runs.costs import run_costs
from ..runs.estimate import Prices
from ..runs.estimate_text import NO_PRICES, estimate_line
from ..runs.evaluate import Evaluation, Progress, pending_plans
from ..runs.finding import Finding, Level
from ..runs.folder import RunFolder, kept_image, load_settings
from ..runs.paying import Paying, open_paying
from ..runs.plan import Job, PlannedJob, Planner
from ..runs.preflight import preflight
from ..runs.rates import Records
from ..runs.selftest import selftest
from .flags import CHAT_TEMPLATE, check_flags, followed_seed
from .replies import expect_replies, write_reply
from .task import CofTask, data_digest, data_notes, row_question, row_source


class Cof(lmms):  # type: ignore[misc]
    """The model `cof`. Its arguments are those of `settings.ModelSettings`."""

    is_simple = False

    def __init__(self, batch_size: Any = None, device: Any = None, max_batch_size: Any = None, **arguments: Any) -> None:
        """Check every argument before any data or weights are loaded.

        Raises:
            UsageError: for an unknown argument, protocol or engine, or a checkpoint that is none.
        """
        super().__init__()
        quiet_engines()
        self.settings = parse_model_args(arguments)
        self._seeded = arguments.get("seed") is not None
        self.protocol = parse_protocol(self.settings.protocol, self.settings.protocol_args)
        if world_size() > 1:
            raise UsageError(
                f"started as {world_size()} processes (WORLD_SIZE); cof batches in one process: start it once, and scale with "
                'engine_args={"tensor_parallel_size": …} or with `vllm serve` and engine=openai'
            )
        check_engine(self.settings, self.protocol)
        load_card(self.settings.judge)
        use_image_view(self.settings.view)  # lmms-eval makes the tasks' rows after the model
        self.checkpoint = identify(self.settings)
        self.run_path = run_path(self.settings, self.protocol.name)
        self.screen = Screen(shared=True)
        """Where a run speaks: on lmms-eval's terminal; `cof-eval run` sets its own."""
        expect_replies(self.run_path)
        self._runner = asyncio.Runner()
        self._engine: Engine | None = None
        self._started = False
        atexit.register(self.close)

    def generate_until(self, requests: list[Instance]) -> list[GenerationResult]:
        """Answer all requests; replies in request order. Finished work of the run folder is not repeated."""
        self._follow(_command_line(requests))
        if len({id(request) for request in requests}) < len(requests):
            raise UsageError("repeats of stock lmms-eval tasks are not offered; cof-eval's own tasks have them (--repeats)")
        self._check_views(requests)
        jobs = [_job(self, request) for request in requests]
        check_repeats(self.protocol, 1 + max((job.repeat for job in jobs), default=0))
        trajectories = self._runner.run(self._answer(jobs))
        return [_result(_ours(request), t, self.run_path) for request, t in zip(requests, trajectories, strict=True)]

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Not offered: an agent's answer has no likelihood of its own."""
        raise UsageError("cof generates answers; tasks that need log-likelihoods cannot be run with it")

    def generate_until_multi_round(self, requests: list[Instance]) -> list[str]:
        """Not offered: the protocol, not the task, decides on rounds."""
        raise UsageError("cof decides on its own turns; multi-round tasks cannot be run with it")

    @property
    def chat_template(self) -> str:
        """Asked for by lmms-eval under --apply_chat_template alone."""
        raise UsageError(CHAT_TEMPLATE)

    @property
    def apply_chat_template(self) -> None:
        """Asked for by lmms-eval under --apply_chat_template alone."""
        raise UsageError(CHAT_TEMPLATE)

    def _follow(self, command_line: Any) -> None:
        """Take the seed of lmms-eval's command line; say what of it cannot be followed.

        Raises:
            UsageError: if that would change numbers.
        """
        for line in check_flags(command_line):
            logger.warning(line)
        seed = followed_seed(command_line, self.settings.seed if self._seeded else None)
        if seed is not None:
            self.settings = replace(self.settings, seed=seed)

    def _check_views(self, requests: Sequence[Instance]) -> None:
        """Refuse rows that show something else than the run would say."""
        view = self.settings.view
        for task, split in {(request.args[4], request.args[5]) for request in requests if _ours(request)}:
            rows = self.task_dict[task][split]
            if len(rows) and rows[0]["view"] != view.value:
                raise UsageError(
                    f"task {task} was made with view {rows[0]['view']!r}, the model with {view.value!r}; set COF_VIEW={view}"
                )
        if view is not ImageView.FULL and not all(map(_ours, requests)):
            raise UsageError(f"view {view} is for cof-eval's own tasks; stock lmms-eval tasks show their whole images")

    def close(self) -> None:
        """Stop the engine."""
        atexit.unregister(self.close)
        with contextlib.suppress(RuntimeError):
            if self._engine is not None:
                engine, self._engine = self._engine, None
                self._runner.run(engine.close())
            self._runner.close()

    async def _answer(self, jobs: Sequence[Job]) -> list[Trajectory]:
        engine = self._engine = self._engine or await open_engine(
            self.settings.engine, EngineSettings.of(self.settings, api_key()), self.protocol
        )
        planner = Planner(
            checkpoint=self.checkpoint["fingerprint"], protocol=self.protocol, limits=self.protocol.limits(engine.limits)
        )
        plans = [planner.plan(job) for job in self.screen.track(jobs, "looking at the rows' images")]
        judge = await start_judge(
            self.settings.judge, self.settings.judge_url, judge_api_key(self.settings.judge_url, self.settings.base_url)
        )
        try:
            judge.images = partial(kept_image, self.run_path)
            tested = await self._selftest(engine, plans)
            paying = open_paying(self.settings, engine, judge)
            with self._open_run(self._run_settings(engine, jobs, judge, tested, paying)) as run:
                self.screen.log_to(run.path)
                _recall(engine, run)
                await self._evaluate(engine, plans, judge, run, tested, paying)
                return [run.trajectories[plan.key] for plan in plans]
        finally:
            await judge.close()

    def _open_run(self, settings: dict[str, Any]) -> RunFolder:
        """The run folder; one that cannot be used for these settings is a wrong argument."""
        try:
            return RunFolder(self.run_path, settings, keep_images=self.settings.keep_images)
        except RunError as error:
            raise UsageError(str(error)) from error

    async def _selftest(self, engine: Engine, plans: Sequence[PlannedJob]) -> list[Finding]:
        """The coordinate self-test at the resolutions of a run, before its first question."""
        resolutions = _resolutions(plans)
        if not resolutions or self._started:
            return []
        return await asyncio.to_thread(selftest, self.protocol, engine.limits, resolutions)

    async def _evaluate(
        self,
        engine: Engine,
        plans: list[PlannedJob],
        judge: Judge,
        run: RunFolder,
        tested: Sequence[Finding],
        paying: Paying | None,
    ) -> None:
        pending = pending_plans(run, plans)
        say_plan(self.screen, plans, pending, run.settings["sessions"])
        pilot = Records(run.settings, tuple(run.rows.values()), run.trajectories)
        prices = Prices(model=paying.model) if paying else NO_PRICES
        costs = run_costs(
            self.settings, self.protocol, engine, plans, self.checkpoint, run=run.path, pilot=pilot, prices=prices
        )  # fmt: skip
        self.screen.say(estimate_line(costs))
        natives = {plan.image.size for plan in plans if plan.job.source and plan.error is None}
        questions = [plan.job.question for plan in plans if plan.job.source]
        findings = preflight(self.settings, self.protocol, engine, _resolutions(plans), natives, questions)
        unasked = [Finding(Level.WARNING, "data", note) for note in _data_notes([plan.job for plan in plans])]
        say_findings(self.screen, [*findings, *unasked, *tested, *(paying.findings(run.path) if paying else [])])
        if any(plan.error is None for plan in pending) and not self._started:
            if self.settings.engine != "openai":
                self.screen.wait(f"starting {self.settings.engine}")
            await engine.start()
            self._started = True
        try:
            with (
                paying.open(run.path, engine, judge) if paying else contextlib.nullcontext((engine, judge)) as (asked, judging)
            ):
                await self._generate(asked, judging, run, plans, len(pending), partial(_served, engine, judge))
        except BudgetReachedError as error:
            says = f"{error}; {self.screen.kept()}. To resume, run the same command with a higher --budget"
            raise BudgetReachedError(says, str(run.path)) from None
        say_troubles(self.screen, getattr(engine, "troubles", {}))
        say_served(self.screen, _served(engine, judge))
        self.screen.wait("writing lmms-eval's results")

    async def _generate(
        self, engine: Engine, judge: Judge, run: RunFolder, plans: list[PlannedJob], pending: int, servers: Callable[[], Any]
    ) -> None:
        """Answer every row that the run folder does not hold yet, under a progress bar."""
        keys = {plan.key for plan in plans}
        self.screen.kept = partial(_kept, run, keys)
        work = Evaluation(
            engine=engine,
            protocol=self.protocol,
            run=run,
            judge=judge,
            concurrency=self.settings.concurrency,
            seed=self.settings.seed,
            servers=servers,
        )
        with self.screen.bar(len(keys), finished=len(keys) - pending) as bar:
            await work.answer(plans, Progress(pending, changed=bar.show))

    def _run_settings(
        self, engine: Engine, jobs: Sequence[Job], judge: Judge, tested: Sequence[Finding], paying: Paying | None
    ) -> dict[str, Any]:
        settings = self.settings
        tasks: dict[str, int] = {}
        for job in jobs:
            tasks[job.task] = tasks.get(job.task, 0) + 1
        own = _benchmarks(jobs)
        known = load_settings(self.run_path).get("data") or {} if (self.run_path / "run.yaml").is_file() else {}
        return {
            "label": " · ".join([*_names(settings, self.protocol.name), *_view_label(settings.view)]),
            "model": self.checkpoint,
            "protocol": msgspec.to_builtins(self.protocol),
            "engine": {
                "name": settings.engine,
                "engine_args": dict(settings.engine_args),
                "limits": {name: getattr(engine.limits, name) for name in ("factor", "min_pixels", "max_pixels")},
                "max_images": engine.max_images,
                "context": engine.context,
                "served": getattr(engine, "served_name", None),
            },
            "view": settings.view.value,
            "seed": settings.seed,
            "option_order": str(option_order()),
            "repeats": 1 + max((job.repeat for job in jobs), default=0),
            "judge": judge_settings(judge),
            "servers": _served(engine, judge),
            **({"prices": paying.settings} if paying else {}),
            "tasks": tasks,
            "data": {name: data_digest(name, str(known.get(name, ""))) for name in own},
            "outside": {name: origin for name in own if (origin := BENCHMARKS.origin(name))},
            "notes": [
                *_data_notes(jobs),
                *(finding.says for finding in tested if finding.level is Level.FAILED),
                *_notes(self.protocol),
                *filter(None, [getattr(engine, "assumed", "")]),
                *([COUNTED] if engine.limits.counted else []),
                *option_order().notes,
                *settings.view.notes,
                *([settings.note] if settings.note else []),
            ],
            **(provenance := {"versions": versions(), "machine": machine(), "commit": git_commit()}),
            "sessions": [{"started": datetime.now(UTC).isoformat(timespec="seconds"), **provenance, **_session(settings)}],
        }


def _kept(run: RunFolder, keys: Collection[str]) -> str:
    """What is on disk; progress counts lag behind the writes that an interruption waits for."""
    return f"{sum(run.finished(key) is not None for key in keys):,} of {len(keys):,} rollouts are finished and kept"


def _names(settings: ModelSettings, protocol: str) -> list[str]:
    return [Path(name).name for name in (settings.pretrained, settings.lora or "", protocol) if name]


def _view_label(view: ImageView) -> list[str]:
    """What a label says of a view that is not the usual one."""
    return [] if view is ImageView.FULL else [f"view {view}"]


def _served(engine: Engine, judge: Judge) -> dict[str, dict[str, Any]]:
    """What the servers of the model and of the judge did so far; nothing of engines in process."""
    told = {"model": getattr(engine, "facts", None), "judge": getattr(judge.client, "facts", None)}
    return {who: facts for who, facts in told.items() if facts}


def _recall(engine: Engine, run: RunFolder) -> None:
    """Hold the model's servers to what earlier sessions recorded of them."""
    recall = getattr(engine, "recall", None)
    if recall:
        recall((run.settings.get("servers") or {}).get("model") or {})


def _session(settings: ModelSettings) -> dict[str, Any]:
    """Settings that may differ between the sessions of one run."""
    names = ("pretrained", "concurrency", "base_url", "judge_url", "max_pixels", "keep_images", "engine_args", "budget")
    session = {name: msgspec.to_builtins(getattr(settings, name)) for name in names if getattr(settings, name)}
    return {name: safe_urls(value) if name.endswith("_url") else value for name, value in session.items()}


def _benchmarks(jobs: Sequence[Job]) -> list[str]:
    """Benchmarks that are run as tasks of ours."""
    return sorted({job.question.benchmark for job in jobs if not isinstance(job.source, _StockImage)}.intersection(BENCHMARKS))


def _data_notes(jobs: Sequence[Job]) -> list[str]:
    return [note for name in _benchmarks(jobs) for note in data_notes(name)]


def _resolutions(plans: Sequence[PlannedJob]) -> set[Resolution]:
    return {plan.job.resolution for plan in plans if plan.job.source}


def _notes(protocol: Protocol) -> list[str]:
    notes = []
    if protocol.turn_patterns:
        notes.append("calls and answers forced by structured output: shows the loop, measures no model")
    if protocol.crops is not Crops.REAL:
        notes.append(f"counterfactual crops: {protocol.crops.value} (what the model zoomed in on is not what it was shown)")
    return notes


@dataclass(frozen=True, slots=True)
class _StockImage:
    """The image of a stock lmms-eval row, made when it is read."""

    task: str
    doc_id: int
    data: str
    """The dataset's fingerprint."""
    messages: Callable[[], list[dict[str, Any]]] = field(compare=False, repr=False)
    """Makes the row's messages."""

    def read(self) -> bytes:
        """The image: the stored bytes of a file, or a PNG of the pixels that the task gives."""
        (image,) = _media(self.messages())[0]
        return ImageSource(path=image).read() if isinstance(image, str) else encode_png(image.convert("RGB"))


def _ours(request: Instance) -> bool:
    """Whether a request comes from a task of this package."""
    return isinstance(getattr(request.args[1], "__self__", None), CofTask)


def _job(model: Cof, request: Instance) -> Job:
    """A request of lmms-eval as a job; ours carry their question, stock ones are read from their messages."""
    _, to_messages, _, doc_id, task, split = request.args
    rows = model.task_dict[task][split]
    doc = rows[doc_id]
    if _ours(request):
        return Job(
            task=task,
            doc_id=doc_id,
            question=row_question(doc),
            resolution=parse_resolution(doc["resolution"]),
            source=row_source(doc),
            repeat=doc["repeat"],
        )
    images, texts = _media(to_messages(doc))
    if len(images) > 1:
        raise UsageError(f"task {task}, row {doc_id} has {len(images)} images; cof answers questions about one image")
    if not any(text.strip() for text in texts):
        raise UsageError(f"task {task}, row {doc_id} has no text; cof answers questions")
    name = f"{task}/{doc_id}"
    question = Question(name, task, "", name, "\n".join(texts), (), "")
    source = _StockImage(task, doc_id, str(rows._fingerprint), lambda: to_messages(rows[doc_id])) if images else None
    return Job(task=task, doc_id=doc_id, question=question, resolution=NATIVE, source=source)


def _command_line(requests: Sequence[Instance]) -> Any:
    """lmms-eval's arguments, which its tasks hold; None where it was called from Python without any."""
    tasks = (getattr(request.args[1], "__self__", None) for request in requests)
    return next((found for task in tasks if (found := getattr(task, "args", None)) is not None), None)


def _media(messages: list[dict[str, Any]]) -> tuple[list[Any], list[str]]:
    """(images, texts) of a row's messages."""
    parts = [part for message in messages for part in _parts(message["content"])]
    others = {part["type"] for part in parts} - {"image", "text"}
    if others:
        raise UsageError(f"cof shows one image and text; this task also has {', '.join(sorted(others))}")
    return [p["url"] for p in parts if p["type"] == "image"], [p["text"] for p in parts if p["type"] == "text"]


def _parts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _result(ours: bool, trajectory: Trajectory, run: Path) -> GenerationResult:
    """What lmms-eval gets: for our tasks a reply that names the trajectory, for stock tasks the plain answer."""
    tokens = TokenCounts(input_tokens=sum(t.prompt_tokens for t in trajectory.turns), output_tokens=trajectory.output_tokens)
    plain = trajectory.answer if trajectory.stop is Stop.ANSWERED else ""
    return GenerationResult(write_reply(trajectory, run) if ours else plain, tokens)
