"""The engine without vLLM: turns that wait share a batch, and each gets what it would get alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from fake_server import tiny_checkpoint
from test_openai import image_part, request

from cof_eval.agent.engine import Engine, Request, Response
from cof_eval.agent.protocols import COF
from cof_eval.core.errors import EngineError, EngineUnusableError, UsageError
from cof_eval.core.records import Finish
from cof_eval.engines import EngineSettings, open_engine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory)


GREEDY = [
    request(image_part(seed=1), max_tokens=12),
    request(image_part(112, 84, seed=2), turns=2, max_tokens=12),
    request(max_tokens=12),
    request(image_part(28, 28, seed=3), image_part(56, 140, seed=4), turns=1, max_tokens=12),
]
SAMPLED = [request(image_part(seed=n), max_tokens=12, temperature=1.0, seed=n) for n in (7, 8)]


def answers(tiny: Path, asked: Sequence[Request], *, together: bool, **engine_args: Any) -> tuple[list[Response], list[int]]:
    """(the replies, the sizes of the batches)."""

    async def run() -> tuple[list[Response], list[int]]:
        engine, sizes = await opened(tiny, engine_args), []
        batch = engine._batch  # type: ignore[attr-defined]
        engine._batch = lambda waiting: sizes.append(len(waiting)) or batch(waiting)  # type: ignore[attr-defined]
        try:
            if together:
                return list(await asyncio.gather(*map(engine.generate, asked))), sizes
            return [await engine.generate(each) for each in asked], sizes
        finally:
            await engine.close()

    return asyncio.run(run())


async def opened(tiny: Path, engine_args: dict[str, Any]) -> Engine:
    settings = EngineSettings(pretrained=str(tiny), engine_args={"dtype": "float32", "device": "cpu"} | engine_args)
    engine = await open_engine("transformers", settings, COF)
    await engine.start()
    return engine


def said(replies: Sequence[Response]) -> list[tuple[str, Finish, int, int, int | None]]:
    return [(r.text, r.finish, r.prompt_tokens, r.output_tokens, r.visual_tokens) for r in replies]


def test_a_batch_gives_each_turn_what_it_gets_alone(tiny: Path) -> None:
    alone, ones = answers(tiny, GREEDY, together=False)
    shared, (size,) = answers(tiny, GREEDY, together=True)
    assert ones == [1] * 4
    assert size == 4
    assert said(shared) == said(alone)
    assert len({reply.text for reply in alone}) > 1
    assert [alone[0].visual_tokens, alone[2].visual_tokens] == [GREEDY[0].images[0].visual_tokens, 0]


def test_a_batch_is_never_larger_than_told_and_holds_only_turns_decoded_alike(tiny: Path) -> None:
    asked = [*GREEDY[:3], request(max_tokens=5), request(max_tokens=5, pattern="[ab]{5}")]
    replies, sizes = answers(tiny, asked, together=True, max_batch=2)
    assert sizes == [2, 1, 1, 1]
    assert len(replies) == 5
    assert set(replies[-1].text) <= set("ab")
    assert len(replies[-1].text) == 5


def test_turns_that_sample_are_decided_by_their_seeds_alone(tiny: Path) -> None:
    alone, _ = answers(tiny, SAMPLED, together=False)
    shared, sizes = answers(tiny, [GREEDY[0], *SAMPLED[::-1]], together=True)
    assert sizes == [1, 1, 1]
    assert said(shared[:0:-1]) == said(alone)
    assert alone[0].text != alone[1].text


def test_a_turn_that_fails_fails_no_other_of_its_batch(tiny: Path) -> None:
    async def run() -> list[Response | BaseException]:
        engine = await opened(tiny, {})
        batch = engine._batch  # type: ignore[attr-defined]

        def failing(waiting: Sequence[Any]) -> Any:
            if any(each.request is GREEDY[1] for each in waiting):
                raise RuntimeError("out of memory\nin two lines")
            return batch(waiting)

        engine._batch = failing  # type: ignore[attr-defined]
        try:
            return list(await asyncio.gather(*map(engine.generate, GREEDY[:3]), return_exceptions=True))
        finally:
            await engine.close()

    first, failed, last = asyncio.run(run())
    assert isinstance(failed, EngineError)
    assert str(failed) == "transformers failed: out of memory"
    assert isinstance(first, Response)
    assert isinstance(last, Response)


def test_an_unknown_argument_lists_the_known_ones(tiny: Path) -> None:
    with pytest.raises(UsageError, match="unknown max_num_seqs; known: attn_implementation, device, dtype, max_batch"):
        asyncio.run(opened(tiny, {"max_num_seqs": 4}))


def test_weights_that_do_not_load_are_one_line(tiny: Path, tmp_path: Path) -> None:
    for file in tiny.iterdir():
        content = b"damaged" if file.suffix == ".safetensors" else file.read_bytes()
        (tmp_path / file.name).write_bytes(content)
    with pytest.raises(EngineUnusableError, match="does not load") as caught:
        asyncio.run(opened(tmp_path, {}))
    assert "\n" not in str(caught.value)


def test_a_stop_string_ends_a_turn_and_stays_or_goes(tiny: Path) -> None:
    (whole,), _ = answers(tiny, [request(image_part(seed=1), max_tokens=24)], together=True)
    middle = len(whole.text) // 2
    ending = whole.text[middle : middle + 3]
    until = whole.text[: whole.text.index(ending)]
    asked = [request(image_part(seed=1), max_tokens=24, stop=(ending,), stop_kept=kept) for kept in (True, False)]
    kept, cut = answers(tiny, asked, together=False)[0]
    assert (kept.text, kept.finish) == (until + ending, Finish.STOP)
    assert (cut.text, cut.finish) == (until, Finish.STOP)
    assert kept.output_tokens < whole.output_tokens


def test_penalties_lower_what_a_reply_holds_already(tiny: Path) -> None:
    asked = [request(max_tokens=24, presence_penalty=presence) for presence in (0.0, 2.0)]
    asked += [request(max_tokens=24, frequency_penalty=2.0), request(max_tokens=24, presence_penalty=1e-9)]
    plain, present, frequent, hardly = (reply.text for reply in answers(tiny, asked, together=True)[0])
    assert hardly == plain
    assert len({plain, present, frequent}) >= 2
