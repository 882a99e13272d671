"""The caption table after a vote, made some pictures at a time out of texts that lie on disk."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
import pytest
from tests.captions.test_consensus import ClauseParser
from tests.oracles.capture import HashedVectors

from urbanln.base.files import read_table, write_table
from urbanln.captions import table, voted
from urbanln.captions.captioners import recorded
from urbanln.captions.cleaning import clean
from urbanln.captions.run import Language, choose
from urbanln.captions.settings import CaptionSettings

_SAID = ("red roof", "roof", "grey car", "car", "sea", "roof on house", "edifice", "harbour", "")


def _voted(file: Path, out: Path) -> tuple[bytes, str, list[str]]:
    rows, note = recorded.read_named(file)
    cleaned = clean.clean_captions(rows, count_tokens=lambda texts: [len(text.split()) for text in texts])
    candidates = table.on_disk(cleaned.frame)
    language = Language(ClauseParser(), HashedVectors())
    write_table(out, choose(candidates, CaptionSettings(), language, None), kind="captions")
    return out.read_bytes(), note, cleaned.lines()


def test_the_file_is_the_same_whatever_was_in_memory_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(0)
    rows = [
        # By captioner, as tables often are: the texts of a picture lie far apart.
        (f"i{k}", f"c{captioner}", ". ".join(rng.choices(_SAID, k=3)))
        for captioner in range(4)
        for k in range(25)
    ]
    frame = pd.DataFrame([*rows, ("", "c0", "sea")], columns=["image", "captioner", "caption"])
    frame.to_csv(tmp_path / "said.csv", index=False)
    wanted = _voted(tmp_path / "said.csv", tmp_path / "wanted.parquet")
    chosen = read_table(tmp_path / "wanted.parquet", kind="captions")
    assert chosen["selected"].sum() == 25
    assert "1 without a picture's name left out" in wanted[1]
    for together in (1, 7):
        for module, name in (
            (voted, "TOGETHER"),
            (recorded, "_TOGETHER"),
            (clean, "_TOGETHER"),
            (table, "_SPOOLED"),
        ):
            monkeypatch.setattr(module, name, together)
        assert _voted(tmp_path / "said.csv", tmp_path / "again.parquet") == wanted
