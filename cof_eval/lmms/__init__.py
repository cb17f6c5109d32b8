"""What lmms-eval calls, and how it is called: the model `cof`, the tasks, the launch."""
