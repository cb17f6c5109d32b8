"""A Qwen3.5 of about two million random parameters, with its real architecture and its real chat template."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from cof_eval.engines.tiny_checkpoint import CORPUS, SPECIAL, VOCABULARY, build_tokenizer

CONTEXT = 131_072


def chat_template(name: str = "qwen3_5_think") -> str | None:
    """A chat template of the family as TRL ships it, to the letter; None if TRL is not installed."""
    location = importlib.util.find_spec("trl")
    if location is None or not location.submodule_search_locations:
        return None
    return (Path(location.submodule_search_locations[0]) / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def write_qwen35(folder: Path, *, seed: int = 0, template: str = "qwen3_5_think", moe: bool = False) -> Path:
    """Writes model, tokenizer, chat template and processor into `folder`; with `moe`, a mixture of four experts."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    tokenizer = build_tokenizer(CORPUS + "\n<function=image_zoom_in_tool> <parameter=bbox_2d>", VOCABULARY)
    tokenizer.chat_template = chat_template(template)
    patches = {"patch_size": 16, "temporal_patch_size": 2, "merge_size": 2}
    size = {"shortest_edge": 65_536, "longest_edge": 16_777_216}
    processor = Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(**patches, size=size),
        tokenizer=tokenizer,
        video_processor=Qwen3VLVideoProcessor(**patches),
        chat_template=tokenizer.chat_template,
    )
    processor.save_pretrained(folder)
    _model(tokenizer, seed, moe).save_pretrained(folder)
    return folder


def _model(tokenizer: Any, seed: int, moe: bool) -> Any:
    import torch
    from transformers import Qwen3_5ForConditionalGeneration, Qwen3_5MoeForConditionalGeneration

    end, pad = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        kind = Qwen3_5MoeForConditionalGeneration if moe else Qwen3_5ForConditionalGeneration
        model = kind(_config(tokenizer, moe)).eval()
        # Far apart logits keep greedy decoding the same whatever the batch; tokens that are no text never win.
        model.lm_head.weight.mul_(20)
        silent = [i for i in tokenizer.convert_tokens_to_ids(list(SPECIAL)) if i != end]
        model.lm_head.weight[[*silent, *range(len(tokenizer), model.lm_head.out_features)]] = 0
    model.generation_config.eos_token_id = [end, pad]
    model.generation_config.pad_token_id = pad
    return model


def _config(tokenizer: Any, moe: bool) -> Any:
    from transformers import Qwen3_5Config, Qwen3_5MoeConfig

    token = tokenizer.convert_tokens_to_ids
    text = {
        "vocab_size": -(-len(tokenizer) // 64) * 64,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "linear_key_head_dim": 128,
        "linear_value_head_dim": 128,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": token("<|endoftext|>"),
        "eos_token_id": token("<|im_end|>"),
        "rope_parameters": {
            "rope_type": "default", "rope_theta": 1e6, "mrope_section": [2, 1, 1], "mrope_interleaved": True, "partial_rotary_factor": 0.25,
        },
    }  # fmt: skip
    vision = {
        "depth": 2,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_heads": 4,
        "out_hidden_size": 128,
        "num_position_embeddings": 256,
    }
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "shared_expert_intermediate_size": 64}
    kind = Qwen3_5MoeConfig if moe else Qwen3_5Config
    return kind(
        text_config={**text, **experts} if moe else text,
        vision_config=vision,
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
    )
