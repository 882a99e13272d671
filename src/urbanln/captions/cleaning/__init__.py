"""Faults of captions: found, counted, mended or dropped before anything is scored."""
