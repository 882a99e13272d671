"""A browser for the page's tests. A module that opens pages names their ``address``."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.explore.world import DESK

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browsers() -> Iterator[Callable[[bool], Any]]:
    """Chromium with WebGL in software, or without any."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="the page is driven by playwright")
    if BROWSER is None:
        pytest.skip("there is no Chromium here to open the page with")
    with sync_api.sync_playwright() as play:
        started: dict[bool, Any] = {}

        def start(webgl: bool) -> Any:
            if webgl not in started:
                graphics = (
                    ["--enable-unsafe-swiftshader", "--disable-gpu"] if webgl else ["--disable-3d-apis"]
                )
                started[webgl] = play.chromium.launch(
                    executable_path=BROWSER, args=["--no-sandbox", *graphics]
                )
            return started[webgl]

        yield start
        for one in started.values():
            one.close()


@pytest.fixture
def open_page(browsers: Callable[[bool], Any], address: str) -> Iterator[Callable[..., Any]]:
    """Opens the page ready to use; at the end nothing may have complained, nor asked elsewhere."""
    contexts, said, asked, may = [], [], set(), [address, "file:", "data:", "blob:"]

    def go(
        where: str = "", *, webgl: bool = True, size: dict[str, int] = DESK, before: str = "", also: str = "",
        **how: Any,
    ) -> Any:  # fmt: skip
        may.extend(filter(None, [also]))
        contexts.append(browsers(webgl).new_context(viewport=size, accept_downloads=True, **how))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.add_init_script(before)
        page.on("console", lambda one: said.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda one: said.append(str(one)))
        page.on("request", lambda one: asked.add(one.url))
        page.goto(where if "://" in where else address + where)
        page.wait_for_selector("html[data-ready]")
        return page

    yield go
    for one in contexts:
        one.close()
    assert not said
    assert all(url.startswith(tuple(may)) for url in asked)
