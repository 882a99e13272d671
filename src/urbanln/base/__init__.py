"""What every room may use and what knows none of them: errors, settings, files, tables, places.

In: plain values and files. Out: values that are checked, files that are whole. Called by every other room.
Start with ``errors`` (how anything is said to be wrong) and ``files`` (how anything is written); ``frames``
reads anybody's tables (CSV, Parquet, GeoPackage) for all rooms, ``columns`` checks single columns,
``pictures`` makes stored bytes the one picture everybody sees, ``remote`` fetches what is at an address,
``space`` measures.
"""
