"""Captioners: servers, models, tables, and what pixels or true scenes tell."""
