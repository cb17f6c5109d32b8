"""A prompt that does not fit the context is told as such in each server's words; what only looks similar is not."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
from fake_server import serve
from fakes import subject

from cof_eval.agent.protocols import DIRECT
from cof_eval.agent.rollout import rollout
from cof_eval.core.records import Stop
from cof_eval.engines import EngineSettings, open_engine
from cof_eval.servers.overflow import CODES, WORDINGS, is_overflow

OVERFLOWS: list[tuple[int, str]] = [
    (
        400,
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (4488 in the messages, 512 in the completion).",
    ),
    (
        400,
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that `max_model_len` is no smaller than the number of text tokens plus multimodal tokens. For image inputs, the number of image tokens depends on the number of images",
    ),
    (
        400,
        "'max_tokens' or 'max_completion_tokens' is too large: 512. This model's maximum context length is 4096 tokens and your request has 4000 input tokens (512 > 4096 - 4000).",
    ),
    (
        400,
        "You passed 4097 input tokens and requested 512 output tokens. However, the model's context length is only 4096 tokens, resulting in a maximum input length of 3584 tokens.",
    ),
    (400, "Input length (5000) exceeds model's maximum context length (4096)."),
    (400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
    (
        400,
        "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000 tokens",
    ),
    (400, "the request exceeds the available context size. try increasing the context size or enable context shift"),
    (500, "the request exceeds the available context size, try increasing it"),
    (400, "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it"),
    (500, "context size exceeded"),
    (400, "input length exceeds the available context"),
    (500, "the prompt exceeds the available context"),
    (400, "the input length exceeds the context length"),
    (
        400,
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough.",
    ),
    (
        422,
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens and 512 `max_new_tokens`",
    ),
    (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000"),
    (400, "The input tokens 5000 exceeds session_len 4096"),
    (400, "input token length 5000 > session_len 4096"),
    (400, "prompt is too long: 210000 tokens > 200000 maximum"),
    (
        400,
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or `max_tokens` and try again",
    ),
    (400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    (400, "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens"),
    (400, "This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
    (400, "Your input exceeds the context window of this model. Please adjust your input and try again."),
    (400, "Please reduce the length of the messages or completion. context_length_exceeded"),
    (400, "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"),
    (400, "The prompt is too long: 40000, model maximum context length: 32767"),
    (400, "Input is too long for requested model."),
    (400, "Invalid request: Your request exceeded model token limit: 8192"),
    (400, "too many tokens: total number of tokens in the prompt cannot exceed 4081"),
    (413, "prompt token count of 70000 exceeds the limit of 64000"),
    (
        400,
        "litellm.ContextWindowExceededError: litellm.BadRequestError: ContextWindowExceededError: OpenAIException - too long",
    ),
    (400, "The prompt length 5000 should not exceed max_seq_len 4096"),
    (400, "Prompt too long; the context holds 4096 tokens"),
    (400, "number of tokens in the prompt exceeds the model's limit"),
    (400, "Range of input length should be [1, 30720]"),
    (400, "Prompt exceeds max length"),
]

OTHERS: list[tuple[int, str]] = [
    (
        429,
        "Request too large for gpt-4o in organization org on tokens per min (TPM): Limit 30000, Requested 31000. The input or output tokens must be reduced in order to run successfully.",
    ),
    (413, "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 8000"),
    (400, "At most 1 image(s) may be provided in one prompt."),
    (400, "image exceeds the maximum size of 5 MB: 6000000 bytes > 5242880 bytes"),
    (400, "Image is too large: 12000x9000 pixels exceed the limit"),
    (413, "Request Entity Too Large"),
    (413, "Payload too large"),
    (400, "max_tokens is too large: 50000. This model supports at most 4096 completion tokens, whereas you provided 50000."),
    (500, "Internal server error"),
    (400, "Unrecognized request argument supplied: top_k"),
    (400, "messages: too many images; the request exceeds 100 images"),
    (500, "input (5000 tokens) is too large to process. increase the physical batch size (current batch size: 512)"),
    (400, "messages.0.content.0.image.source.base64: image exceeds 5 MB maximum"),
    (429, "Rate limit reached: input tokens per minute exceeded"),
    (400, "You exceeded your current quota, please check your plan"),
    (400, "The image length and width of the input should be larger than 10"),
    (400, "one of the image dimensions exceed max allowed size: 8000 pixels"),
    (400, "string too long. Expected a string with maximum length 10485760"),
    (400, "Too many stop sequences: at most 4"),
    (400, "max_tokens must be greater than 0"),
    (400, "The number of images exceeds the limit; reduce the input"),
    (400, "unknown uuid 'png-ab'"),
    (500, "CUDA out of memory. Tried to allocate 2 GiB; the prompt length was 100"),
    (
        402,
        "This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 1000. To increase, visit settings and upgrade",
    ),
]


@pytest.mark.parametrize(("status", "says"), OVERFLOWS)
def test_a_full_context_is_known_by_its_words(status: int, says: str) -> None:
    assert is_overflow(status, says)


@pytest.mark.parametrize(("status", "says"), OTHERS)
def test_what_looks_similar_is_no_full_context(status: int, says: str) -> None:
    assert not is_overflow(status, says)


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_errors_own_name_is_enough(code: str) -> None:
    assert is_overflow(400, "Bad request", code)
    assert is_overflow(400, f"Bad request ({code})")


def test_every_wording_of_the_table_is_tried_here() -> None:
    said = [says for _, says in OVERFLOWS]
    unused = [name for name, pattern in WORDINGS.items() if not any(re.search(pattern, one, re.IGNORECASE) for one in said)]
    assert unused == []


@pytest.mark.slow
def test_a_hostile_text_is_searched_in_time_in_proportion_to_its_length() -> None:
    def cpu_s(text: str) -> float:
        started = time.thread_time()
        is_overflow(400, text)
        return time.thread_time() - started

    for unit in ("exceed ", "context length ", "image ", "prompt contains 1 tokens ", "input token count ", "over ", "a"):
        long, short = unit * (16_000 // len(unit)), unit * (4_000 // len(unit))
        if cpu_s(long) > 0.02:
            assert min(cpu_s(long) for _ in range(3)) < 8 * min(cpu_s(short) for _ in range(3)), unit


@pytest.mark.slow
@pytest.mark.parametrize(
    ("owner", "status", "says"),
    [
        ("vllm", 400, OVERFLOWS[0][1]),
        ("sglang", 400, "The input (5000 tokens) is longer than the model's context length (4096 tokens)."),
        ("llamacpp", 500, "the request exceeds the available context size, try increasing it"),
        ("tgi", 422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens"),
        ("openai", 400, "Your input is too large (context_length_exceeded)"),
        ("anthropic", 413, "prompt is too long: 210000 tokens > 200000 maximum"),
    ],
)
def test_a_rollout_stops_as_context_full_after_one_request(owner: str, status: int, says: str) -> None:
    async def stop(url: str) -> Stop:
        engine = await open_engine("openai", EngineSettings(pretrained="by-name", base_url=url), DIRECT)
        try:
            return (await rollout(subject(), engine, DIRECT)).stop
        finally:
            await engine.close()

    with serve(owner=owner, fault=lambda asked: (status, says)) as server:
        assert asyncio.run(stop(server.url)) is Stop.CONTEXT_FULL
    assert len(server.log) == 1
