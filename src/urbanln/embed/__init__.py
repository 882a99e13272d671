"""Vectors: pictures to regions, and their table."""
