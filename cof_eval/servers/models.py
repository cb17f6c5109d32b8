"""The list of models that a server gives at `/v1/models`, as far as it is used."""

from __future__ import annotations

from typing import Annotated

import msgspec

from .decode import MOST_TOKENS, decode
from .transport import HttpReply

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class ServedModel(msgspec.Struct, frozen=True):
    """One model of a server."""

    id: Name
    """The name under which it is served."""
    owned_by: str | None = None
    """`vllm`, `sglang`, or a company."""
    root: str | None = None
    """The model behind that name: a path or a repository; several names of one model have the same."""
    max_model_len: Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)] | None = None


class _ModelList(msgspec.Struct, frozen=True):
    data: list[ServedModel]


def read_models(reply: HttpReply) -> list[ServedModel]:
    """The models in a reply: in `data`, or a bare list (Together).

    Raises:
        FaultError: if it is no list of models.
    """
    return decode(reply, _convert, "list of models", ("data",)).data


def _convert(raw: object) -> _ModelList:
    return msgspec.convert({"data": raw} if isinstance(raw, list) else raw, _ModelList)
