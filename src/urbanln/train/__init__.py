"""Fitting: from a city's pictures and captions to a run folder.

In: cities and settings. Out: ``run.toml``, ``metrics.jsonl``, checkpoints, ``model/`` and ``teacher/``.
Never a label. Called by ``urbanln pretrain``, the demo and studies. Start with ``loop``: it is one page.
"""
