"""One vector against one protocol: equal, or the way in which they differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ...agent.engine import ImagePart
from ...agent.protocols import Protocol
from ...agent.reply import SYNTAXES, CallSyntax
from ...agent.showing import look, size_shown
from ...agent.view import View
from ...core.errors import ImageError
from ...core.records import Call, Question, Stop
from ...core.resolution import NATIVE, PixelLimits, loaded_size, smart_resize
from ...judging import Card
from ...judging.judge import Judge
from .limits import limits_differ
from .script import Played, play
from .vectors import Line, rgb_hash, synthetic

QWEN25 = PixelLimits(28, 3136, 12_845_056)
"""Of Qwen2.5-VL's processor, in which peers of patches of 28 px are served."""
QWEN3 = PixelLimits(32, 65_536, 16_777_216)
"""Of Qwen3-VL's."""
_NEAR = 0.05
"""px; corners of regions are written down with four decimals."""

Way = tuple[str, str] | None
"""(the way of differing, the case in detail); None where both are equal."""


@dataclass
class Comparer:
    """Compares vectors with one protocol."""

    protocol: Protocol
    card: Card | None = None
    """The judge card that goes with it."""

    def __post_init__(self) -> None:
        self.engine = QWEN3 if self.protocol.factor == QWEN3.factor else QWEN25
        self.limits = self.protocol.limits(self.engine)
        self._looked: tuple[tuple[Any, ...], tuple[Image.Image, View]] | None = None

    def compare(self, line: Line) -> Iterator[Way]:
        """Every outcome of a line against ours; a `crop` line has one a call, a `limits` line one a setting."""
        yield from getattr(self, f"_{line['kind']}")(line)

    def _shown(self, line: Line) -> Iterator[Way]:
        native = (line["native"][0], line["native"][1])
        theirs = line.get("shown") if line["outcome"] == "image" else None
        try:
            loaded: list[int] | None = list(loaded_size(native, NATIVE, self.limits.factor, self.protocol.shown_fits))
            ours: list[int] | None = list(size_shown(native, NATIVE, self.protocol, self.limits))
        except ImageError:
            loaded = ours = None
        where = f"native {line['native']}: peer {theirs}, ours {ours}"
        if theirs is None or ours is None:
            yield ("one refuses the image", where) if theirs != ours else None
        elif "processor" in line:  # boxes lie on what is sent, the processor resizes it once more
            yield None if (loaded, ours) == (theirs, line["processor"]) else ("another size", where)
        else:
            yield None if ours == theirs else ("another size", where)

    def _crop(self, line: Line) -> Iterator[Way]:
        try:
            played = self._play(line, [*map(self._call_text, line["calls"]), self._final])
        except ImageError as error:
            yield "we refuse the image", str(error)
            return
        for turn, (arguments, theirs) in enumerate(zip(line["calls"], line["results"], strict=False)):
            where = f"native {line['native']}, call {turn + 1} of {len(line['calls'])} {json.dumps(arguments)}"
            yield _crop_differs(played, turn, theirs, where, self.engine)

    def _turn(self, line: Line) -> Iterator[Way]:
        turn = len(line["before"])
        try:
            played = self._play(line, [*line["before"], line["text"], self._final])
        except ImageError as error:
            yield "we refuse the image", str(error)
            return
        yield _turn_differs(played, turn, line, self.protocol)

    def _limits(self, line: Line) -> Iterator[Way]:
        yield from limits_differ(self.protocol, line["values"])

    def _judge(self, line: Line) -> Iterator[Way]:
        if self.card is None:
            yield "no judge card goes with this protocol", ""
            return
        judge = Judge(self.card)
        text = "What?\n" + "\n".join(f"({chr(65 + i)}) {option}" for i, option in enumerate(line["options"]))
        question = Question("0", "vectors", "", "", text, tuple(line["options"]), line["gold"])
        if line["asked"]:
            label = judge.label_of(line["judge_text"])
            ours = None if label is None else float(self.card.labels[label] == "correct")
            yield (
                None
                if ours == line["score"]
                else ("a judge's words", f"{line['judge_text']!r}: peer {line['score']}, ours {ours}")
            )
            return
        said = self.protocol.read(line["pred"]).answer or ""
        outcome = judge.by_rule(question, said).verdict.value
        ours = {"correct": 1.0, "wrong": 0.0}.get(outcome)
        yield None if ours == line["score"] else ("the rules", f"{line['pred']!r}: peer {line['score']}, ours {ours}")

    def _play(self, line: Line, replies: Sequence[str]) -> Played:
        key = (*line["native"], line["seed"])
        if self._looked is None or self._looked[0] != key:
            native = synthetic(*key)
            self._looked = (key, (native, look(native, NATIVE, self.protocol, self.limits)))
        native, view = self._looked[1]
        return play(self.protocol, self.engine, view, native, replies)

    def _call_text(self, arguments: dict[str, Any]) -> str:
        """A call as the peers were given it: the arguments as they are, right or wrong."""
        protocol = self.protocol
        if protocol.call_syntax is CallSyntax.GROUNDING or protocol.call_pattern.startswith("<grounding>"):
            return f"<think>look</think> <grounding>{json.dumps(arguments)}</grounding>"
        return "<think>look</think> " + SYNTAXES[protocol.call_syntax].write(protocol.tool, arguments, protocol.call_form)

    @property
    def _final(self) -> str:
        return "<think>done</think> <answer>B</answer>"


def _crop_differs(played: Played, turn: int, theirs: dict[str, Any], where: str, engine: PixelLimits) -> Way:
    added = played.added(turn)
    turns = played.trajectory.turns
    call = turns[turn].calls[0] if turn < len(turns) and turns[turn].calls else None
    ours = _said(call, added)
    if theirs["outcome"] == "error":
        return _error_differs(added, call, theirs, f"{where}: ours {ours}", engine)
    size = theirs.get("processor", theirs["size"])
    if size is None:  # the server refuses the tool's image
        return ("peer: an image that no server takes; ours: a crop", f"{where}: ours {ours}") if added else None
    if not added or call is None or call.crop is None or call.error:
        return "peer: a crop; ours: an error", f"{where}: peer region {theirs.get('region')}, ours {ours}"
    region = theirs.get("native_region")
    empty = region and (
        region[0] == region[2] or region[1] == region[3]
    )  # rounded to nothing: black in both, no box in a record
    if region and not empty and max(abs(x - y) for x, y in zip(call.crop.native_box, region, strict=True)) > _NEAR:
        return "another region", f"{where}: native px, peer {region}, ours {[round(v, 2) for v in call.crop.native_box]}"
    if list(call.crop.size) != size:
        return "same region, another size", f"{where}: peer {size}, ours {list(call.crop.size)}"
    exact = theirs.get("tool_size") or theirs["size"]
    if list(added[0].image.size) == exact and rgb_hash(added[0].image) != theirs["hash"]:
        return "same region and size, other pixels", where
    return None


def _error_differs(
    added: Sequence[ImagePart] | None, call: Call | None, theirs: dict[str, Any], where: str, engine: PixelLimits
) -> Way:
    if theirs.get("images"):
        if not added or len(added) != theirs["images"] or not (call and call.error):
            return "peer: the whole image for a bad call; ours: another outcome", where
        same = added[0].image.size == _processed(theirs["size"], engine)  # what the server's processor makes of it
        return None if same else ("the whole image in another size", f"{where}; peer {theirs['size']}")
    if added:
        return f"peer: {theirs['next']}; ours: a crop", where
    ends = "ends" in theirs["next"]
    if ends != (added is None):
        return ("peer: the rollout ends; ours: goes on", where) if ends else ("peer: goes on with a text; ours: ends", where)
    return None


def _processed(size: Sequence[int], engine: PixelLimits) -> tuple[int, int]:
    return smart_resize(size[0], size[1], engine)


def _said(call: Call | None, added: Sequence[ImagePart] | None) -> str:
    images = [list(part.image.size) for part in added] if added is not None else "the rollout ends"
    return f"{images} {call.error[:90] if call and call.error else ''}".strip()


def _turn_differs(played: Played, turn: int, line: Line, protocol: Protocol) -> Way:
    theirs, trajectory, added = line["outcome"], played.trajectory, played.added(turn)
    peer, answer = _outcome(theirs)
    if added is None:
        ours = "answer" if trajectory.stop is Stop.ANSWERED else "ends without answer"
    else:
        good = any(call.crop and not call.error for call in trajectory.turns[turn].calls)
        ours = "zoom" if good else "whole image" if added else "error text"
    where = f"{line['position']} {line['text'][:150]!r}"
    if peer != ours:
        return f"peer: {peer}; ours: {ours}", f"{where}: peer {answer[:60]!r}, ours {trajectory.answer[:60]!r}"
    if ours == "answer":
        said = trajectory.answer.strip()
        same = all(part.strip() in answer for part in said.split("\n")) if "answer_text" in theirs else said == answer.strip()
        return None if same else ("both answer, with other words", f"{where}: peer {answer[:80]!r}, ours {said[:80]!r}")
    return _images_differ(added or (), theirs, where)


def _outcome(theirs: dict[str, Any]) -> tuple[str, str]:
    """(what the peer's code does, the answer).

    A reply that is asked for again is taken to be the same every time, as at temperature 0; an empty answer is none.
    """
    result, answer = theirs["result"], theirs.get("answer", theirs.get("answer_text")) or ""
    if result == "asked again":
        answer = theirs.get("if_repeated", {}).get("answer", "")
    if result in ("zoom", "whole image", "error text"):
        return result, answer
    return ("answer" if answer.strip() else "ends without answer"), answer


def _images_differ(added: Sequence[ImagePart], theirs: dict[str, Any], where: str) -> Way:
    sizes = [list(part.image.size) for part in added]
    if sizes != theirs.get("sizes", []):
        return "other images", f"{where}: peer {theirs.get('sizes')}, ours {sizes}"
    comparable = "hashes" in theirs and sizes == theirs.get("tool_sizes", sizes) and theirs.get("sent_sizes", sizes) == sizes
    if comparable and [rgb_hash(part.image) for part in added] != theirs["hashes"]:
        return "same sizes, other pixels", where
    return None
