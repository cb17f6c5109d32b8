"""Reinforcement learning: rollouts of the evaluation's own agent, their rewards, and the trainer."""
