"""An export finds what is alike in the page: as the server does, up to what rounding shifts a cosine by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.explore.test_search import spread
from tests.explore.world import EDGE, make_content

from urbanln.explore.answers import Answers
from urbanln.explore.content import Content, Vectors
from urbanln.explore.exporting import export_page
from urbanln.explore.rounded import rounded
from urbanln.explore.search import VectorSearch


def with_vectors(kind: str, width: int = 48) -> Content:
    """The made city with vectors in another order than the regions; one has none, one has no direction."""
    content = make_content(reads=False)
    n = EDGE * EDGE
    rows = np.random.default_rng(1).permutation(n)[:-1]
    table = spread(n - 1, width, kind, seed=2)
    table[7] = 0
    return replace(content, vectors=Vectors(VectorSearch(table), rows))


@pytest.mark.parametrize("kind", ["few", "all", "cone", "equal"])
def test_rounding_shifts_no_cosine_by_more_than_is_said(kind: str) -> None:
    vectors = with_vectors(kind).vectors
    assert vectors is not None
    short = rounded(vectors)
    assert len(short.rows) == EDGE * EDGE - 2, "the one without direction is not there"
    unit = vectors.search.vectors[vectors.search.lengths > 0].astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    back = short.steps.astype(np.float64) * short.step
    query = back / np.linalg.norm(back, axis=1, keepdims=True)
    off = np.abs(back @ query.T - unit @ unit.T).max()
    assert 0 < off <= short.bound < 2e-4
    halves = unit.astype(np.float16).astype(np.float64)
    assert np.linalg.norm(back - unit, axis=1).mean() < np.linalg.norm(halves - unit, axis=1).mean()


@pytest.fixture(scope="module", params=["all", "cone"])
def asked(request: pytest.FixtureRequest) -> Content:
    return with_vectors(request.param)


@pytest.fixture(scope="module")
def address(asked: Content, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("export") / "page"
    return Path(export_page(asked, folder)[0]).as_uri()


def test_one_several_and_far_ones_are_found_as_the_server_finds_them(
    open_page: Callable[..., Any], asked: Content
) -> None:
    page = open_page(webgl=False)
    vectors = asked.vectors
    assert vectors is not None
    server, has = Answers(asked), set(vectors.rows[vectors.search.lengths > 0].tolist())
    bound = rounded(vectors).bound
    for rows in ([4], [20], [0, 1, 2, 30], list(range(EDGE * EDGE))):
        alike = vectors.search.units(np.flatnonzero(np.isin(vectors.rows, [*has & {*rows}])))
        length = float(np.linalg.norm(alike.mean(axis=0)))
        within = bound * (1 + 1 / length) / 2
        for far, k in ((0, 10), (2.5, 100), (0, 100)):
            wanted = server.similar(rows, far, k)
            found = page.evaluate("([r, far, k]) => Explore.source.similar(r, far, k)", [rows, far, k])
            assert found["left_out"] == wanted["left_out"]
            assert len(found["rows"]) == len(wanted["rows"])
            exact = dict(
                zip(vectors.rows.tolist(), vectors.search.scores(server.direction(rows)), strict=True)
            )
            for row, score, other in zip(found["rows"], found["scores"], wanted["rows"], strict=True):
                assert score == pytest.approx(exact[row], abs=within)
                # Another row than the server's stands here only where rounding may have changed places.
                assert row == other or exact[row] == pytest.approx(exact[other], abs=2 * within)
    region = page.evaluate("Explore.source.region(4)")
    assert [one["row"] for one in region["alike"]] == [one["row"] for one in server.region(4)["alike"]]
    (lost,) = set(range(EDGE * EDGE)) - {*vectors.rows.tolist()}
    said = page.evaluate("(row) => Explore.source.similar([row], 0, 9).catch((error) => error.message)", lost)
    assert "vector" in said
    assert page.evaluate("(row) => Explore.source.region(row)", lost)["alike"] == []
