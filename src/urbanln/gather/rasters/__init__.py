"""Satellite pictures out of GeoTIFFs: the ground of a region at stated metres per pixel.

In: regions and GeoTIFFs. Out: a JPEG per region. Start with ``api``; ``settings`` is the section of a recipe,
``picture`` brings pixels of any system to the picture's and numbers of any kind to eight bits.
"""
