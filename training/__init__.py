"""How checkpoints are made: supervised fine-tuning and reinforcement learning, on the conversations that are evaluated."""
