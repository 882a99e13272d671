"""Captioners of known quality for synthetic cities, and a real server they answer behind."""
