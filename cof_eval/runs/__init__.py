"""One run from its plan to its folder: preparation, checks before it, evaluation, judging again, single questions."""
