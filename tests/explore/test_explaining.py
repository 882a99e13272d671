"""An export explains the predictions one asks about first, and says which."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.explore.world import make_content, until

from urbanln.base.pictures import PictureError
from urbanln.explore.answers import Answers
from urbanln.explore.asking import Asking
from urbanln.explore.content import Column, Content
from urbanln.explore.exporting import export_page

BROKEN = 35
RIGHT = ("wrong", "right", "wrong, but the truth is in the set")


@pytest.fixture(scope="module")
def content() -> Content:
    """Predictions that rise with the row, errors that are largest in the middle; one picture is broken."""
    made = make_content()
    row = np.arange(len(made), dtype=np.float32)
    error = 20 - np.abs(row - 17.2)
    error[::2] *= -1

    def opened(picture: int) -> bytes:
        if picture == BROKEN:
            raise PictureError("a picture cannot be read", where="p35", remedy="bring it again")
        return made.open_picture(picture)

    column = Column("error:price", "price: error", "error", error, kind="difference", of="price")
    colour = {"of": "colour", "kind": "class"}
    guess = np.where(row % 7 == 6, (row + 1) % 3, row % 3).astype(np.float32)
    uses = [
        Column("label:colour", "colour", "label", row % 3, classes=("red", "green", "blue"), **colour),
        Column("prediction:colour", "", "prediction", guess, classes=("red", "green", "blue"), **colour),
        Column("error:colour", "", "error", (guess == row % 3).astype(np.float32), classes=RIGHT, **colour),
    ]
    queries = tuple(f"a red roof {'by a lake ' * i}" for i in range(34))
    return replace(
        made,
        columns=made.columns | {one.key: one for one in (column, *uses)},
        open_picture=opened,
        queries=queries,
    )


@pytest.fixture(scope="module")
def address(content: Content, tmp_path_factory: pytest.TempPathFactory) -> str:
    return Path(export_page(content, tmp_path_factory.mktemp("export") / "page")[0]).as_uri()


def test_highest_lowest_and_farthest_off_are_explained_as_the_server_does(
    content: Content, address: str
) -> None:
    text = (Path(address.removeprefix("file://")).parent / "data.js").read_text()
    data = json.loads(text.split(" = ", 1)[1].rstrip(";\n"))
    assert data["content"]["can"]["evidence"]
    whose = data["explained"]["prediction:price"]
    # Nothing is explained by a picture that cannot be read; region 3 has no prediction.
    assert whose == {
        "highest": [34, 33, 32, 31], "lowest": [0, 1, 2, 4, 5], "largest errors": [17, 18, 16, 19, 15],
    }  # fmt: skip
    asking = Asking(Answers(content))
    for row in sorted({row for rows in whose.values() for row in rows}):
        assert data["evidence"][f"{row} prediction:price"] == asking.evidence(row, "prediction:price")
    classes = data["explained"]["prediction:colour"]
    assert classes == {"wrong": [6, 13, 20, 27, 34], "right": [0, 8, 17, 25], RIGHT[2]: []}
    for row in sorted({row for rows in classes.values() for row in rows}):
        assert data["evidence"][f"{row} prediction:colour"] == asking.evidence(row, "prediction:colour")
    # All queries are prepared, though a server holds the last ones only.
    assert len(data["texts"]) == 34
    assert {one["key"] for one in data["texts"].values()} < {*data["explained"]}
    assert all(f"{one['key']}:pictures" in data["columns"] for one in data["texts"].values())


def test_where_nothing_was_prepared_the_page_names_what_was(open_page: Callable[..., Any]) -> None:
    page = open_page(webgl=False)
    page.evaluate("Explore.choose(10)")
    page.click("#tab-region .predictions >> text=Why?")
    page.locator("#tab-region .whose").wait_for()
    assert "explains other regions" in page.locator("#tab-region .evidence").first.inner_text()
    page.click("#tab-region .whose >> text=r17")
    until(page, "document.querySelector('#tab-region h2').textContent === 'r17'")
    page.click("#tab-region .predictions >> text=Why?")
    page.locator("#tab-region .evidence .part").first.wait_for()
    assert page.locator("#trouble").is_hidden()


def test_a_predicted_class_is_told_by_name_and_why_it_is_one_sum(open_page: Callable[..., Any]) -> None:
    page = open_page(webgl=False)
    page.evaluate("Explore.choose(6)")
    entry = page.locator("#tab-region .predictions > li").filter(has_text="colour")
    assert "label red · predicted green" in entry.inner_text()
    assert entry.locator(".flag.out").inner_text() == "wrong"
    assert entry.locator("svg").count() == 0, "a class is nowhere on an axis"
    entry.get_by_role("button", name="Why").click()
    entry.locator(".evidence .part").first.wait_for()
    said = entry.locator(".evidence").inner_text()
    assert "the mean of the regions it learnt from" in said
    assert "log-odds of green against" in said
    page.evaluate("Explore.choose(8)")
    right = page.locator("#tab-region .predictions > li").filter(has_text="colour").locator(".flag.in")
    right.wait_for()
    assert right.inner_text() == "right"
