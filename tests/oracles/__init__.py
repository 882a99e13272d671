"""Slow, obvious versions of the maths, written from the definitions, for tests to compare with."""
