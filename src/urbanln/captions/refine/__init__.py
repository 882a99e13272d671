"""Divide and conquer: parts of a picture are described, checked and merged into its description.

In: a picture, its captioner, perhaps a grounder. Out: a refined text, and an account of how it came about.
Called by ``captions.asking``. Start with ``flow``: one picture from first to last.
"""
