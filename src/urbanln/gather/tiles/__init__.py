"""Satellite pictures from map tiles: XYZ, TMS and WMTS addresses, and folders of such tiles.

In: regions. Out: a picture per region, the tile itself or a mosaic at a stated resolution. Start with
``api``.
"""
