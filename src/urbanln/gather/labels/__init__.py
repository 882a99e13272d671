"""Labels as a source: one number per region, from a raster.

In: regions and a GeoTIFF. Out: a column of ``indicators.parquet`` with unit, year, source and licence. Start
with ``api``; ``settings`` is the section of a recipe, ``zonal`` sums pixels up. Nobody is asked.
"""
