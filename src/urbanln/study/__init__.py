"""A study: variants × training seeds × cities (or corpora) from one file, on equal ground, beside the floors.

In: a study file (``studies/``). Out: a folder of cached stages, tables and a page. Called by ``urbanln
study``. Start with ``run``; ``spec`` is the file, ``stages`` what it comes to, ``work`` what each stage
does.
"""
