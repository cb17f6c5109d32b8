"""OpenAI-compatible servers of one model, asked as one: by the engine `openai` and by a served judge."""

from .meet import meet, parse_urls
from .pool import Body, Completion, Patience, Pool
from .server import Server

__all__ = ["Body", "Completion", "Patience", "Pool", "Server", "meet", "parse_urls"]
