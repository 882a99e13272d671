"""From the world: a recipe and its place become a city, fetched politely and only once.

In: one RECIPE.toml (``recipe``, ``place``). Out: an ordinary city folder
(:class:`urbanln.city.store.City`), with ``gather.json`` and ``coverage.parquet`` beside its tables. Called by
the command line; torch-free. Start with ``source``, what a source of pictures or labels is, and ``run``,
which asks them all. ``fetching`` is the one client and its cache; ``tiles`` is the first source, and the
shape of the others: ``settings``, ``api`` (what is asked), ``parse`` (what answers say), ``picture`` (what is
made of them). ``mapillary`` and ``views`` are street views; ``rasters`` are pictures, ``labels`` numbers and
``embeddings`` other people's vectors, out of GeoTIFFs, which ``grids`` reads and ``cogs`` asks for.
"""
