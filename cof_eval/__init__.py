"""cof-eval: how well, and at what cost, vision-language models that zoom answer questions about images.

Start reading at `docs/architecture.md`: it shows the rooms, and the way of one question through them.
"""

__version__ = "0.1.0"
