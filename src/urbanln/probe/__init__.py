"""Prediction: floors, splits, heads, scores."""
