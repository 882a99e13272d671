from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from urbanln.base.errors import InputError
from urbanln.base.files import hash_bytes
from urbanln.captions.asking.ledger import Ledger, ask_key
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.captioners.base import Answer, Ask, Identity, Picture, Prompt
from urbanln.captions.refine.flow import Tools, refine_picture
from urbanln.captions.refine.parts import Segment
from urbanln.captions.scene_graph import SceneGraph
from urbanln.captions.settings import RefineSettings
from urbanln.captions.show import show_picture

HOSTILE = '<script>alert(1)</script><img src=x onerror="steal()"> \x1b[2J \u202e gnp.exe & "quotes"'


class Page(HTMLParser):
    """Tags, where they point to, and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.words += data


class Quarters:
    version = "quarters"

    def segment(self, image: Image.Image) -> list[Segment]:
        return [Segment((0.0, 0.0, 0.5, 0.5), 0.25, 1.0), Segment((0.5, 0.5, 1.0, 1.0), 0.25, 0.9)]


class Nouns:
    version = "nouns"

    def parse(self, texts: list[str]) -> list[SceneGraph]:
        return [SceneGraph(tuple(w for w in ("house", "pool", "<b>") if w in text)) for text in texts]


class Houses:
    version, threshold = "houses", 0.5

    def ground(self, picture: Picture, boxes: object, phrases: list[str]) -> list[float]:
        return [0.9 if phrase == "house" else 0.1 for phrase in phrases]


@pytest.fixture
def picture() -> Picture:
    file = io.BytesIO()
    Image.linear_gradient("L").resize((120, 80)).convert("RGB").save(file, "PNG")
    data = file.getvalue()
    return Picture("r1_sat", "satellite", "images/r1.png", hash_bytes(data), lambda: data)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "captions.sqlite") as opened:
        yield opened


def fill(ledger: Ledger, picture: Picture, name: str, describe: str, **answers: str) -> None:
    """Describe and refine as a run does, every answer through the ledger."""
    identity = Identity(name, "r1")
    texts = {"describe": describe, "local": "a house", "merge": "A house. A pool.", "repair": "A house."}

    async def ask(one: Ask) -> Answer:
        answer = Answer({**texts, **answers}[one.stage], "stop", 100, 12, 0.002, 1.5)
        ledger.record(ask_key(one, identity), one, identity, answer)
        return answer

    async def run() -> None:
        prompt = Prompt("Describe it.", "0" * 12)
        first = await ask(Ask(picture, prompt=prompt))
        kit = Tools(RefineSettings(dilation=0.0), Prompts(), Nouns(), Houses(), Quarters(), ledger)
        await refine_picture(picture, first, captioner=name, ask=ask, tools=kit)

    asyncio.run(run())


def table(picture: Picture) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": [picture.image_id, "another"], "rank": [0, 0], "caption": ["A house.", "Elsewhere."],
            "captioner": ["one", "one"], "selected": [True, True], "weight": [1.0, 1.0],
            "agreement": [0.71, float("nan")], "margin": [0.1, float("nan")], "n_candidates": [2, 1],
            "tokens": pd.array([5, None], dtype="Int64"),
        }
    )  # fmt: skip


def test_the_page_holds_everything_and_needs_nothing(
    ledger: Ledger, picture: Picture, tmp_path: Path
) -> None:
    fill(ledger, picture, "one", "A house by a pool.")
    fill(ledger, picture, "two", "A house and a", local="unclear")
    out = show_picture(ledger, picture, out=tmp_path / "page.html", captions=table(picture))
    text = out.read_text(encoding="utf-8")
    page = Page(text)
    for words in ("A house by a pool.", "A house. A pool.", "Repaired", "houses, threshold 0.5", "unclear"):
        assert words in page.words
    assert "Elsewhere" not in page.words
    assert re.search(r"pool\s*describe\s*0.1\s*rejected", page.words)
    assert re.search(r"house\s*describe\s*0.9\s*kept", page.words)
    # The picture once, two parts of it; nothing from anywhere else.
    assert page.tags.count("img") == 3
    assert all(link.startswith("data:image/jpeg;base64,") for link in page.links)
    # Each of two boxes is drawn twice, dark under bright.
    assert page.tags.count("rect") == 4
    assert 'x="50.0" y="50.0" width="50.0" height="50.0"' in text
    assert "cut off" in page.words
    assert show_picture(ledger, picture, out=tmp_path / "again.html", captions=table(picture)).read_text(
        encoding="utf-8"
    ) == text  # fmt: skip


def test_hostile_texts_are_words_only(ledger: Ledger, picture: Picture, tmp_path: Path) -> None:
    fill(ledger, picture, HOSTILE, HOSTILE + "<b>house", local=HOSTILE, merge=HOSTILE + "<b>", repair=HOSTILE)
    captions = table(picture).assign(caption=HOSTILE, captioner=HOSTILE)
    text = show_picture(ledger, picture, out=tmp_path / "page.html", captions=captions).read_text(
        encoding="utf-8"
    )
    page = Page(text)
    assert "script" not in page.tags
    assert "b" in page.tags  # the template's own
    assert page.handlers == []
    assert "<script>alert(1)</script>" in page.words
    assert not set("\x1b\u202e") & set(text)
    assert "Content-Security-Policy" in text


def test_a_megabyte_of_text_does_not_fill_the_page(ledger: Ledger, picture: Picture, tmp_path: Path) -> None:
    fill(ledger, picture, "one", "a, " * 400_000)
    assert show_picture(ledger, picture, out=tmp_path / "page.html").stat().st_size < 300_000


def test_a_picture_that_is_gone_is_told(ledger: Ledger, picture: Picture, tmp_path: Path) -> None:
    fill(ledger, picture, "one", "A house by a pool.")

    def gone() -> bytes:
        raise FileNotFoundError(2, "No such file or directory")

    missing = Picture(picture.image_id, picture.view, picture.path, picture.sha256, gone)
    page = Page(show_picture(ledger, missing, out=tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "cannot be shown" in page.words
    assert "A house by a pool." in page.words
    assert page.tags.count("img") == 0


def test_a_picture_nobody_described_is_an_input_error(
    ledger: Ledger, picture: Picture, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="nothing has been said"):
        show_picture(ledger, picture, out=tmp_path / "page.html", captions=table(picture).iloc[1:])
    assert not (tmp_path / "page.html").exists()
