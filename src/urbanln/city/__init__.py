"""Where: the city folder with its regions, pictures and labels, and what pixels alone tell.

In: a table with coordinates and a folder of pictures (``ingest``), or nothing but a seed (``synthetic``).
Out: a :class:`~urbanln.city.store.City`, its tables checked, its pictures read. Called by captions, train,
embed (pictures) and by the stages. Start with ``store``: the city folder is what everything else stands on;
``ingest`` makes one, ``indicators`` reads its labels, ``extent`` says where rows lie; ``pictures`` opens
every picture for whoever looks at it, ``images`` checks files, ``pixels`` measures, ``pixel_cache`` keeps
decoded ones.
"""
