"""What every room may use and what knows none of them: errors, settings, files, tables, places.

In: plain values and files. Out: values that are checked, files that are whole. Called by every other room.
Start with ``errors`` (how anything is said to be wrong) and ``files`` (how anything is written); ``frames``
reads anybody's tables (CSV, Parquet, GeoPackage) for all rooms, with ``delimited``, ``encodings`` and
``written`` for those of text; ``columns`` checks single columns, ``ids`` reads ids, ``missing`` finds codes
for missing values; ``geometry`` reads shapes, ``space`` measures, ``autocorrelation`` and ``variogram`` say
how alike near places are; ``pictures`` makes stored bytes the one picture everybody sees, ``remote`` fetches
what is at an address; ``extras`` are the optional parts of the package. ``saying`` alone writes to
the terminal, ``outputs`` says where anything may be written. ``locks`` keeps two processes apart, ``owner``
tells living from dead ones and ``leftovers`` removes what these left; ``stopping`` is what signals do, and
``processes`` are those that work for another one.
"""
