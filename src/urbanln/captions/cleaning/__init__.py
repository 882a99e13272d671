"""Faults of captions: found, counted, mended or dropped before anything is scored.

In: texts. Out: texts and named flags. Called by ``captions.run`` and ``captions.audit``. Start with
``clean``.
"""
