"""A written page as a browser's parser sees it."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "img", "br", "hr", "input", "link", "base"}


class Page(HTMLParser):
    """Elements in order, with their attributes and the text directly inside."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.open: list[int] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))
        if tag not in VOID:
            self.open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs), []))

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self.open.pop()][0] == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if self.open:
            self.elements[self.open[-1]][2].append(data)

    def all(self, *tags: str) -> list[tuple[str, dict[str, str | None], str]]:
        """The elements of these names, with their own text."""
        return [(tag, attrs, "".join(text)) for tag, attrs, text in self.elements if tag in tags]

    def by_id(self, name: str) -> tuple[str, dict[str, str | None], str]:
        """The one element of this id."""
        return next((t, a, "".join(x)) for t, a, x in self.elements if a.get("id") == name)

    @property
    def words(self) -> str:
        """All text outside scripts and styles, white space collapsed."""
        text = " ".join("".join(x) for t, _, x in self.elements if t not in ("script", "style"))
        return re.sub(r"\s+", " ", text)


def map_data(page: Page) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(page.by_id("map-data")[2])
    return data


def view(layer: dict[str, Any], title: str) -> dict[str, Any]:
    """One of the maps that a layer is shown on."""
    return next(one for one in layer["views"] if one["title"] == title)
