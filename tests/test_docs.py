"""The pages of ``docs/``: every link leads somewhere, and the menu of the site has every page."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^(```+).*?^\1", re.MULTILINE | re.DOTALL)


def _text(page: Path) -> str:
    """A page without its blocks of code, whose brackets are no links."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _text(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    lost = []
    for link in _LINK.findall(_text(page)):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            lost.append(link)
    assert not lost


def _listed(menu: list[dict[str, object]]) -> Iterator[str]:
    for entry in menu:
        for value in entry.values():
            yield from _listed(value) if isinstance(value, list) else [str(value)]


def test_the_menu_of_the_site_has_every_page_once() -> None:
    menu = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"]
    assert sorted(_listed(menu)) == sorted(
        page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md")
    )
