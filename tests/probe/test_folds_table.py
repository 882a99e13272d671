"""Folds as a table: read back from disk it says exactly which side each region stood on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from urbanln.base.files import read_table, write_table
from urbanln.probe.splits import block_split, random_split
from urbanln.probe.written import SplitFolds, folds_table


def test_the_table_read_back_gives_the_folds_again(tmp_path: Path) -> None:
    lonlat = np.random.default_rng(0).random((120, 2)) * 0.2 + [10, 50]
    ids = np.array([f"r{i:03d}" for i in range(120)], dtype=object)
    blocks = [block_split(lonlat, edge_km=4, buffer_km=1, seed=s) for s in (0, 1)]
    some = [random_split(lonlat[20:])]
    table = folds_table(
        [
            SplitFolds(["carbon", "income"], "block", blocks, ids),
            SplitFolds(["age"], "random", some, ids[20:]),
        ]
    )
    assert len(table) == 2 * 5 * 120 + 5 * 100
    write_table(tmp_path / "folds.parquet", table, kind="folds")
    read = read_table(tmp_path / "folds.parquet", kind="folds")
    assert list(read.columns) == ["indicators", "split", "seed", "fold", "region_id", "side"]
    assert set(zip(read["indicators"], read["split"], strict=True)) == {
        ("carbon, income", "block"),
        ("age", "random"),
    }
    for split, made, names in (("block", blocks, ids), ("random", some, ids[20:])):
        for seed, folds in enumerate(made):
            for number, fold in enumerate(folds):
                one = read[(read["split"] == split) & (read["seed"] == seed) & (read["fold"] == number)]
                sides = dict(zip(one["region_id"], one["side"], strict=True))
                assert len(sides) == len(names)
                for side in ("train", "val", "test"):
                    expected = set(names[getattr(fold, side)])
                    assert {region for region, where in sides.items() if where == side} == expected
                nowhere = len(names) - len(fold.known) - len(fold.test)
                assert list(sides.values()).count("buffer") == nowhere


def test_the_table_of_a_big_city_is_lean() -> None:
    lonlat = np.random.default_rng(0).uniform(10, 50, size=(20_000, 2))
    ids = np.array([f"city/region-{i}" for i in range(20_000)], dtype=object)
    table = folds_table([SplitFolds(["a"], "random", [random_split(lonlat)], ids)])
    own = table.memory_usage(index=False)
    assert own.drop("region_id").sum() <= 100_000 * 8
    assert own["region_id"] < 100_000 * 4 + 20_000 * 200
