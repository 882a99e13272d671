"""A procedural city with known causes: smooth fields and local details, pictures, true scenes, labels."""

from __future__ import annotations

from urbanln.city.synthetic.make import make_synthetic_city
from urbanln.city.synthetic.scene import VOCABULARY, read_scene, scene_path

__all__ = ["VOCABULARY", "make_synthetic_city", "read_scene", "scene_path"]
