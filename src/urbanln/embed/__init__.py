"""Vectors: from a city's pictures to one vector per region.

In: a picture encoder and a city. Out: a table ``region_id, geometry, n_images, vector``; finished parts on
the way. Called by the stage ``embed``. Start with ``encode``; ``both`` has pictures and texts side by side.
"""
