"""lmms-eval's command line, as far as the model `cof` cannot follow it: refused or warned of.

lmms-eval prints its flags above its table whether or not a model follows them. One that would change numbers is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..core.errors import UsageError

_REFUSED: dict[str, str] = {
    "num_fewshot": "cof asks every question alone, without examples",
    "fewshot_as_multiturn": "cof asks every question alone, without examples",
    "system_instruction": 'the system text is the protocol\'s: change it with protocol_args={"system": …}',
    "gen_kwargs": 'decoding is the protocol\'s: change it with protocol_args={"temperature": …, "max_new_tokens": …}',
    "max_tokens": "cof answers all requests at once, so a budget would not stop it: use --limit",
}
"""What would change numbers, and does not."""

CHAT_TEMPLATE = "the checkpoint's chat template is always applied; leave --apply_chat_template out"

_WARNED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "use_cache": (
        bool,
        "lmms-eval's own response cache (--use_cache) is on: it would repeat the replies of rollouts that failed. Leave it out: the "
        "run folder holds everything that is finished",
    ),
    "cache_requests": (bool, "--cache_requests keeps requests of earlier rows: leave it out after any change of the data"),
    "batch_size": (lambda size: str(size) != "1", "--batch_size is not used: cof batches by concurrency=N in --model_args"),
    "max_batch_size": (bool, "--max_batch_size is not used: cof batches by concurrency=N in --model_args"),
    "device": (bool, "--device is not used: say it in engine_args, or with CUDA_VISIBLE_DEVICES"),
    "write_out": (
        bool,
        "--write_out prints lmms-eval's prompts; cof's, with its protocol, are in the report of the run folder",
    ),
    "check_integrity": (bool, "--check_integrity runs lmms-eval's own tests, not cof-eval's: see `cof-eval doctor`"),
    "launcher_args": (bool, "--launcher_args starts lmms-eval's judge; cof's is named by judge_url=URL in --model_args"),
    "agentic_trace_mode": (lambda mode: mode != "basic", "--agentic_trace_mode is not used: every turn is in the run folder"),
}
"""By flag: whether its value asks for something, and what to say."""


def check_flags(command_line: Any) -> list[str]:
    """What a command line asks for in vain.

    Args:
        command_line: lmms-eval's arguments; None if it was called from Python.

    Raises:
        UsageError: for a flag that would change numbers if it were followed.
    """
    for name, why in _REFUSED.items():
        if value := getattr(command_line, name, None):
            raise UsageError(f"--{name} {value} cannot be followed by the model cof: {why}. Leave it out")
    return [says for name, (asks, says) in _WARNED.items() if (value := getattr(command_line, name, None)) and asks(value)]


def followed_seed(command_line: Any, argument: int | None) -> int | None:
    """The seed that --seed says, the first of several (Python's `random`); None if it says none.

    Args:
        command_line: as above.
        argument: the model argument `seed`, if it was given.

    Raises:
        UsageError: if both name one, and they differ.
    """
    said = getattr(command_line, "seed", None)
    seed = said[0] if isinstance(said, list | tuple) and said else said
    if not isinstance(seed, int):
        return argument
    if argument is not None and seed not in (argument, _DEFAULT_SEED):
        raise UsageError(f"--seed {seed} and the model argument seed={argument} differ; give one of them")
    return seed if argument is None else argument


_DEFAULT_SEED = 0
"""lmms-eval's, and cof's."""
