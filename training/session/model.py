"""The model that is trained: what of it changes, and how it becomes a checkpoint that vLLM and `cof-eval` run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from cof_eval.core.errors import UsageError
from cof_eval.engines.checkpoint import Checkpoint, load_checkpoint

from ..data.conversation import adopt_template
from ..recipe.recipe import Method, Precision, Recipe, Sharding

LANGUAGE_LAYERS = r".*language_model\..*\.(q|k|v|o|gate|up|down)_proj"
PROJECTOR_LAYERS = r".*visual\.merger\.mlp\.(0|2)"
"""Linear layers that get an adapter, by name; the vision tower's own are never matched."""
PROJECTOR = "visual.merger."
VISION = "visual."


def open_checkpoint(recipe: Recipe) -> Checkpoint:
    """The processor of the checkpoint to start from, with the contract's template and the recipe's pixel limits; no weights.

    Raises:
        UsageError: if it is no Qwen-VL checkpoint.
    """
    checkpoint = load_checkpoint(recipe.model, {"min_pixels": recipe.min_pixels, "max_pixels": recipe.max_pixels})
    if checkpoint.limits.counted:
        raise UsageError(
            f"{checkpoint.folder} is no Qwen-VL checkpoint; only those are trained here, others are evaluated only"
        )
    adopt_template(checkpoint.processor)
    return checkpoint


def load_weights(recipe: Recipe, folder: Path) -> Any:
    """The weights to start from, frozen but for what the recipe trains."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    small = recipe.machine.precision is Precision.BF16
    # Weights that are trained without DeepSpeed's 32-bit copies would lose small steps in 16 bits.
    copied = recipe.tune.method is Method.LORA or recipe.machine.sharding is not Sharding.NONE
    dtype = torch.bfloat16 if small and copied else torch.float32
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(str(folder), dtype=dtype)
    model.config.use_cache = False
    for name, weight in model.named_parameters():
        frozen = VISION in name and not (PROJECTOR in name and recipe.tune.projector)
        weight.requires_grad_(recipe.tune.method is Method.FULL and not frozen)
    return model


def adapter_config(recipe: Recipe) -> Any:
    """PEFT's configuration of the adapter; None where all weights are trained."""
    if recipe.tune.method is Method.FULL:
        return None
    from peft import LoraConfig

    layers = f"{LANGUAGE_LAYERS}|{PROJECTOR_LAYERS}" if recipe.tune.projector else LANGUAGE_LAYERS
    return LoraConfig(
        r=recipe.tune.rank,
        lora_alpha=recipe.tune.alpha,
        lora_dropout=recipe.tune.dropout,
        target_modules=layers,
        task_type="CAUSAL_LM",
    )


def write_merged(base: Path, adapter: Path, out: Path, *, dtype: str = "auto") -> None:
    """Write the base with the adapter added to its weights, as a checkpoint without any adapter.

    The sum is taken in 32 bits and stored in the base's own precision.

    Args:
        base: folder of the checkpoint that was started from.
        adapter: folder of the adapter.
        out: where to; `write_processor` completes it.
        dtype: what to store, a name of torch; `auto` for the base's own.
    """
    import torch
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForImageTextToText

    stored = AutoConfig.from_pretrained(str(base)).dtype if dtype == "auto" else getattr(torch, dtype)
    model = AutoModelForImageTextToText.from_pretrained(str(base), dtype=torch.float32)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    merged.to(stored or torch.float32).save_pretrained(str(out))


def write_processor(recipe: Recipe, base: Path, out: Path) -> None:
    """Complete a checkpoint: processor, tokenizer and chat template of the contract, and the base's generation settings.

    Its pixel limits are the wider of the base's own and the recipe's, so that evaluation can show what training showed.

    Raises:
        UsageError: if the base's processor does not load.
    """
    checkpoint = load_checkpoint(str(base))
    limits, processor = checkpoint.limits, adopt_template(checkpoint.processor)
    processor.image_processor.size = {
        "shortest_edge": min(limits.min_pixels, recipe.min_pixels),
        "longest_edge": max(limits.max_pixels, recipe.max_pixels),
    }
    processor.save_pretrained(str(out))
    generation = base / "generation_config.json"
    if generation.is_file():
        shutil.copyfile(generation, out / generation.name)
    if not (out / "config.json").is_file():
        raise UsageError(f"{out} has no config.json: the weights were not written there")
