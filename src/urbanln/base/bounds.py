"""Bounds that settings and options share."""

from __future__ import annotations

MAX_SEED = 2**32 - 1
"""What numpy, torch and scikit-learn all take as a seed."""
MOST = 1_000_000_000
"""Of anything one can count here."""
