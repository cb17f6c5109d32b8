"""The model's configuration and tokenizer: a Qwen2.5-VL in miniature that transformers and vLLM load.

Its vision encoder attends within windows of 112 px only, so that a native image of 1260x980 px stays affordable on a CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cof_eval.agent.protocols import COF_MINI, DIRECT
from cof_eval.benchmarks.synthetic import questions
from cof_eval.benchmarks.vstar_mini import TRAINING, question_text
from cof_eval.engines.tiny_checkpoint import CONTEXT, MAX_PIXELS, build_processor, build_tokenizer, config_of

from .wording import direct_turn, zoom_turn

VOCABULARY = 480
WIDTH = 128
"""Of the language model."""
VISION_WIDTH = 96
LAYERS, VISION_LAYERS = 4, 3


def write_start(folder: Path, *, seed: int = 0) -> Path:
    """Writes the untrained model with processor and tokenizer into `folder`; equal seeds give equal weights."""
    tokenizer = build_tokenizer(corpus(), VOCABULARY)
    build_processor(tokenizer, MAX_PIXELS).save_pretrained(folder)
    build_model(tokenizer, seed=seed).save_pretrained(folder)
    return folder


def build_model(tokenizer: Any, *, seed: int) -> Any:
    """The untrained model, in 32 bits, without touching the caller's random state."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    end, pad = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(build_config(tokenizer))
        _spread(model)
    model.generation_config.eos_token_id = [end, pad]
    model.generation_config.pad_token_id = pad
    return model


def _spread(model: Any) -> None:
    """Start the language model at the scale of its width: words far apart, and layers that say something from the first step.

    With the library's 0.02 throughout, a step of the optimizer moves an embedding by a tenth, and copying a word from the question is
    learned later.
    """
    for weight in model.model.language_model.parameters():
        if weight.dim() == 2:
            weight.data.normal_(0, WIDTH**-0.5)
    model.get_input_embeddings().weight.data.normal_(0, 1)
    model.lm_head.weight.data.normal_(0, 0.05)


def build_config(tokenizer: Any) -> Any:
    """The architecture: 1.2 million parameters; heads of 32, which vLLM's CPU attention takes."""
    text = {
        "hidden_size": WIDTH,
        "intermediate_size": 3 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": CONTEXT,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [4, 6, 6]},
    }
    vision = {
        "depth": VISION_LAYERS,
        "hidden_size": VISION_WIDTH,
        "intermediate_size": 2 * VISION_WIDTH,
        "num_heads": 3,
        "out_hidden_size": WIDTH,
    }
    return config_of(tokenizer, text, vision)


def corpus() -> str:
    """What the model reads and writes, for its tokenizer to learn."""
    asked = questions.make_questions(200, seed=f"{TRAINING}/corpus")
    lines = [DIRECT.system, "system user assistant", *(f"{question_text(a)}\n{direct_turn(a)}" for a in asked)]
    lines += [COF_MINI.system, *(zoom_turn(a.targets[0]) for a in asked)]
    return "\n".join(lines)
