"""`cof-eval ask`: one question about one image, its turns as they come, and a page of them."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.text import printable, say
from .options import BaseUrl, EngineArgs, EngineName, Lora, MaxPixels, Model, ProtocolArgs, ProtocolName, Seed, ServedName

if TYPE_CHECKING:
    from PIL.Image import Image

    from ..core.records import Call, ImageRef, Trajectory, Turn
    from ..runs.finding import Finding


def ask(
    image: Annotated[Path, typer.Argument(help="Image file.", show_default=False)],
    question: Annotated[str, typer.Argument(help="What to ask about it.", show_default=False)],
    model: Model,
    options: Annotated[str, typer.Option("--options", help="Choices, separated by |.")] = "",
    protocol: ProtocolName = "cof",
    protocol_args: ProtocolArgs = "{}",
    engine: EngineName = "vllm",
    base_url: BaseUrl = None,
    served_name: ServedName = None,
    lora: Lora = None,
    engine_args: EngineArgs = "{}",
    max_pixels: MaxPixels = None,
    resolution: Annotated[
        str, typer.Option("--resolution", help="At which the image is shown: 224 … 2560, 4k, native.")
    ] = "native",
    page: Annotated[
        Path | None, typer.Option("--page", help="HTML page to write; by default ask-<image>.html in this folder.")
    ] = None,
    seed: Seed = 0,
) -> None:
    """Ask one question about one image; print the turns as they come, and write them as an HTML page.

    Exit status: 0 answered, 1 not answered, 2 wrong usage.
    """
    from ..agent.protocols import parse_protocol
    from ..core.resolution import parse_resolution
    from ..core.settings import parse_model_args, quiet_engines
    from ..report.ask_page import render_page
    from ..runs.ask import ask as put
    from ..runs.ask import make_question

    quiet_engines()
    settings = parse_model_args(
        {
            "pretrained": model,
            "protocol": protocol,
            "protocol_args": protocol_args,
            "engine": engine,
            "base_url": base_url,
            "served_name": served_name,
            "lora": lora,
            "engine_args": engine_args,
            "max_pixels": max_pixels,
            "seed": seed,
        }
    )
    how = parse_protocol(settings.protocol, settings.protocol_args)
    target = page or Path(f"ask-{image.stem}.html")
    _check_page(target)
    asked = asyncio.run(
        put(
            settings,
            how,
            make_question(question, [option.strip() for option in options.split("|")] if options else []),
            image,
            parse_resolution(resolution),
            on_shown=lambda shown, native, findings: _say_shown(image, shown, native, findings, how.name),
            on_turn=_Printer().say_turn,
        )
    )
    _write(target, render_page(asked, model=settings.pretrained, resolution=resolution))
    _say_end(asked.trajectory, target)
    raise typer.Exit(0 if asked.trajectory.stop.value == "answered" else 1)


def _check_page(target: Path) -> None:
    """Refuse a page that could not be written, before anything is asked."""
    from ..core.errors import UsageError

    if not target.parent.is_dir():
        raise UsageError(
            f"the page {target} cannot be written: there is no folder {target.parent}; choose another place with --page"
        )


def _write(target: Path, text: str) -> None:
    from ..core.errors import UsageError, system_says

    try:
        target.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(
            f"the page {target} cannot be written ({system_says(error, 'choose another place with --page')})"
        ) from error


def _say_shown(image: Path, shown: Image, native: ImageRef, findings: Sequence[Finding], protocol: str) -> None:
    say(f"{image.name}: {native.size[0]} × {native.size[1]} px, shown at {shown.width} × {shown.height}, protocol {protocol}")
    for finding in findings:
        if finding.level.value != "ok":
            say(str(finding), err=True)


class _Printer:
    """Prints turns, each as it ends."""

    def __init__(self) -> None:
        self._turns = self._crops = 0

    def say_turn(self, turn: Turn) -> None:
        """Print one turn: thought, call, crop, answer."""
        from ..runs.ask import reply_pieces

        self._turns += 1
        say(f"\nturn {self._turns}  ({turn.output_tokens} tokens, {turn.engine_s:.1f} s)")
        for piece in reply_pieces(turn.text):
            _line(piece.kind, piece.text)
        for call in turn.calls:
            for kind, text in self._outcome(call):
                _line(kind, text)

    def _outcome(self, call: Call) -> Iterator[tuple[str, str]]:
        if call.error:
            yield "error", call.error
        if call.crop:
            self._crops += 1
            width, height = call.crop.size
            place = ", ".join(f"{value:.0f}" for value in call.crop.native_box)
            instead = f" ({call.instead} in place of what was asked for)" if call.instead else ""
            yield f"crop {self._crops}", f"{width} × {height} px of ({place}) of the native image{instead}"
        elif call.instead:
            yield "crop", call.instead
        elif not call.error:
            yield "call", "not executed"


def _line(kind: str, text: str) -> None:
    """One piece next to its kind; control characters, which could steer a terminal, are replaced."""
    shown = printable(text)
    lines = [part for line in shown.splitlines() for part in textwrap.wrap(line, 100) or [""]]
    for number, line in enumerate(lines):
        say(f"  {kind if number == 0 else '':<9}{line}")


def _say_end(trajectory: Trajectory, page: Path) -> None:
    say("")
    _line("stop", trajectory.stop.value + (f": {trajectory.error}" if trajectory.error else ""))
    if trajectory.answer:
        _line("answer", trajectory.answer)
    _line("page", str(page))
