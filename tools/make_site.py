"""Build the documentation site, strictly: ``make docs``.

    python tools/make_site.py ZENSICAL

``build/docs`` gets the pages of ``docs/`` with what they link to beside that folder, and the reference.
Zensical makes ``site/`` of it, and stops at a link in a page that leads nowhere. What it wrote is then looked
through once more: each link and anchor of each page, and that no page asks another host for anything.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

sys.path.insert(0, str(Path(__file__).parent))
from site_reference import ROOMS, reference

ROOT = Path(__file__).resolve().parent.parent
BUILD, SITE, ASSETS = ROOT / "build", ROOT / "site", ROOT / "tools" / "site_assets"
# What lets a page from the disk search in a worker; Zensical's pages would ask another host for it.
_SHIM = "https://unpkg.com/iframe-worker/shim"
_ROOM_PAGES = {f"reference/{room}.html" for room in ROOMS}
_BESIDE = re.compile(r"\]\(((?:\.\./)+)([^)#\s]+)")
# What a browser fetches by itself; what a reader may follow is no request.
_FETCHED = {
    "script": ("src",), "img": ("src", "srcset"), "iframe": ("src",), "source": ("src", "srcset"),
    "video": ("src",), "audio": ("src",), "embed": ("src",), "object": ("data",), "input": ("src",),
}  # fmt: skip
_FETCHING_LINKS = {
    "stylesheet",
    "icon",
    "preload",
    "prefetch",
    "preconnect",
    "dns-prefetch",
    "manifest",
    "modulepreload",
}
_IN_CSS = re.compile(r"url\(\s*['\"]?((?:https?:)?//[^'\")]+)|@import\s+['\"]((?:https?:)?//[^'\"]+)")


def lay_out() -> None:
    """Fill ``build/docs``: what Zensical reads."""
    shutil.rmtree(BUILD / "docs", ignore_errors=True)
    shutil.copytree(ROOT / "docs", BUILD / "docs")
    for page in sorted((BUILD / "docs").rglob("*.md")):
        page.write_text(_settled(page), encoding="utf-8")
    (BUILD / "docs" / "reference").mkdir()
    pages = reference()
    for name, text in pages.items():
        (BUILD / "docs" / "reference" / name).write_text(text + "\n", encoding="utf-8")
    (BUILD / "zensical.toml").write_text(_with_reference(list(pages)), encoding="utf-8")


def _settled(page: Path) -> str:
    """A page whose links beside ``docs`` lead to copies of what stands there."""

    def copied(found: re.Match[str]) -> str:
        source = (ROOT / "docs" / page.relative_to(BUILD / "docs").parent / found[1] / found[2]).resolve()
        if source.is_relative_to(ROOT / "docs"):
            return found[0]
        target = BUILD / "docs" / source.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return f"]({os.path.relpath(target, page.parent)}"

    return _BESIDE.sub(copied, page.read_text(encoding="utf-8"))


def _with_reference(pages: list[str]) -> str:
    """The settings, with the generated pages at the end of the menu: so none is forgotten."""
    text = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    menu = "".join(f'    "reference/{page}",\n' for page in pages)
    text = text.replace("\n]\n", f'\n  {{ "Reference" = [\n{menu}  ] }},\n]\n', 1)
    return re.sub(r'\["(src|tools/)', r'["../\1', text)


def build(zensical: str) -> None:
    """Let Zensical write ``site/``.

    Raises:
        SystemExit: It warned of something.
    """
    command = [zensical, "build", "--clean", "--strict", "--config-file", str(BUILD / "zensical.toml")]
    done = subprocess.run(command, cwd=BUILD, capture_output=True, text=True, check=False)
    if done.returncode or "Warning" in done.stdout + done.stderr:
        sys.exit(f"{done.stdout}{done.stderr}\nthe site was not built")
    shutil.rmtree(SITE, ignore_errors=True)
    (BUILD / "site").rename(SITE)
    shutil.copytree(ASSETS, SITE / "assets", dirs_exist_ok=True)
    for page in SITE.rglob("*.html"):
        ours = os.path.relpath(SITE / "assets" / "iframe-worker.js", page.parent)
        page.write_text(page.read_text(encoding="utf-8").replace(_SHIM, ours), encoding="utf-8")
    _shorten_search(SITE)


def _shorten_search(site: Path) -> None:
    """Let functions and classes be found by their names alone, or they would come before every guide."""
    found = json.loads((site / "search.json").read_text(encoding="utf-8"))
    for item in found["items"]:
        if "#urbanln." in item["location"] or item["location"].partition("#")[0] in _ROOM_PAGES:
            item["text"] = ""
    text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    (site / "search.json").write_text(text, encoding="utf-8")
    (site / "search.js").write_text(f"var __index = {text};", encoding="utf-8")


class Page(HTMLParser):
    """What a page links to, what can be linked to in it, and what a browser fetches for it.

    Args:
        text: The page's HTML.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.fetched: list[str] = []
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag asks for."""
        given = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and _FETCHING_LINKS & set(given.get("rel", "").split()):
            self.fetched.append(given.get("href", ""))
        self.fetched += [given[name] for name in _FETCHED.get(tag, ()) if name in given]
        self.fetched += _outside_of_css(given.get("style", ""))

    def handle_data(self, data: str) -> None:
        """Styles that stand in the page fetch too."""
        if self._in_style:
            self.fetched += _outside_of_css(data)


def _outside_of_css(text: str) -> list[str]:
    return [first or second for first, second in _IN_CSS.findall(text)]


def faults(site: Path) -> list[str]:
    """What is wrong with a site: links and anchors that lead nowhere, files that are asked of another host.

    Args:
        site: Its folder.

    Returns:
        A line each; none where all is well.
    """
    pages = {file: Page(file.read_text(encoding="utf-8")) for file in sorted(site.rglob("*.html"))}
    found = []
    for file, page in pages.items():
        name = file.relative_to(site).as_posix()
        found += [f"{name} fetches {one}" for one in page.fetched if _elsewhere(one)]
        local = [
            one for one in (*page.links, *page.fetched) if not urlsplit(one).scheme and not _elsewhere(one)
        ]
        found += [f"{name} leads nowhere: {one}" for one in local if not _there(file, one, pages, site)]
    for file in sorted(site.rglob("*.css")):
        name = file.relative_to(site).as_posix()
        found += [f"{name} fetches {one}" for one in _outside_of_css(file.read_text(encoding="utf-8"))]
    return found


def _elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def _there(file: Path, link: str, pages: dict[Path, Page], site: Path) -> bool:
    parts = urlsplit(link)
    if file.name == "404.html" or not (parts.path or parts.fragment):
        return True  # the first is shown at any address, and its links count from the root
    target = Path(os.path.normpath(file.parent / unquote(parts.path))) if parts.path else file
    target = target / "index.html" if target.is_dir() else target
    if not target.is_relative_to(site) or not target.is_file():
        return False
    return not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].anchors


def main() -> None:
    """Build, look through, say what is wrong.

    Raises:
        SystemExit: With what is wrong.
    """
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    lay_out()
    build(str(Path(sys.argv[1]).resolve()))
    if wrong := faults(SITE):
        sys.exit("\n".join([*wrong, f"{len(wrong)} things are wrong with the site"]))
    print(f"{SITE.relative_to(ROOT)}/index.html: {len(list(SITE.rglob('*.html')))} pages")


if __name__ == "__main__":
    main()
