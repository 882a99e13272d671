"""Labels as a source: one number per region, from a raster, points, shapes or a table.

In: regions and a file. Out: a column of ``indicators.parquet`` with unit, year, source and licence. Start
with ``api``, which makes a source of a section; ``settings`` is that section. ``rasters`` sums pixels up with
``zonal``. The others are made of files of this machine alone (``local``): ``points`` counts, ``shapes``
measures, ``joined`` matches ids. ``rows`` says which rows of a file count, ``ground`` what regions are on the
ground. Nobody is asked but for rasters at addresses.
"""
