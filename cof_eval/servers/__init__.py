"""OpenAI-compatible servers of one model, asked as one: by the engine `openai` and by a served judge."""

from .connect import connect, learn_versions, parse_urls
from .message import ReplyMessage, Said, ServedCall, join_thoughts
from .pool import Body, Completion, Pool, RetryPolicy
from .server import Server

__all__ = [
    "Body",
    "Completion",
    "Pool",
    "ReplyMessage",
    "RetryPolicy",
    "Said",
    "ServedCall",
    "Server",
    "connect",
    "join_thoughts",
    "learn_versions",
    "parse_urls",
]
