"""Other people's vectors as a source: one vector per region, beside the city, to be a rival in a probe.

In: regions, and rasters with a vector per pixel or a table of vectors. Out: ``embeddings/NAME.parquet`` in
the city's folder (:mod:`urbanln.tables.vectors`). Start with ``api``; ``settings`` is the section of a
recipe, ``means`` averages pixels over regions, ``tessera`` reads Tessera's arrays.
"""
