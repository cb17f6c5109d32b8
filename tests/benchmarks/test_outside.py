"""Benchmarks from outside the package, and resolutions beyond the eight: by `cof-eval run`, and as tasks of lmms-eval's own."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from commands import Done, forked
from fake_server import FakeServer, serve

from cof_eval.benchmarks import SHIPPED, Benchmark, Registry, registry
from cof_eval.benchmarks.synthetic.scenes import write_scenes
from cof_eval.core.errors import DataError, UsageError
from cof_eval.core.resolution import SWEEP
from cof_eval.runs.folder import load_run

MODULE = (Path(__file__).parents[2] / "examples/benchmarks/doors.py").read_text()


@pytest.fixture
def module(tmp_path: Path) -> Path:
    file = tmp_path / "doors.py"
    file.write_text(MODULE)
    return file


def run(server: FakeServer, folder: Path, *more: object) -> Done:
    where = ("--engine", "openai", "--base-url", server.url, "--out", folder / "run")
    return forked("run", "--model", "by-name", *where, *more, folder=folder)


@pytest.mark.slow
class TestRun:
    def test_a_module_outside_the_package_runs_with_its_own_metrics_at_any_resolution(
        self, module: Path, tmp_path: Path
    ) -> None:
        with serve(reply=lambda asked: "<answer>B</answer>") as server:
            done = run(server, tmp_path, "--benchmark-module", module, "--benchmarks", "doors", "--resolutions", "512,224,300")
        assert done.status == 0, done.err
        ran = load_run(tmp_path / "run")
        assert {row.task for row in ran.rows} == {"cof_doors_512", "cof_doors_224", "cof_doors_300"}
        results = json.loads((tmp_path / "run/lmms_eval/results.json").read_text())["results"]["cof_doors_512"]
        assert (results["acc,none"], results["inside,none"]) == (0.5, 0.5)
        sweep = (tmp_path / "run/report/sweep.csv").read_text().splitlines()
        assert [line.split(",")[3] for line in sweep[1:] if ",overall," in line][-3:] == ["224", "300", "512"]
        for more, said, metrics in (((), 1, False), (("--benchmark-module", module), 0, True)):
            again = forked("report", tmp_path / "run", *more, "--out", tmp_path / f"again-{said}", folder=tmp_path)
            assert again.status == 0, again.err
            assert again.out.count("doors's own metrics are missing: its module is not loaded") == said
            assert (tmp_path / f"again-{said}" / "metrics.csv").is_file() == metrics

    def test_shipped_benchmarks_run_at_other_resolutions_next_to_the_eight(self, tmp_path: Path) -> None:
        scenes = write_scenes(tmp_path / "vstar", count=2, seed=0)
        with serve() as server:
            done = run(server, tmp_path, "--data", f"vstar={scenes}", "--resolutions", "336,512")
        assert done.status == 0, done.err
        ran = load_run(tmp_path / "run")
        assert {row.task: row.resolution for row in ran.rows} == {"cof_vstar_336": "336", "cof_vstar_512": "512"}
        assert {asked.images[0].width * asked.images[0].height <= 512**2 for asked in server.log} == {True}


@pytest.mark.slow
def test_tasks_are_made_for_lmms_evals_include_path(module: Path, tmp_path: Path) -> None:
    from lmms_eval.tasks import TaskManager

    cache = str(tmp_path / "cache")
    made = forked(
        "tasks",
        "--path",
        "--resolutions",
        "512",
        "--benchmarks",
        "vstar,doors",
        "--benchmark-module",
        module,
        folder=tmp_path,
        COF_CACHE=cache,
    )
    assert made.status == 0, made.err
    known = TaskManager(include_path=made.out.strip(), include_defaults=False)
    wanted = {"cof_vstar_512", "cof_doors_512", "cof_vstar_448", "cof_doors", *(f"cof_doors_{r.name}" for r in SWEEP)}
    assert wanted <= set(known.all_tasks)
    listed = forked("tasks", "--resolutions", "512", "--benchmarks", "vstar", folder=tmp_path, COF_CACHE=cache)
    assert "cof_vstar_512" in listed.out.split()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "expected a Python file"),
        ("import no_such_thing", "cannot be run (ModuleNotFoundError: No module named 'no_such_thing')"),
        ("1/0", "cannot be run (ZeroDivisionError"),
        ("raise SystemExit", "cannot be run (SystemExit"),
        ("x = 1", "defines no BENCHMARKS"),
        ("BENCHMARKS = {'a': 1}", "benchmark 'a' of"),
        (MODULE.replace('"doors": Bench', '"Doors": Bench'), "cannot be part of a task's name"),
        (MODULE.replace('"doors": Bench', '"vstar": Bench'), "there is one already"),
    ],
    ids=range(8),
)
def test_what_is_no_module_of_benchmarks_is_one_line(
    text: str | None, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("COF_BENCHMARK_MODULES", str(file))
    registry._load_file.cache_clear()
    with pytest.raises(UsageError) as raised:
        list(Registry(SHIPPED))
    assert says in str(raised.value)
    assert str(raised.value).count("\n") == 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("raise KeyError('x')", "cannot be loaded (KeyError: 'x')"),
        ("return 7", "cannot be loaded (TypeError"),
        ("return [7]", "returns a int; expected Items"),
        ("return []", "has no rows"),
    ],
)
def test_another_s_loader_fails_as_ours_do(body: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text(
        f"from cof_eval.benchmarks import Benchmark\ndef load(data):\n    {body}\nBENCHMARKS = {{'mine': Benchmark(load)}}"
    )
    monkeypatch.setenv("COF_BENCHMARK_MODULES", str(tmp_path / "mine.py"))
    registry._load_file.cache_clear()
    with pytest.raises(DataError) as raised:
        Registry(SHIPPED)["mine"].load(None)
    assert says in str(raised.value)


class TestPackages:
    @pytest.fixture(autouse=True)
    def entries(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = [
            EntryPoint("windows", "cof_eval.benchmarks.pope:POPE", registry.GROUP),
            EntryPoint("broken", "no_such_package:THING", registry.GROUP),
            EntryPoint("number", "math:pi", registry.GROUP),
            EntryPoint("vstar", "cof_eval.benchmarks.pope:POPE", registry.GROUP),
        ]
        monkeypatch.setattr(registry, "_entries", lambda: tuple(found))
        monkeypatch.delenv("COF_BENCHMARK_MODULES", raising=False)

    def test_another_packages_benchmark_is_found_by_its_entry_point(self) -> None:
        known = Registry(SHIPPED)
        assert list(known)[: len(SHIPPED)] == list(SHIPPED)
        assert list(known)[len(SHIPPED) :] == ["windows", "broken", "number"]
        assert known["windows"].metrics is SHIPPED["pope"].metrics
        assert isinstance(known["vstar"], Benchmark)
        assert "nowhere" not in known
        with pytest.raises(KeyError):
            known["nowhere"]

    @pytest.mark.parametrize(("name", "says"), [("broken", "cannot be loaded .ModuleNotFoundError"), ("number", "is a float")])
    def test_one_that_cannot_be_loaded_says_so_when_it_is_asked_for(self, name: str, says: str) -> None:
        with pytest.raises(UsageError, match=says):
            Registry(SHIPPED)[name]

    def test_a_name_that_is_taken_is_told_and_hides_nothing(self) -> None:
        (told,) = Registry(SHIPPED).unusable()
        assert "there is one already" in told
        assert Registry(SHIPPED)["vstar"] is SHIPPED["vstar"]
