"""Bounds that settings and options share."""

from __future__ import annotations

MAX_SEED = 2**32 - 1
"""What numpy, torch and scikit-learn all take as a seed."""
MOST = 1_000_000_000
"""Of anything one can count here."""
SHARES_OFF = 1e-3
"""How far the parts of shares may be from summing to one."""
SHARES_MOST_OFF = 0.1
"""The same of parts that were rounded, at most: what is off by more lacks a part."""
