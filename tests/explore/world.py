"""A small made city as ``Content``: squares, labels, pictures, captions, and a reader of colours."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import uvicorn
from PIL import Image
from shapely import box

from urbanln.base.pictures import open_picture
from urbanln.explore.content import Column, Content, Place, Reader, Vectors
from urbanln.explore.search import VectorSearch
from urbanln.explore.server import listen
from urbanln.explore.words import words_of

WORDS = ("red", "green", "blue", "lake", "roof", "tree", "street", "park")
COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}
EDGE = 6
DESK, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}


def read_texts(texts: Sequence[str]) -> np.ndarray:
    """A vector per text: how often each word stands there, so that truth is known."""
    table = np.array([[words_of(text).count(word) for word in WORDS] for text in texts], np.float32)
    table += 1e-3
    return np.asarray(table / np.linalg.norm(table, axis=1, keepdims=True), np.float32)


def read_picture(data: bytes) -> np.ndarray:
    """A vector of a picture: its colours in the places of their words."""
    mean = np.asarray(open_picture(data), np.float32).mean(axis=(0, 1)) / 255
    return np.asarray(np.concatenate([mean, np.full(len(WORDS) - 3, 1e-3)]), np.float32)


def _parts(data: bytes, boxes: Sequence[tuple[float, float, float, float]]) -> np.ndarray:
    whole = open_picture(data)
    shown = [data]
    for left, top, right, bottom in boxes:
        one = whole.copy()
        edge = one.size[0]
        one.paste(
            (127, 127, 127),
            (round(left * edge), round(top * edge), round(right * edge), round(bottom * edge)),
        )
        shown.append(stored(one))
    return np.stack([read_picture(one) for one in shown])


def stored(picture: Image.Image) -> bytes:
    """A picture as the content of a file."""
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def colour_of(row: int) -> str:
    """Which colour a region's picture has."""
    return list(COLOURS)[row % 3]


def make_content(*, reads: bool = True, licences: Sequence[str] = ("CC BY 4.0",)) -> Content:
    """36 squares of a km; the caption names the picture's colour, and one more word."""
    n = EDGE * EDGE
    shapes = [box(x / 100, y / 100, (x + 1) / 100, (y + 1) / 100) for y in range(EDGE) for x in range(EDGE)]
    regions = gpd.GeoDataFrame({"region_id": [f"r{i}" for i in range(n)]}, geometry=shapes, crs=4326)
    lonlat = np.array([[one.centroid.x, one.centroid.y] for one in shapes])
    files = [stored(Image.new("RGB", (24, 24), COLOURS[colour_of(row)])) for row in range(n)]
    pictures = pd.DataFrame(
        {"row": range(n), "view": "satellite", "captured": "2024", "attribution": "somebody"}
    )
    pictures["licence"] = [licences[row % len(licences)] for row in range(n)]
    pictures["free"] = pictures["licence"].str.startswith("CC BY")
    texts = [f"A {colour_of(row)} {WORDS[3 + row % 5]}. A street by a tree." for row in range(n)]
    captions = pd.DataFrame({"picture": range(n), "text": texts, "captioner": "ann", "selected": True})
    captions = captions.assign(agreement=0.5, weight=1.0)
    value = np.arange(n, dtype=np.float32)
    value[3] = np.nan
    columns = {
        "label:price": Column("label:price", "price", "label", value, "USD", of="price"),
        "prediction:price": Column(
            "prediction:price", "price: prediction", "prediction", value + 1, of="price"
        ),
        "low:price": Column("low:price", "", "low", value - 1, of="price"),
        "high:price": Column("high:price", "", "high", value + 3, of="price"),
    }
    verdict = {
        "indicator": "price", "measure": "R²", "score": ".55", "range": "[.44, .62]",
        "floor": "coordinates-nearest", "floor_score": ".36", "split": "block",
        "alone": {"state": "yes", "word": "Yes", "diff": "+.19", "range": "[.03, .41]"},
        "adds": {"state": "undecided", "word": "Undecided", "diff": "+.02", "range": "[−.03, .05]"},
    }  # fmt: skip
    vectors = np.stack([read_picture(one) for one in files])
    reader = Reader(
        read_texts, lambda said: [len(one.split()) + 2 for one in said], 248, read_picture, _parts
    )
    rows = np.arange(n)
    return Content(
        title="Squares", regions=regions, lonlat=lonlat, places=[Place("Squares", 0, n, ("made, CC0",))],
        columns=columns, pictures=pictures, captions=captions, open_picture=lambda row: files[row],
        vectors=Vectors(VectorSearch(vectors), rows), spoken=Vectors(VectorSearch(read_texts(texts)), rows),
        reader=reader if reads else None, queries=("a red roof",), verdicts=(verdict,),
        headline="price: it is undecided whether the vectors add to the map.",
    )  # fmt: skip


@contextmanager
def running(server: uvicorn.Server, sock: socket.socket) -> Iterator[None]:
    """A server that answers while the block runs."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def served(content: Content) -> Iterator[str]:
    """The address of the page, served while the block runs."""
    server, sock, address = listen(content)
    with running(server, sock):
        yield address


def until(page: Any, what: str) -> None:
    """Wait until something is so; asked in one call: the page's policy lets no text be evaluated."""
    page.evaluate(
        f"""() => new Promise((good, bad) => {{
          const end = performance.now() + 60000;
          const look = () => {{
            if ({what}) good();
            else if (performance.now() > end) bad(new Error("never came true"));
            else setTimeout(look, 20);
          }};
          look();
        }})"""
    )
