"""`cof-eval data`: which benchmarks there are and where their data are; data checked without a model; one question shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UsageError, system_says
from .options import AllowOutside, BenchmarkModule, Data

if TYPE_CHECKING:
    from ..benchmarks import Rows
    from ..runs.console import Screen
    from ..runs.data_check import DataReport, Problem

app = typer.Typer(
    help="List benchmarks and where their data are; check data without a model; show a question.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def data(context: typer.Context, data: Data = None, benchmark_module: BenchmarkModule = None) -> None:
    """List every benchmark with its questions, size, licence and place, and what is missing. Fetches nothing."""
    _use(data or [], benchmark_module or [])
    if context.invoked_subcommand is None:
        _list()


@app.command()
def check(
    what: Annotated[
        str, typer.Argument(metavar="NAME[=PATH]", help="A benchmark, and where its data are.", show_default=False)
    ],
    problems: Annotated[int, typer.Option("--problems", min=0, help="Problems printed of each kind.")] = 20,
    benchmark_module: BenchmarkModule = None,
    allow_outside: AllowOutside = False,
) -> int:
    """Validate data row by row, without a model: every row, and every image decoded. Exit status 1 if anything is wrong."""
    from ..core.settings import use_allow_outside
    from ..runs.console import Screen
    from ..runs.data_check import check_data

    name, equals, _ = what.partition("=")
    use_allow_outside(allow_outside)
    _use([what] if equals else [], benchmark_module or [])
    screen = Screen(name="data")
    rows = _rows(name, screen)
    report = check_data(rows, lambda sources: screen.track(sources, "decoding images"))
    screen.clear()
    _say_report(screen, name, report, problems)
    return 1 if report.problems else 0


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A benchmark.", show_default=False)],
    row: Annotated[str, typer.Argument(help="The row's number, from 1, or a question's id.", show_default=False)],
    data: Data = None,
    out: Annotated[Path | None, typer.Option("--out", help="Where the image is written; by default NAME-ROW.png here.")] = None,
    benchmark_module: BenchmarkModule = None,
    allow_outside: AllowOutside = False,
) -> None:
    """Print a question as it is asked, and write its image with the annotated boxes drawn."""
    from ..core.errors import ImageError
    from ..core.files import write_whole
    from ..core.settings import use_allow_outside
    from ..runs.console import Screen
    from ..runs.data_show import drawn_png, find_item, question_lines

    use_allow_outside(allow_outside)
    _use(data or [], benchmark_module or [])
    screen = Screen(name="data")
    rows = _rows(name, screen)
    screen.clear()
    item = find_item(rows, row)
    for field, value in question_lines(item):
        screen.show(f"{_field(field):<12}{_indented(value)}")
    try:
        image, size = drawn_png(item)
    except ImageError as error:
        raise UsageError(f"the image of row {row} cannot be shown: {error}") from error
    file = out or Path(f"{name}-{_file_name(row)}.png")
    try:
        write_whole(file, image)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {system_says(error, 'choose another place with --out')}") from error
    screen.show(f"{'written':<12}{file} ({size[0]}x{size[1]} px natively, {_count(len(item.question.boxes), 'box', 'boxes')})")


def _use(pairs: list[str], modules: list[Path]) -> None:
    from ..core.settings import use_benchmark_modules

    use_benchmark_modules(modules)
    if pairs:
        from ..lmms.launch import use_data

        use_data(pairs)


def _rows(name: str, screen: Screen) -> Rows:
    """A benchmark's rows from this machine.

    Raises:
        UsageError: for an unknown benchmark, or one that is not on this machine.
        DataError: if its data cannot be used.
    """
    from ..benchmarks import BENCHMARKS
    from ..benchmarks.hub import without_fetching
    from ..core.errors import NotFetchedError
    from ..core.settings import data_folder

    if name not in BENCHMARKS:
        raise UsageError(f"unknown benchmark {name!r}; known: {', '.join(BENCHMARKS)}")
    screen.wait(f"reading {name}")
    try:
        with without_fetching():
            return BENCHMARKS[name].load(data_folder(name))
    except NotFetchedError as error:
        raise UsageError(
            f"{name} ({error.args[1]}) is not on this machine; a run fetches it, or name a copy: {name}=PATH"
        ) from error
    finally:
        screen.clear()


def _list() -> None:
    from ..benchmarks import BENCHMARKS
    from ..benchmarks.catalog import catalog
    from ..core.text import one_line
    from ..runs.console import Screen, table

    screen = Screen(name="data")
    made = table("benchmark", "data", "questions", "size", "licence", "place", "missing", words=2)
    for column in made.columns[4:]:
        column.justify, column.no_wrap = "left", not screen.narrow
    for entry in catalog(BENCHMARKS):
        cells = [entry.name, entry.state.value, f"{entry.questions:,}" if entry.questions else "–", entry.size or "–"]
        cells += [entry.licence or "–", entry.place or "–", entry.missing or "–"]
        made.add_row(*map(one_line, cells))
    screen.show(made)
    screen.show("\nA run fetches what is on the hub only. To use a copy on this machine, name it: --data NAME=PATH")
    for wrong in BENCHMARKS.unusable():
        screen.say(one_line(wrong))


def _say_report(screen: Screen, name: str, report: DataReport, most: int) -> None:

    screen.show(f"{'data':<12}{name}: {_count(report.questions, 'question')} about {_count(report.images, 'image')}")
    facts = ", ".join(f"{count:,} {what}" for what, count in report.facts.items() if count)
    screen.show(f"{'of them':<12}{facts}")
    if report.smallest and report.largest:
        small, large = (f"{width}x{height}" for width, height in (report.smallest, report.largest))
        screen.show(f"{'images':<12}from {small} to {large} px")
    if any(report.categories):
        screen.show(f"{'categories':<12}{_counted(report.categories)}")
    for title, found in (
        ("rows that cannot be asked", report.bad_rows),
        ("images that cannot be shown", report.unreadable),
        ("boxes outside their image", report.odd_boxes),
    ):
        _say_problems(screen, title, found, most)
    screen.show(_count(len(report.problems), "problem") if report.problems else "nothing is wrong")


def _count(number: int, one: str, more: str = "") -> str:
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"


def _counted(categories: dict[str, int], most: int = 12) -> str:
    from ..core.text import one_line

    said = [f"{category or '(none)'} {count:,}" for category, count in categories.items()]
    return one_line(", ".join(said[:most])) + (f", and {len(said) - most:,} more" if len(said) > most else "")


def _say_problems(screen: Screen, title: str, found: tuple[Problem, ...], most: int) -> None:
    from ..core.text import one_line

    if found:
        screen.show(f"\n{len(found):,} {title}")
        for problem in found[:most]:
            screen.show(f"  {one_line(problem.where)}: {one_line(problem.says)}")
        if len(found) > most:
            screen.show(f"  … and {len(found) - most:,} more (--problems {len(found)})")


def _field(name: str) -> str:
    from ..core.text import one_line

    return f"{one_line(name)[:11]}"


def _indented(value: str) -> str:
    """A text over several lines, each below the first; no character of it steers a terminal."""
    from ..core.text import printable

    return printable(value).replace("\n", f"\n{'':<12}")


def _file_name(text: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "_" for char in text)[:80]
