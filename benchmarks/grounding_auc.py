"""Does a CLIP grounder tell what is in a picture from what is not? On a synthetic city the truth is known.

    python -m benchmarks.grounding_auc --model tiny --regions 60

Every name of the synthetic vocabulary is looked for in every picture that could show it. The area under the
ROC curve is 0.5 for a coin and 1 for a grounder that ranks all present things above all absent ones. About
two minutes.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score

from urbanln.captions.captioners.base import Box, Picture, pictures_of
from urbanln.captions.refine.grounding import ClipGrounder, Grounder
from urbanln.captions.refine.parts import FelzenszwalbSegmenter, find_parts
from urbanln.captions.settings import RefineSettings
from urbanln.city.store import City
from urbanln.city.synthetic import make_synthetic_city
from urbanln.city.synthetic.scene import VOCABULARY, read_scene
from urbanln.model.clip import LongClip, load_clip


def clip_grounder(clip: LongClip, name: str) -> ClipGrounder:
    """A grounder by a CLIP of this package."""

    def similarity(images: list[Image.Image], phrases: list[str]) -> np.ndarray:
        with torch.no_grad():
            pixels = torch.stack([clip.preprocess(image) for image in images])
            cosines = clip.encode_image(pixels) @ clip.encode_text(clip.tokenize(phrases)).T
        found: np.ndarray = cosines.numpy()
        return found

    return ClipGrounder(similarity, model=name, scale=float(clip.logit_scale.detach().exp()))


def scores_of(grounder: Grounder, pictures: list[Picture], city: City, view: str, parts: bool) -> np.ndarray:
    """Rows of truth (0 or 1) and score for each picture and name of a view."""
    names = [name for name, thing in VOCABULARY.items() if view in thing.views]
    rows: list[tuple[float, float]] = []
    for picture in pictures:
        if picture.view != view:
            continue
        there = {thing["name"] for thing in read_scene(city.folder / picture.path)["objects"]}
        boxes: list[Box] = []
        if parts:
            found = find_parts(picture.load(), RefineSettings(), FelzenszwalbSegmenter())
            boxes = [part.box for part in found]
        scores = grounder.ground(picture, boxes, names)
        rows += [(float(name in there), score) for name, score in zip(names, scores, strict=True)]
    return np.array(rows)


def main() -> None:
    """Make the city, score every name, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--regions", type=int, default=60)
    parser.add_argument("--seed", type=int, default=3)
    args = parser.parse_args()

    grounder = clip_grounder(load_clip(args.model, context=None), args.model)
    with tempfile.TemporaryDirectory() as folder:
        city = make_synthetic_city(Path(folder) / "city", regions=args.regions, seed=args.seed)
        pictures = pictures_of(city)
        print(
            "| view | looked at | phrases | in the picture | kept at 0.5 | AUC |\n|---|---|---|---|---|---|"
        )
        for view in ("satellite", "street"):
            for parts in (False, True):
                truth, scores = scores_of(grounder, pictures, city, view, parts).T
                kept, auc = float((scores >= grounder.threshold).mean()), roc_auc_score(truth, scores)
                where = "whole and parts" if parts else "whole"
                print(f"| {view} | {where} | {len(truth)} | {truth.mean():.2f} | {kept:.2f} | {auc:.3f} |")


if __name__ == "__main__":
    main()
