"""OpenAI-compatible servers of one model, asked as one: by the engine `openai` and by a served judge."""

from .connect import connect, learn_versions
from .decoding import decoding_fields
from .facts import add_facts, pool_facts, recall_names
from .finish import finish_of
from .images import ImageFormat
from .message import ReplyMessage, Said, ServedCall, join_thoughts
from .negotiate import Body
from .pool import Completion, Pool, RetryPolicy
from .server import Server
from .urls import parse_urls, url_file

__all__ = [
    "Body", "Completion", "ImageFormat", "Pool", "ReplyMessage", "RetryPolicy", "Said", "ServedCall", "Server", "add_facts", "connect", "decoding_fields", "finish_of",
    "join_thoughts", "learn_versions", "parse_urls", "pool_facts", "recall_names", "url_file",
]  # fmt: skip
