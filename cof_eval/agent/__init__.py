"""The zooming agent: one rollout, its conversation, its tool, how replies are read, and the protocols it follows."""
