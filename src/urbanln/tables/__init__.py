"""Tables of region vectors: ours, or anybody's, matched to the regions of cities.

In: files and frames keyed by region or by position. Out: ``region_id`` and ``vector`` for the regions there
are. Called by the stages ``probe`` and ``embed``; sees a city through its tables alone. Start with
``cities`` (what is read for whom); then ``columns`` (which columns are what), ``match`` (rows to regions),
``vectors`` (our own file).
"""
