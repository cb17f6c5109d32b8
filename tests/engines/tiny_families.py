"""LLaVA-OneVision, InternVL and Gemma 3 of about a million random parameters: real architectures and processors, whose rules are not Qwen's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from cof_eval.engines.tiny_checkpoint import CORPUS, VOCABULARY, build_tokenizer

CONTEXT = 32_768
_TEMPLATE = """\
{{ START }}
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' }}
{%- for part in message['content'] %}
{{- 'IMAGE' if part['type'] == 'image' else part['text'] }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
_TEXT = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT}  # fmt: skip
_VISION = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 4}


def _tokenizer(image: str, tokens: Mapping[str, str], start: str = "") -> Any:
    """Our tokenizer, with a family's image tokens.

    Args:
        image: what the chat template writes for an image.
        tokens: the family's names of its special tokens.
        start: what the chat template writes first; the tokenizer adds it again if it may.
    """
    made = build_tokenizer(CORPUS, VOCABULARY)
    made.add_tokens([AddedToken(token, special=True, normalized=False) for token in {*tokens.values(), start} - {""}])
    if start:
        made.bos_token = start
    template = _TEMPLATE.replace("IMAGE", image).replace("{{ START }}", "{{ '" + start + "' }}")
    made.chat_template = template
    for name, token in tokens.items():
        made.init_kwargs.setdefault("extra_special_tokens", {})[name] = token
    made._set_model_specific_special_tokens(special_tokens=dict(tokens))
    return made


def _write(folder: Path, config: Any, processor: Any, kind: str) -> Path:
    """Random weights of a configuration, far apart logits, and the processor."""
    import torch
    import transformers

    tokenizer = processor.tokenizer
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = getattr(transformers, kind)(config).eval()
        model.lm_head.weight.mul_(20)
        silent = tokenizer.convert_tokens_to_ids([token for token in tokenizer.all_special_tokens if token != "<|im_end|>"])
        model.lm_head.weight[[*silent, *range(len(tokenizer), model.lm_head.out_features)]] = 0
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    processor.save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def _ends(tokenizer: Any) -> dict[str, int]:
    token = tokenizer.convert_tokens_to_ids
    size = -(-len(tokenizer) // 64) * 64
    return {"vocab_size": size, "bos_token_id": token("<|endoftext|>"), "eos_token_id": token("<|im_end|>"), "pad_token_id": token("<|endoftext|>")}  # fmt: skip


def write_llava_onevision(folder: Path) -> Path:
    """A tile of 56 px gives 16 visual tokens; an image alone is cut into up to four tiles, beside a small copy."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    tokenizer = _tokenizer("<image>", {"image_token": "<image>", "video_token": "<video>"})
    token, pinpoints = tokenizer.convert_tokens_to_ids, [[56, 112], [112, 56], [112, 112]]
    processor = LlavaOnevisionProcessor(
        image_processor=LlavaOnevisionImageProcessor(size={"height": 56, "width": 56}, image_grid_pinpoints=pinpoints),
        tokenizer=tokenizer,
        video_processor=LlavaOnevisionVideoProcessor(size={"height": 56, "width": 56}),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=tokenizer.chat_template,
    )
    config = LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **_TEXT, **_ends(tokenizer)},
        vision_config={
            "model_type": "siglip_vision_model",
            **_VISION,
            "image_size": 56,
            "patch_size": 14,
            "vision_use_head": False,
        },
        image_token_index=token("<image>"),
        video_token_index=token("<video>"),
        image_grid_pinpoints=pinpoints,
    )
    return _write(folder, config, processor, "LlavaOnevisionForConditionalGeneration")


def write_internvl(folder: Path) -> Path:
    """A tile of 56 px gives 4 visual tokens; an image is cut into up to four tiles."""
    from transformers import GotOcr2ImageProcessor, InternVLConfig, InternVLProcessor, InternVLVideoProcessor

    names = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = _tokenizer("<IMG_CONTEXT>", names)
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size={"height": 56, "width": 56}, crop_to_patches=True, max_patches=4),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size={"height": 56, "width": 56}),
        image_seq_length=4,
        chat_template=tokenizer.chat_template,
    )
    config = InternVLConfig(
        text_config={"model_type": "qwen2", **_TEXT, **_ends(tokenizer)},
        vision_config={**_VISION, "image_size": [56, 56], "patch_size": [14, 14]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    return _write(folder, config, processor, "InternVLForConditionalGeneration")


def write_gemma3(folder: Path) -> Path:
    """Every image becomes 4 visual tokens, whatever its size; the template begins a prompt with the tokenizer's own first token."""
    from transformers import Gemma3Config, Gemma3ImageProcessor, Gemma3Processor

    names = {"image_token": "<image_soft_token>", "boi_token": "<start_of_image>", "eoi_token": "<end_of_image>"}
    tokenizer = _tokenizer("<start_of_image>", names, start="<bos>")
    tokenizer.add_tokens(["\n" * count for count in range(1, 5)])  # vLLM looks them up
    token = tokenizer.convert_tokens_to_ids
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": 56, "width": 56}),
        tokenizer=tokenizer,
        image_seq_length=4,
        chat_template=tokenizer.chat_template,
    )
    config = Gemma3Config(
        text_config={**_TEXT, **_ends(tokenizer), "head_dim": 32, "sliding_window": 512},
        vision_config={**_VISION, "image_size": 56, "patch_size": 14, "vision_use_head": False},
        mm_tokens_per_image=4,
        image_token_index=token("<image_soft_token>"),
        boi_token_index=token("<start_of_image>"),
        eoi_token_index=token("<end_of_image>"),
        tie_word_embeddings=False,
    )
    return _write(folder, config, processor, "Gemma3ForConditionalGeneration")


WRITERS: Mapping[str, Callable[[Path], Path]] = {
    "llava_onevision": write_llava_onevision,
    "internvl": write_internvl,
    "gemma3": write_gemma3,
}
"""By `model_type`."""
