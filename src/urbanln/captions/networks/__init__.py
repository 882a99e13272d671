"""What needs torch among the captions: loaded by name, and only when it is used.

In: settings that name a model. Out: a captioner, a parser, a segmenter, a grounder or sentence vectors like
those that need none. Nobody imports this folder. Start with ``pretrained``, which loads models for the
rest.
"""
