"""How a turn is decoded, as fields of a chat request. All of it is always sent: a server that is not told uses its own.

vLLM takes what is left out from the checkpoint's generation config: temperature, top_p, top_k, min_p, repetition penalty, and from
0.31 on presence and frequency penalty too.
"""

from __future__ import annotations

from typing import Any

from .fields import ALSO
from .server import Server


def decoding_fields(
    server: Server,
    *,
    max_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    min_p: float = 0.0,
    repetition_penalty: float = 1.0,
    presence_penalty: float = 0.0,
    frequency_penalty: float = 0.0,
) -> dict[str, Any]:
    """Everything that decides how tokens are drawn, the seed and the texts that end a turn aside.

    Args:
        server: that gets the request; some call a field by another name too.
        max_tokens: of the reply.
        temperature: 0 for the likeliest token each time.
        top_p: tokens are drawn from the likeliest that make up this probability.
        top_k: tokens are drawn from so many of the likeliest; 0 for no limit.
        min_p: tokens need this fraction of the likeliest one's probability.
        repetition_penalty: 1 for none.
        presence_penalty: taken off the logit of a token that the reply holds.
        frequency_penalty: taken off for every time that the reply holds it.
    """
    fields: dict[str, Any] = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k or -1,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "presence_penalty": presence_penalty,
        "frequency_penalty": frequency_penalty,
    }
    return fields | {also: fields[name] for name, also in ALSO.get(server.owner, {}).items()}
