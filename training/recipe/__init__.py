"""Recipes: what a training run is told, whether it fits the machine, and how it is launched."""
