"""A protocol against vectors files: counts by kind, and every way of differing with its reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...agent.protocols import Protocol
from ...core.errors import DataError
from ...judging import load_card
from .compare import Comparer
from .known import PEERS, Peer
from .vectors import Line, load_vectors

_NONE = Peer("")


@dataclass(frozen=True, slots=True)
class Difference:
    """One outcome that is not ours."""

    kind: str
    way: str
    name: str
    """Of the vector."""
    ident: str
    detail: str
    reason: str
    """Why it differs, where that is known."""


@dataclass(slots=True)
class Report:
    """What came of comparing one protocol."""

    protocol: str
    counts: Counter[str] = field(default_factory=Counter)
    """Outcomes by kind."""
    differing: list[Difference] = field(default_factory=list)
    elsewhere: Counter[str] = field(default_factory=Counter)
    """Lines of other scripts, which were passed over."""

    def differing_of(self, kind: str) -> int:
        """How many outcomes of this kind differ."""
        return sum(each.kind == kind for each in self.differing)


def check_protocol(protocol: Protocol, files: Sequence[Path], *, script: str | None = None) -> Report:
    """Compare a protocol with vectors.

    Args:
        protocol: any.
        files: vectors files.
        script: only lines whose script holds this; None for those that the protocol is meant for, all for one of a user's own.

    Raises:
        DataError: for a file that cannot be read, or without a line to compare.
    """
    peer = PEERS.get(protocol.name, _NONE)
    comparer = Comparer(protocol, load_card(peer.card) if peer.card else None)
    report = Report(protocol.name)
    for path in files:
        for line in load_vectors(path):
            if (peer.script if script is None else script) in str(line.get("script", "")):
                _compare(comparer, line, peer, report, path)
            else:
                report.elsewhere[str(line.get("script", "")).partition("@")[0]] += 1
    if not report.counts:
        scripts = ", ".join(report.elsewhere) or "none"
        raise DataError(
            f"no line to compare {protocol.name} with; scripts in these files: {scripts} (choose one with --script)"
        )
    return report


def _compare(comparer: Comparer, line: Line, peer: Peer, report: Report, path: Path) -> None:
    kind, name, ident = line["kind"], str(line.get("name", "")), str(line.get("id", ""))
    try:
        for way in comparer.compare(line):
            report.counts[kind] += 1
            if way is not None:
                key = way[0] if kind == "limits" else name
                report.differing.append(Difference(kind, way[0], name, ident, way[1], peer.reasons.get((kind, key), "")))
    except (KeyError, TypeError, ValueError, IndexError) as error:  # a line of the right kind with other contents
        raise DataError(
            f"vectors file {path}, line {ident or name!r} cannot be used: {type(error).__name__}: {error}"
        ) from error


def report_text(report: Report, *, show: int) -> str:
    """The table, then every way of differing: how often, why, and the first inputs."""
    lines = [f"{'kind':<8}{'n':>6}{'equal':>7}{'differing':>11}   protocol {report.protocol}"]
    for kind, count in report.counts.items():
        off = report.differing_of(kind)
        lines.append(f"{kind:<8}{count:>6}{count - off:>7}{off:>11}")
    ways: dict[tuple[str, str], list[Difference]] = {}
    for each in report.differing:
        ways.setdefault((each.kind, each.way), []).append(each)
    for (kind, way), found in sorted(ways.items(), key=lambda item: (item[0][0], -len(item[1]))):
        lines.append(f"  {kind}: {way}: {len(found)}")
        lines += [f"      why: {reason}" for reason in dict.fromkeys(each.reason for each in found) if reason]
        lines += [f"      {each.ident} {each.name!r}: {each.detail}" for each in found[:show]]
    for script, count in report.elsewhere.items():
        lines.append(f"{count} lines of {script or 'no script'} were passed over{_whose(script)}")
    return "\n".join(lines)


def _whose(script: str) -> str:
    names = [name for name, peer in PEERS.items() if peer.script and peer.script in script]
    return f": cof-eval protocols {names[0]}" if names else ""
