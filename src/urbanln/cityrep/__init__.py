"""The public benchmark CityRep: its protocol sample for sample, and beside it what it lacks.

In: a clone of CityRep, and rasters or tables of vectors of its cities. Out: scores by its splits, head and
metrics, the floors of the map under them, the same blocks with a buffer, intervals, ranks beside its eleven
models, a page. Called by the verb ``cityrep``. Start with ``run``; before it ``payloads``, ``splits``,
``draws``, ``head``, ``metrics``, ``vectors``, ``rasters``.
"""
