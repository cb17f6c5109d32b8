"""lmms-eval's flags: each is followed, left to lmms-eval, warned of, or refused; none of its whole command line is forgotten."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import pytest
from lmms_eval import __main__ as lmms_eval_main

from cof_eval.core.errors import UsageError
from cof_eval.lmms.flags import _REFUSED, _WARNED, check_flags, followed_seed
from cof_eval.lmms.model import Cof

pytestmark = pytest.mark.slow

FOLLOWED = {"model", "model_args", "seed", "repeats", "limit", "offset", "predict_only", "log_samples", "output_path", "tasks"}
OF_LMMS_EVAL = {
    *(
        "config",
        "log_samples_suffix",
        "wandb_log_samples",
        "swanlab_log_samples",
        "wandb_args",
        "swanlab_args",
        "hf_hub_log_args",
    ),
    *(
        "show_config",
        "include_path",
        "verbosity",
        "timezone",
        "trust_remote_code",
        "process_with_media",
        "process_docs_parallel",
    ),
    *("reasoning_tags", "tui", "baseline", "power_analysis", "effect_size", "alpha", "power", "correlation", "std_a", "std_b"),
    *("force_simple", "apply_chat_template"),
}
"""What lmms-eval does by itself, or refuses."""


@pytest.fixture(scope="module")
def defaults() -> Namespace:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["lmms-eval"])
        return lmms_eval_main.parse_eval_args()[1]


def test_every_flag_of_lmms_evals_command_line_is_accounted_for(defaults: Namespace) -> None:
    groups = [FOLLOWED, OF_LMMS_EVAL, set(_REFUSED), set(_WARNED)]
    assert set(vars(defaults)) == set().union(*groups)
    assert len(vars(defaults)) == sum(map(len, groups))


def test_its_defaults_ask_for_nothing(defaults: Namespace) -> None:
    assert check_flags(defaults) == []
    assert followed_seed(defaults, None) == 0


def test_without_a_command_line_nothing_is_asked_for() -> None:
    assert check_flags(None) == []
    assert (followed_seed(None, None), followed_seed(None, 3)) == (None, 3)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("num_fewshot", 5),
        ("gen_kwargs", "temperature=1"),
        ("system_instruction", "Be brief."),
        ("max_tokens", 10),
        ("fewshot_as_multiturn", True),
    ],
)
def test_what_would_change_numbers_is_refused(defaults: Namespace, flag: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"--{flag} .* cannot be followed by the model cof: .*. Leave it out"):
        check_flags(Namespace(**vars(defaults) | {flag: value}))


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(("use_cache", "x"), ("batch_size", "8"), ("batch_size", "auto"), ("device", "cuda:1"), ("write_out", True)),
        *(("check_integrity", True), ("launcher_args", "tp=8"), ("agentic_trace_mode", "full"), ("cache_requests", "true")),
        ("max_batch_size", 4),
    ],
)
def test_what_changes_no_number_is_warned_of(defaults: Namespace, flag: str, value: Any) -> None:
    (said,) = check_flags(Namespace(**vars(defaults) | {flag: value}))
    assert f"--{flag}" in said


@pytest.mark.parametrize(
    ("said", "argument", "seed"),
    [([7, 7, 7, 7], None, 7), ([7, 1, 2, 3], 7, 7), ([0, 1234, 1234, 1234], 5, 5), ([None, 1, 1, 1], None, None), (9, None, 9)],
)
def test_the_seed_is_followed(said: Any, argument: int | None, seed: int | None) -> None:
    assert followed_seed(Namespace(seed=said), argument) == seed


def test_two_seeds_are_refused() -> None:
    with pytest.raises(UsageError, match="--seed 7 and the model argument seed=5 differ"):
        followed_seed(Namespace(seed=[7, 7, 7, 7]), 5)


def test_a_run_says_the_seed_of_the_command_line_and_asking_for_a_template_says_why_not() -> None:
    model = Cof(pretrained="by-name", engine="openai", base_url="http://127.0.0.1:9/v1")
    model._follow(Namespace(seed=[7, 7, 7, 7]))
    assert model.settings.seed == 7
    for name in ("chat_template", "apply_chat_template"):
        with pytest.raises(UsageError, match="leave --apply_chat_template out"):
            getattr(model, name)
    model.close()
