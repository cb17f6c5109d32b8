"""A training session: its folder, model, progress, metrics and curves."""
