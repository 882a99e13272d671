"""Checkpoints of other projects, to and from the one format that the rest of the package knows.

``state_dict`` reads a file of weights, ``open_clip`` translates names and reads the architecture off the
shapes, ``importing`` makes a CLIP folder of it.
"""
