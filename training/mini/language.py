"""Second stage: with the vision encoder fixed, the language model learns to look plates up, to place them, and to compare places.

Features of a pool of scenes are computed once. A sequence is one image and many short questions, so that most of what is computed
is taught; answers from thoughts are taught beside it without any image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from cof_eval.benchmarks.options import ANSWER_LETTER, choice_text
from cof_eval.benchmarks.vstar_mini import TRAINING
from cof_eval.mini import questions
from cof_eval.mini.world import ASPECT, COLOURS, NATIVE, Plate, Scene, place
from cof_eval.protocols import DIRECT
from cof_eval.records import Size

from . import speech
from .pixels import FACTOR, patches, shown
from .session import Session
from .vision import SIZE

IGNORED = -100
_FAINT = 0.1
"""Weight of what is said besides colours, digits and sides."""
_TELLING = (*COLOURS, *questions.SIDES, *"0123456789")


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Scenes shown at one size."""

    size: Size
    pool: int
    """Scenes whose features are kept."""
    images: int
    """In one step."""
    share: float
    """Of the steps."""


SMALL = (Views(size=SIZE, pool=2_000, images=4, share=1),)
ALL_SIZES = (
    Views(size=SIZE, pool=1_000, images=4, share=0.45),
    Views(size=(504, 392), pool=400, images=2, share=0.3),
    Views(size=(756, 588), pool=150, images=1, share=0.15),
    Views(size=NATIVE, pool=40, images=1, share=0.1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how fast."""

    stage: str
    """Names its checkpoint."""
    steps: int
    views: tuple[Views, ...] = SMALL
    turns: int = 10
    """Questions about each image."""
    full: float = 0.0
    """Share of the questions that are asked as in the benchmark, with options."""
    texts: int = 12
    """Questions without image in a step."""
    learning_rate: float = 2e-3
    warmup: int = 50


@dataclass(frozen=True, slots=True)
class Pool:
    """Scenes and what the vision encoder makes of them."""

    size: Size
    """Of the images, px."""
    scenes: list[Scene]
    features: torch.Tensor
    """(scenes, tokens, width)."""


def scene_with_one_of_each(rng: Random, size: Size, *, sides: tuple[float, float]) -> Scene:
    """A scene whose plates have eight different colours; sides in px at `size`."""
    plates: list[Plate] = []
    for colour in rng.sample(list(COLOURS), len(COLOURS)):
        dot = rng.choice([c for c in COLOURS if c != colour])
        place(plates, rng, colour=colour, dot=dot, side=sides[0] * (sides[1] / sides[0]) ** rng.random() / size[0])
    return Scene(tuple(plates), rng.getrandbits(32))


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
def fill_pool(model: Any, views: Views, *, seed: str, sides: tuple[float, float] = (6, 48)) -> Pool:
    """Draw scenes and encode them."""
    size, features = views.size, []
    rng, at_once = Random(f"{TRAINING}/{seed}/{size}"), max(1, 32 * SIZE[0] * SIZE[1] // (size[0] * size[1]))
    scenes = [scene_with_one_of_each(rng, size, sides=sides) for _ in range(views.pool)]
    for first in range(0, views.pool, at_once):
        values, grids = patches(
            [shown(scene, size, fine=1 if size == NATIVE else 2) for scene in scenes[first : first + at_once]]
        )
        tokens = model.model.visual(values, grid_thw=grids).pooler_output
        features.append(tokens.view(len(grids), -1, tokens.shape[-1]))
    return Pool(size, scenes, torch.cat(features))


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a conversation; the loss is taken on what is taught."""

    text: str
    taught: bool = False


class Speaker:
    """Turns conversations into batches for one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.image_token = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        self.pad = tokenizer.pad_token_id
        words = [form for word in _TELLING for form in (word, f" {word}")]
        self.telling = torch.tensor(sorted({ids[0] for word in words if len(ids := tokenizer(word)["input_ids"]) == 1}))

    def batch(self, conversations: Sequence[Sequence[Piece]]) -> dict[str, torch.Tensor]:
        """Token ids, labels and attention mask, padded on the right."""
        rows = [self._row(pieces) for pieces in conversations]
        longest = max(len(ids) for ids, _ in rows)
        ids = torch.tensor([ids + [self.pad] * (longest - len(ids)) for ids, _ in rows])
        labels = torch.tensor([labels + [IGNORED] * (longest - len(labels)) for _, labels in rows])
        mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows])
        return {"input_ids": ids, "labels": labels, "attention_mask": mask}

    def _row(self, pieces: Sequence[Piece]) -> tuple[list[int], list[int]]:
        ids: list[int] = []
        labels: list[int] = []
        for piece, found in zip(pieces, self.tokenizer([p.text for p in pieces])["input_ids"], strict=True):
            ids += found
            labels += found if piece.taught else [IGNORED] * len(found)
        return ids, labels

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The weighted loss; labels of telling tokens; and which of them are right."""
        logits, labels = logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
        taught = labels != IGNORED
        logits, labels = logits[taught], labels[taught]
        telling = torch.isin(labels, self.telling)
        weight = torch.where(telling, 1.0, _FAINT)
        each = functional.cross_entropy(logits, labels, reduction="none")
        right = logits.argmax(-1) == labels
        return (each * weight).sum() / weight.sum(), labels[telling], right[telling]


def opening(image_tokens: int) -> str:
    """A conversation's beginning, up to what is asked."""
    image = f"<|vision_start|>{'<|image_pad|>' * image_tokens}<|vision_end|>" if image_tokens else ""
    return f"<|im_start|>system\n{DIRECT.system}<|im_end|>\n<|im_start|>user\n{image}"


def exchange(question: str, answer: str, *, first: bool) -> tuple[Piece, Piece]:
    """A question and its answer, as the chat template writes them."""
    header = "" if first else "\n<|im_start|>user\n"
    return Piece(f"{header}{question}<|im_end|>\n<|im_start|>assistant\n"), Piece(f"{answer}<|im_end|>", taught=True)


def short_turns(scene: Scene, count: int, rng: Random) -> list[tuple[str, str]]:
    """Short questions about a scene's plates: the dot's colour, or the place."""
    made = []
    for _ in range(count):
        plate = rng.choice(scene.plates)
        if rng.random() < 0.6:
            made.append((f"What is the color of the dot on the {plate.colour} plate?", speech.seen(plate)))
        else:
            made.append((f"Where is the {plate.colour} plate?", speech.located(plate)))
    return made


def answer_turn(rng: Random) -> tuple[str, str, str]:
    """A question with options, the thought that was had, and the answer: what can be learned without an image."""
    colours = rng.sample(list(COLOURS), 2)
    one, two = (
        Plate(colour, rng.choice([c for c in COLOURS if c != colour]), rng.random(), ASPECT * rng.random(), 0.05, True)
        for colour in colours
    )
    if rng.random() < 0.6 or speech.cell(one)[0] == speech.cell(two)[0]:
        right = rng.randrange(4)
        question, options = questions.about_colour(one, right, rng)
        thought = speech.seen(one)
    else:
        right = rng.randrange(2)
        question, options = questions.about_sides(one, two, right)
        thought = f"{speech.located(one)} {speech.located(two)}"
    head, tail = speech.turn(thought, options[right]).split("<answer>")
    return choice_text(question, options, ANSWER_LETTER), f"{head}<answer>", tail


def run_model(
    model: Any, speaker: Speaker, batch: dict[str, torch.Tensor], features: torch.Tensor | None, size: Size = SIZE
) -> torch.Tensor:
    """Logits of a batch whose images, if any, have these features (images, tokens, width)."""
    ids = batch["input_ids"]
    embedded = model.get_input_embeddings()(ids)
    image = ids == speaker.image_token
    if features is not None:
        embedded = embedded.masked_scatter(image[..., None], features.flatten(0, 1))
    places = positions(ids, image, None if features is None else (size[1] // FACTOR, size[0] // FACTOR))
    out = model.model.language_model(
        input_ids=None, inputs_embeds=embedded, position_ids=places, attention_mask=batch["attention_mask"], use_cache=False
    )
    return torch.as_tensor(model.lm_head(out.last_hidden_state))


def positions(ids: torch.Tensor, image: torch.Tensor, grid: tuple[int, int] | None) -> torch.Tensor:
    """(3, batch, length) rotary positions where each row has one image of `grid` (rows, columns) at the same place, or none."""
    steps = torch.arange(ids.shape[1])
    if grid is None:
        return steps.expand(3, *ids.shape)
    first, count = int(image[0].int().argmax()), grid[0] * grid[1]
    y, x = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    seen = torch.stack([torch.zeros(count, dtype=torch.long), y.flatten(), x.flatten()]) + first
    after = steps[first + count :] - count + max(grid)
    row = torch.cat([steps[:first].expand(3, -1), seen, after.expand(3, -1)], dim=1)
    return row[:, None, :].expand(3, ids.shape[0], -1)


def train_language(model: Any, tokenizer: Any, session: Session, plan: Plan) -> None:
    """Train the language model in place, the vision encoder fixed, going on where the session stopped."""
    speaker = Speaker(tokenizer)
    pools: list[Pool] = []
    module = nn.ModuleDict({"language": model.model.language_model, "lm_head": model.lm_head})
    for step, optimizer in session.steps(
        plan.stage, module, steps=plan.steps, learning_rate=plan.learning_rate, warmup=plan.warmup
    ):
        rng = Random(f"{TRAINING}/{plan.stage}/{step}")
        pools = pools or [fill_pool(model, views, seed=plan.stage) for views in plan.views]
        (which,) = rng.choices(range(len(pools)), [views.share for views in plan.views])
        pool, chosen = pools[which], rng.sample(range(plan.views[which].pool), plan.views[which].images)
        batch = speaker.batch([_talk(_turns(pool.scenes[i], plan, rng), pool.features.shape[1]) for i in chosen])
        loss, said = measured(speaker, run_model(model, speaker, batch, pool.features[chosen], pool.size), batch["labels"])
        batch = speaker.batch([_answer(rng) for _ in range(plan.texts)])
        answers, answers_said = measured(speaker, run_model(model, speaker, batch, None), batch["labels"])
        optimizer.zero_grad()
        (loss + answers).backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        session.log({**said, "side": answers_said["side"]})


def _answer(rng: Random) -> list[Piece]:
    question, thought, answer = answer_turn(rng)
    asked, _ = exchange(question, "", first=True)
    return [Piece(opening(0) + asked.text + thought), Piece(f"{answer}<|im_end|>", taught=True)]


def _turns(scene: Scene, plan: Plan, rng: Random) -> list[tuple[str, str]]:
    """Questions about a scene: short ones, and as many in full as the plan says."""
    full = sum(rng.random() < plan.full for _ in range(plan.turns))
    turns = [*short_turns(scene, plan.turns - full, rng), *(full_turn(scene, rng) for _ in range(full))]
    rng.shuffle(turns)
    return turns


def full_turn(scene: Scene, rng: Random) -> tuple[str, str]:
    """A question as the benchmark asks it, and the right turn."""
    one, two = rng.sample(scene.plates, 2)
    if rng.random() < 0.6 or abs(one.x - two.x) < questions.LEAST_GAP:
        right = rng.randrange(4)
        question, options = questions.about_colour(one, right, rng)
        thought = speech.seen(one)
    else:
        right = rng.randrange(2)
        question, options = questions.about_sides(one, two, right)
        thought = f"{speech.located(one)} {speech.located(two)}"
    return choice_text(question, options, ANSWER_LETTER), speech.turn(thought, options[right])


def measured(speaker: Speaker, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, dict[str, float]]:
    """The loss, and the share of colours, digits and sides that were right."""
    loss, telling, right = speaker.loss(logits, labels)
    names = [speaker.tokenizer.decode([i]).strip() for i in telling.tolist()]
    groups: dict[str, Callable[[str], bool]] = {
        "colour": lambda n: n in COLOURS,
        "digit": str.isdigit,
        "side": lambda n: n in questions.SIDES,
    }
    said = {"loss": loss.item()}
    for group, belongs in groups.items():
        found = [ok for name, ok in zip(names, right.tolist(), strict=True) if belongs(name)]
        said[group] = sum(found) / len(found) if found else float("nan")
    return loss, said


def _talk(turns: list[tuple[str, str]], image_tokens: int) -> list[Piece]:
    pieces = [Piece(opening(image_tokens))]
    for number, (question, answer) in enumerate(turns):
        pieces += exchange(question, answer, first=number == 0)
    return pieces
