"""Does a CLIP grounder tell what is in a picture from what is not? On a synthetic city the truth is known.

    python -m benchmarks grounding_auc [--model tiny] [--regions 60]

Every name of the synthetic vocabulary is looked for in every picture that could show it. The area under the
ROC curve is 0.5 for a coin and 1 for a grounder that ranks all present things above all absent ones. Over all
names together it also pays to score common names high without looking at a picture; so it is given within
names too, as the mean over names that some pictures show and others do not. About two minutes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.harness import markdown, options
from urbanln.captions.captioners.base import Picture, pictures_of
from urbanln.captions.refine.grounding import Grounder
from urbanln.captions.refine.parts import FelzenszwalbSegmenter, find_parts
from urbanln.captions.settings import RefineSettings
from urbanln.city.store import City
from urbanln.city.synthetic import make_synthetic_city
from urbanln.city.synthetic.scene import VOCABULARY, read_scene
from urbanln.stages.bridges import clip_grounder

_SEED = 3


def scores_of(
    grounder: Grounder, pictures: list[Picture], city: City, view: str, parts: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Truth (0 or 1) and score for each picture of a view (rows) and each name of it (columns)."""
    names = [name for name, thing in VOCABULARY.items() if view in thing.views]
    truth, scores = [], []
    for picture in (one for one in pictures if one.view == view):
        there = {thing["name"] for thing in read_scene(city.folder / picture.path)["objects"]}
        found = find_parts(picture.load(), RefineSettings(), FelzenszwalbSegmenter()) if parts else []
        truth.append([name in there for name in names])
        scores.append(grounder.ground(picture, [part.box for part in found], names))
    return np.array(truth, dtype=int), np.array(scores)


def within_names(truth: np.ndarray, scores: np.ndarray) -> float:
    """Mean area under the curve over names (columns) that some pictures (rows) show and others do not."""
    both = [n for n in range(truth.shape[1]) if 0 < truth[:, n].mean() < 1]
    return float(np.mean([roc_auc_score(truth[:, n], scores[:, n]) for n in both]))


def main(argv: Sequence[str] | None = None) -> None:
    """Make the city, score every name, print a table."""
    asked = options(__doc__, argv, model="tiny", regions=60)
    grounder = clip_grounder(asked.model)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        city = make_synthetic_city(Path(folder) / "city", regions=asked.regions, seed=_SEED)
        pictures = pictures_of(city)
        for view in ("satellite", "street"):
            for parts in (False, True):
                truth, scores = scores_of(grounder, pictures, city, view, parts)
                kept = float((scores >= grounder.threshold).mean())
                auc, within = roc_auc_score(truth.ravel(), scores.ravel()), within_names(truth, scores)
                names = [view, "whole and parts" if parts else "whole", str(truth.size)]
                rows.append([*names, f"{truth.mean():.2f}", f"{kept:.2f}", f"{auc:.3f}", f"{within:.3f}"])
    head = ["view", "looked at", "phrases", "in the picture", "kept at 0.5", "AUC, all names", "within names"]
    print(markdown(head, rows), end="")
