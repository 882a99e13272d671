"""A procedural city with known causes: smooth fields and local details, pictures, true scenes, labels.

In: a number of regions and a seed. Out: a city folder like any other, with ``truth.parquet`` and a scene
beside each picture. Called by ``urbanln synthetic``, the demo and studies. Start with ``make``, which runs
the rest in order.
"""

from __future__ import annotations

from urbanln.city.synthetic.make import make_synthetic_city
from urbanln.city.synthetic.scene import VOCABULARY, read_scene, scene_path

__all__ = ["VOCABULARY", "make_synthetic_city", "read_scene", "scene_path"]
