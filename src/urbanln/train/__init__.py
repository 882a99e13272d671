"""Fitting: pairs, the loop, checkpoints."""
