"""Tables of region vectors: ours, or anybody's, matched to the regions of cities.

In: files and frames keyed by region or by position. Out: ``region_id`` and ``vector`` for the regions there
are. Called by the stages ``probe`` and ``embed``; sees a city through its tables alone. Start with
``cities`` (what is read for whom); then ``columns`` (a table's vectors and keys), and what it asks:
``choice`` (which columns are the vector), ``names`` (what names say), ``values`` (cells, codes for "no
data"), ``keys`` (whose a row is). ``match`` finds rows for regions, ``ids`` one id in several writings;
``told`` is the line, ``vectors`` our own file, ``flat`` the same for tools that read no lists.
"""
