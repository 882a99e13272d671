"""Open the built site from the disk in a browser, at two widths: does it ask for nothing, fit and search?

python tools/look_at_site.py [PICTURES]     # after make docs; needs Chromium; a folder for pictures
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, TimeoutError, sync_playwright

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SITE = Path(__file__).resolve().parent.parent / "site"
WIDTHS = {1400: 900, 390: 844}
# One of each kind: in both colours, and kept as pictures.
SHOWN = ("index", "tutorials/your-table", "benchmarks", "probing", "reference/index", "reference/settings")
# What somebody would look for, and where that stands.
SOUGHT = {"leakage": "probing.html", "stretch_positions": "reference/", "kill": "reliability.html"}


def look(page: Page, width: int, pictures: Path | None, dark: bool) -> list[str]:
    """Open every page at a width.

    Returns:
        What is wrong, a line each.
    """
    wrong: list[str] = []
    page.on("request", lambda request: _note(request.url, wrong))
    page.on("pageerror", lambda error: wrong.append(f"{page.url}: {error}"))
    for file in sorted(SITE.rglob("*.html")):
        name = file.relative_to(SITE).with_suffix("").as_posix()
        if name == "404" or (dark and name not in SHOWN):
            continue
        page.goto(file.as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide > width:
            wrong.append(f"{name} is {wide} pixels wide on a screen of {width}")
        if pictures and name in SHOWN:
            kind = "dark" if dark else "light"
            page.screenshot(path=pictures / f"{name.replace('/', '-')}-{width}-{kind}.png")
    return wrong


def _note(address: str, wrong: list[str]) -> None:
    if not address.startswith(("file:", "data:", "blob:", "about:")):
        wrong.append(f"asks for {address}")


def search(page: Page) -> list[str]:
    """Search from the disk; what is not found is wrong."""
    wrong = []
    for words, where in SOUGHT.items():
        page.goto((SITE / "index.html").as_uri())
        page.click("button.md-search__button")
        page.keyboard.type(words, delay=20)
        try:
            page.wait_for_selector(f"a[href*='{where}'][href*='?h=']", timeout=30_000)
        except TimeoutError:
            wrong.append(f"a search for {words!r} does not find {where}")
    return wrong


def main() -> None:
    """Look, and say what is wrong.

    Raises:
        SystemExit: With what is wrong.
    """
    pictures = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        for dark in (False, True):
            for width, height in WIDTHS.items():
                page = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
                )
                wrong += look(page, width, pictures, dark)
        wrong += search(browser.new_page())
        browser.close()
    if wrong:
        sys.exit("\n".join(wrong))
    print("every page opens at two widths, fits, asks no host, and is searched")


if __name__ == "__main__":
    main()
