"""Small parts: a plain way and ours in turn.

    python -m benchmarks ratios [--repeat 7] [--width 256] [--json FILE]

Text read to its last EOT, the teacher moved in place, ridge for many penalties. Equal results are checked
before anything is timed; medians, and the range of the ratios.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.harness import ends, facts, options, ratio, turns, write
from urbanln.model.clip import load_clip, new_clip
from urbanln.model.teacher import MomentumTeacher
from urbanln.model.tokens import train_clip_tokenizer
from urbanln.probe.ridge import ALPHAS, ridge
from urbanln.probe.splits import block_split

Case = tuple[str, Callable[[], object], Callable[[], object]]


def main(argv: Sequence[str] | None = None) -> None:
    """Time the cases and print a table."""
    asked = options(__doc__, argv, repeat=7, width=256, json=None)
    rows = []
    for what, plain, ours in (*text_cases(asked.width), ridge_case()):
        seconds, _ = turns(asked.repeat, plain, ours)
        plain_ms, ours_ms = (1e3 * np.median(seconds, axis=1)).tolist()
        row = {"what": what, "plain_ms": plain_ms, "ours_ms": ours_ms, **ratio(seconds[1], seconds[0])}
        rows.append(row)
    print(json.dumps(facts()))
    print(f"{'what':<58} {'plain ms':>9} {'ours ms':>9} {'ours/plain':>11} {'range':>13}")
    for row in rows:
        times = f"{row['plain_ms']:9.1f} {row['ours_ms']:9.1f}"
        print(f"{row['what']:<58} {times} {row['ratio']:11.2f} {ends(row['range']):>13}")
    write(asked.json, {**facts(), "rows": rows})


def text_cases(width: int) -> list[Case]:
    """Text read to its last EOT, not to all 248 positions; the teacher moved in place, not rebound."""
    sentence = "a wide avenue with tall grey blocks parked cars market stalls and a small park beside it"
    words = sentence.split()
    tokenizer = train_clip_tokenizer([sentence] * 3, 700)
    base = new_clip(tokenizer, image_size=32, patch=16, width=width, layers=6, heads=width // 32, dim=width)
    with tempfile.TemporaryDirectory() as folder:
        base.save(Path(folder) / "base")
        model = load_clip(Path(folder) / "base", context=248)
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, size=int(n))) for n in rng.normal(60, 12, size=32).clip(20, 110)]
    ids = model.tokenize(texts)
    length = ids.shape[1]
    padded = torch.nn.functional.pad(ids, (0, model.context - length), value=tokenizer.pad_token_id)

    @torch.inference_mode()
    def all_positions() -> torch.Tensor:
        return model.clip.get_text_features(input_ids=padded).pooler_output

    @torch.inference_mode()
    def to_the_last_eot() -> torch.Tensor:
        return model.encode_text(padded, normalize=False)

    torch.testing.assert_close(all_positions(), to_the_last_eot(), atol=1e-4, rtol=1e-4)
    teacher = MomentumTeacher(model, 0.995)

    @torch.no_grad()
    def rebind() -> None:
        for ours, theirs in zip(teacher.model.parameters(), model.parameters(), strict=True):
            ours.data = ours.data * 0.995 + theirs.data * 0.005

    return [
        (f"encode 32 texts, {length} of {model.context} positions used", all_positions, to_the_last_eot),
        ("momentum teacher: rebinding against in place", rebind, teacher.update),
    ]


def ridge_case() -> Case:
    """Ridge over all penalties on one fold: scikit-learn once per penalty against one decomposition."""
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    n, width = 4000, 512
    lonlat = rng.uniform([10, 50], [11, 50.6], size=(n, 2))
    vectors = rng.normal(size=(n, width)).astype("float32")
    target = vectors[:, :20].sum(axis=1) + rng.normal(size=n)
    fold = replace(block_split(lonlat, edge_km=5, buffer_km=1, folds=5, seed=0)[0], inner=None)

    def one_by_one() -> None:
        center, scale = vectors[fold.train].mean(axis=0), vectors[fold.train].std(axis=0)
        train, val = (vectors[fold.train] - center) / scale, (vectors[fold.val] - center) / scale
        for alpha in ALPHAS:
            Ridge(alpha=alpha).fit(train, target[fold.train]).predict(val)

    what = f"ridge, {len(ALPHAS)} penalties, {n:,} regions × {width}"
    return what, one_by_one, lambda: ridge(vectors, target, fold, 0)
