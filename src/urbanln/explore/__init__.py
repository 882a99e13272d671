"""A map that answers: a page about cities whose regions, pictures, captions and vectors can be asked.

In: a ``Content`` of plain tables, and functions that read a picture or a query. Out: a server on this
machine, or the same page as files. Called by the stage ``explore``. Start with ``content`` (what there is),
then ``answers`` (what can be asked of it); ``search`` finds what is alike, ``words`` judges what a query
found, ``server`` and ``exporting`` hand it over, ``page`` is what browsers run.
"""
