"""Street views from Mapillary: n per region, spread over its streets.

In: regions, and a token in the environment. Out: pictures with date, direction and who took them; panoramas
cut into four views. Start with ``api``.
"""
