"""Telling: one self-contained HTML page."""
