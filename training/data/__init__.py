"""Training data: conversations, messages and the readers of every source, in the evaluation's own template."""
