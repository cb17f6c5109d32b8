"""`cof-eval judge`: judge finished runs again, or audit judges on labelled pairs."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import UsageError
from ..core.settings import JUDGE_CONCURRENCY
from ..core.text import say
from .finish import finish

if TYPE_CHECKING:
    from ..judging.audit import JudgedPair
    from ..runs.progress_bar import CountBar
    from ..runs.rejudge import RejudgeProgress


def judge(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders to judge again.", show_default=False)] = None,
    card: Annotated[
        str, typer.Option("--card", help="Judge card: equivalence, equivalence_image, strict, or a folder.")
    ] = "equivalence",
    judge_url: Annotated[
        list[str] | None,
        typer.Option(
            "--judge-url", help="Judge's server; several of one judge: comma-separated. With several cards: once each."
        ),
    ] = None,
    calibrate: Annotated[
        list[str] | None, typer.Option("--calibrate", metavar="CARD", help="Audit this card on its labelled pairs; repeatable.")
    ] = None,
    rules: Annotated[
        list[Path] | None,
        typer.Option(
            "--rules", metavar="FILE", help="Try the rules on recorded replies: a JSONL file (.gz too) or a run folder."
        ),
    ] = None,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, help="Questions to the judge at once.")
    ] = JUDGE_CONCURRENCY,
) -> None:
    """Judge finished runs again without a GPU: fill in what is unscored, or use another card; or audit a card or the rules.

    Exit status: 0 all scored (an audit: nothing misjudged), 1 something unscored or misjudged, 2 wrong usage.
    """
    from ..core.settings import judge_url as default_url

    if sum(map(bool, (runs, calibrate, rules))) != 1:
        raise UsageError("name run folders to judge again, or a card with --calibrate, or a file with --rules; not both")
    if rules:
        raise typer.Exit(max(map(_try_rules, rules)))
    urls: list[str | None] = [*(judge_url or [])] or [default_url()]
    if calibrate:
        raise typer.Exit(asyncio.run(_calibrate(calibrate, urls, concurrency)))
    if len(urls) > 1:
        raise UsageError("judging a run takes one --judge-url; several servers of one judge are separated by commas")
    raise typer.Exit(max(_rejudge(run, card, urls[0], concurrency) for run in runs or []))


def _try_rules(path: Path) -> int:
    """Try the rules on one file of replies, or on a run's answers against its judge's verdicts."""
    from ..core.errors import RunError
    from ..judging.replies import load_replies
    from ..judging.rules_report import rule_on, rules_lines
    from ..runs.console import Screen
    from ..runs.rejudge import judged_replies

    try:
        replies = judged_replies(path) if path.is_dir() else load_replies(path)
    except RunError as error:
        raise UsageError(str(error)) from error
    with Screen().count(len(replies), "ruling") as bar:
        ruled = rule_on(replies, bar.advance)
    say("\n".join(rules_lines(ascii(str(path))[1:-1], ruled)))
    return int(any(each.disagrees for each in ruled))


def _rejudge(path: Path, card: str, url: str | None, concurrency: int) -> int:
    """Judge one run again and write its report."""
    from ..core.errors import RunError
    from ..judging.identity import same_name, set_name, who
    from ..runs.folder import load_run, load_settings, verdict_sets

    try:
        load_settings(path)
    except RunError as error:
        raise UsageError(str(error)) from error
    earlier = [one for one in verdict_sets(load_settings(path)) if one]
    done = asyncio.run(_judge_run(path, card, url, concurrency))
    outcomes = ", ".join(f"{n} {outcome}" for outcome, n in sorted(done.outcomes.items())) or "nothing was left to judge"
    data = load_run(path)
    used = set_name(data.settings["judge"])
    sets = ", ".join(dict.fromkeys(set_name(one) for one in verdict_sets(data.settings) if one))
    say(f"{path}: {done.total} distinct answers judged ({outcomes}); verdicts in use: {used}")
    if done.kept:
        say(f"{done.kept} scored rows would become unscored by the rules alone, so {used} stays in use")
    if other := same_name(data.settings["judge"], earlier):
        say(f"another judge has the served name of an earlier one: {who(other)} then, {who(data.settings['judge'])} now")
    say(f"verdict sets: {sets}; report another one with `cof-eval report {path} --judge CARD:MODEL`")
    return finish([data], path / "report")


async def _judge_run(path: Path, card: str, url: str | None, concurrency: int) -> RejudgeProgress:
    from ..core.settings import judge_api_key
    from ..judging import start_judge
    from ..runs.console import Screen
    from ..runs.rejudge import RejudgeProgress, rejudge

    judge = await start_judge(card, url, judge_api_key(url), concurrency=concurrency)
    try:
        with ExitStack() as stack:
            bars: list[CountBar] = []  # one, made when it is known how many answers there are

            def show(counts: RejudgeProgress) -> None:
                if not bars:
                    bars.append(stack.enter_context(Screen().count(counts.total, "judging")))
                bars[0].reach(counts.done)

            return await rejudge(path, judge, concurrency, RejudgeProgress(changed=show))
    finally:
        await judge.close()


async def _calibrate(cards: list[str], urls: list[str | None], concurrency: int) -> int:
    """Audit judges one after the other; several are compared."""
    from ..judging.audit import audit_lines, panel_lines, tally

    if len(urls) not in (1, len(cards)):
        raise UsageError(
            f"{len(cards)} cards and {len(urls)} judge URLs; give one --judge-url for all, or one for each --calibrate"
        )
    panel = {}
    for number, (card, url) in enumerate(zip(cards, urls * len(cards) if len(urls) == 1 else urls, strict=True), 1):
        name, judged = await _audit(card, url, concurrency)
        panel[name if name not in panel else f"{name} ({number})"] = judged
        say("\n".join([*audit_lines(name, judged), ""]))
    if len({tuple(each.pair for each in judged) for judged in panel.values()}) == 1:
        say("\n".join(panel_lines(panel)))
    else:
        say("The cards have different pairs: no majority and no kappa.")
    counts = [tally(name, judged) for name, judged in panel.items()]
    return int(any(count.false_accepts + count.false_rejects for count in counts))


async def _audit(card: str, url: str | None, concurrency: int) -> tuple[str, list[JudgedPair]]:
    from ..core.settings import judge_api_key
    from ..judging import load_pairs, pairs_folder, start_judge
    from ..judging.audit import judge_pairs
    from ..runs.console import Screen

    folder = pairs_folder(card)
    pairs = load_pairs(folder)
    judge = await start_judge(card, url, judge_api_key(url), concurrency=concurrency)
    try:
        with Screen().count(len(pairs), f"judging pairs of {judge.card.name}") as bar:
            judged = await judge_pairs(judge, pairs, folder, concurrency, bar.advance)
    finally:
        await judge.close()
    return f"{judge.card.name} · {judge.model or 'rules only'}", judged
