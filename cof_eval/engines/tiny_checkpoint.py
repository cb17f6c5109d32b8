"""A Qwen2.5-VL of about 1.3 million random parameters, with its own tokenizer, that vLLM and transformers load.

Its image processor and prompt format are those of the real model, so sizes, visual tokens and turns come out the same;
its answers are noise. Its vision encoder attends within windows only, which keeps a 3840x2160 image affordable on a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

MAX_PIXELS = 3840 * 3840
CONTEXT = 131_072
VOCABULARY = 1_500
FACTOR = 28
"""Pixels a visual token spans along one side: patches of 14 px, merged two by two."""

_NAMES = (
    "endoftext im_start im_end object_ref_start object_ref_end box_start box_end quad_start quad_end "
    "vision_start vision_end vision_pad image_pad video_pad"
)
SPECIAL = tuple(f"<|{name}|>" for name in _NAMES.split())
"""Tokens that are no text, in Qwen2.5-VL's order."""
MARKUP = ("<tool_call>", "</tool_call>", "<think>", "</think>", "<answer>", "</answer>")
"""Tags that are one token each but are text."""

CHAT_TEMPLATE = """\
{% if messages[0]['role'] != 'system' %}
{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{% for message in messages %}
{{ '<|im_start|>' + message['role'] + '\\n' }}
{%- if message['content'] is string %}
{{ message['content'] }}
{%- else %}
{% for part in message['content'] %}
{% if part['type'] in ('image', 'image_url') %}
{{ '<|vision_start|><|image_pad|><|vision_end|>' }}
{%- elif part['type'] == 'text' %}
{{ part['text'] }}
{%- endif %}
{% endfor %}
{% endif %}
{{ '<|im_end|>\\n' }}
{%- endfor %}
{% if add_generation_prompt %}
{{ '<|im_start|>assistant\\n' }}
{%- endif %}
"""
"""Qwen2.5-VL's prompt format for texts and images (type `image` or `image_url`)."""

CORPUS = """
You are a helpful assistant that looks at a photograph and answers the user's question about it. Think first: describe
what is in view, decide whether a detail is too small to see, and only then give the final answer. Answer with the option's
letter from the given choices directly. Options: (A) red (B) green (C) blue (D) yellow. A. white B. black C. orange D. purple
What is the color of the small mug on the table? What is the material of the glove? Which number is printed on the jersey?
Is the bucket on the left or right side of the umbrella? The ball is on the left side of the flag. The kite is above the boat.
The hat is below the lamp. How many people are standing in front of the red car? What does the sign behind the window say?
The bottle is pink and the balloon is gray; there is a brown dog under the chair, and a bicycle next to the wall. Yes. No.
Question: can you read the text in the upper corner of the image? I cannot tell yet, so I will look closer at this region.
You may call one or more functions to assist with the query, or answer if no tools are needed. The signatures of the
available functions are listed within tools tags. Each function has a name, a description, a type and parameters with
properties; some are required, others optional. For every call return a json object with the name of the function and its
arguments within the tags, and nothing else. Format the arguments strictly as a JSON object. Zoom in on a specific region
of an image by cropping it with a bounding box: [x1, y1, x2, y2], where (x1, y1) is the top-left corner and (x2, y2) is
the bottom-right corner. The label or name of the object inside the specified box helps the reader. Coordinates are given
in pixels, or as numbers between zero and one, relative to the width and height of the original image; values beyond its
edges are clipped. The crop comes back as a new image, and you continue your reasoning with all earlier images in view.
{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [100, 200, 300, 400], "label": "the mug on the desk"}}
{"type": "function", "function": {"name": "image_zoom_in_tool", "description": "Zoom in", "parameters": {"type": "object",
"properties": {"bbox_2d": {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4, "description": "The
bounding box"}, "label": {"type": "string", "description": "The name of the object"}}, "required": ["bbox_2d"]}}}
# Tools: <tools> </tools> <tool_response> </tool_response> <grounding> </grounding> \\boxed{B} ... system user assistant
After this action the tool returned an error: the box is empty or lies outside the image; please analyze it and adjust
your next call. Reference answer, standard answer, model answer, response: correct or incorrect? Judge whether both mean
the same thing. Please reply with the single word or digit that says so: 1 or 0.
Street scenes: several pedestrians cross near a traffic light while a truck, two buses and a motorcycle wait behind it.
A woman wearing sunglasses, a striped shirt and black shoes carries her backpack past the bakery; a man with a silver watch
pushes a stroller. Flowers grow along the wooden fence; birds rest upon electric wires above the river, far away mountains
rise under heavy clouds. Indoors: kitchen shelves hold plates, cups, spoons, knives, bowls, glasses and a teapot; beside the
refrigerator hangs a calendar, a clock shows quarter past seven, and the newspaper lies open underneath a vase. Material:
wood, metal, plastic, leather, cotton, rubber, paper, stone, wool. Shapes: round, square, triangular, long, narrow. Pose:
sitting, walking, running, jumping, holding, looking. Count how many, compare sizes, read names, numbers, dates and prices.
Charts and documents: total revenue by year, percentage of respondents, legend, axis, title, table row and column, invoice
address, signature, page footer. Maps: north, south, east, west, road, bridge, airport, stadium, parking lot, swimming pool.
"""
"""What the tokenizer is trained on: the kinds of words and punctuation that prompts about images hold."""


def write_checkpoint(folder: Path, *, seed: int = 0, max_pixels: int = MAX_PIXELS) -> Path:
    """Writes model, tokenizer, chat template and image processor into `folder`; equal arguments give equal weights.

    Args:
        folder: where to; made if it is missing.
        seed: of the random weights.
        max_pixels: the image processor's cap on an image's area, px².

    Returns:
        The folder.
    """
    tokenizer = build_tokenizer(CORPUS, VOCABULARY)
    build_processor(tokenizer, max_pixels).save_pretrained(folder)
    _model(tokenizer, seed).save_pretrained(folder)
    return folder


def build_tokenizer(corpus: str, vocabulary: int) -> Any:
    """A byte-level BPE tokenizer trained on a text, with Qwen2.5-VL's special tokens beside at most `vocabulary` others."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.BPE())
    digits, pieces = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.pre_tokenizer = pre_tokenizers.Sequence([digits, pieces])
    words.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, min_frequency=1, show_progress=False)
    words.train_from_iterator(corpus.splitlines(), trainer)
    words.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    words.add_tokens([AddedToken(token, special=False, normalized=False) for token in MARKUP])
    return PreTrainedTokenizerFast(
        tokenizer_object=words,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def build_processor(tokenizer: Any, max_pixels: int) -> Any:
    """Qwen2.5-VL's processor with a tokenizer of ours."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    patches = {"patch_size": 14, "temporal_patch_size": 2, "merge_size": 2}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**patches, min_pixels=4 * FACTOR * FACTOR, max_pixels=max_pixels),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**patches),
        chat_template=CHAT_TEMPLATE,
    )


def _config(tokenizer: Any) -> Any:
    text = {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [4, 6, 6]},
    }
    vision = {
        "depth": 2,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_heads": 4,
        "out_hidden_size": 128,
    }
    return config_of(tokenizer, text, vision)


def config_of(tokenizer: Any, text: Mapping[str, Any], vision: Mapping[str, Any]) -> Any:
    """Qwen2.5-VL's configuration for a small model.

    Args:
        tokenizer: names the control tokens; the vocabulary is rounded up to a multiple of 64.
        text: sizes of the language model.
        vision: sizes of the vision encoder; its patches are those of `build_processor`.
    """
    from transformers import Qwen2_5_VLConfig

    token = tokenizer.convert_tokens_to_ids
    ends = {"bos_token_id": token("<|endoftext|>"), "eos_token_id": token("<|im_end|>")}
    patches = {"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "in_channels": 3}
    return Qwen2_5_VLConfig(
        text_config={"vocab_size": -(-len(tokenizer) // 64) * 64, **text, **ends},
        vision_config={**vision, **patches, "window_size": 112, "fullatt_block_indexes": []},
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=False,
    )


def _model(tokenizer: Any, seed: int) -> Any:
    """The random model, without touching the caller's random state."""
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    end, pad = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(_config(tokenizer)).eval()
        # Far apart logits keep greedy decoding the same whatever the batch; tokens that are no text never win.
        model.lm_head.weight.mul_(20)
        silent = [i for i in tokenizer.convert_tokens_to_ids(list(SPECIAL)) if i != end]
        model.lm_head.weight[[*silent, *range(len(tokenizer), model.lm_head.out_features)]] = 0
    model.generation_config.eos_token_id = [end, pad]
    model.generation_config.pad_token_id = pad
    return model
