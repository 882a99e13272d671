"""The page's own files, put together: the same for every content, served or exported."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from typing import Literal

import jinja2

from urbanln.base.version import __version__
from urbanln.explore.basemap import Basemap
from urbanln.explore.guard import referrer
from urbanln.pages.text import finalize

_ASSETS = "pages/assets"
_PARQUET = f"{_ASSETS}/hyparquet-writer/hyparquet-writer.js"  # a server writes Parquet itself


def page_files(
    title: str, basemap: Basemap | None = None, form: Literal["served", "disk", "wide"] = "served"
) -> dict[str, tuple[str, bytes]]:
    """Name to media type and content of ``index.html``, ``explore.css`` and ``explore.js``.

    Args:
        title: Of the page.
        basemap: What lies below the regions.
        form: Whether a server answers; or the page is to be opened as a file, with ``data.js`` beside it
            (browsers take no policy by origin there, so scripts are allowed by being beside it and no address
            may be asked but that of the map of streets); or it asks for files on a static host.
    """
    exported = form != "served"
    script = _script([_PARQUET] if exported else [])
    # A file has no origin that 'self' could mean.
    other = basemap.origin if basemap else ""
    asked = other and f" {other}"
    may_ask = f"connect-src 'self'{asked}; " if form == "wide" else asked and f"connect-src{asked}; "
    policy = (
        "default-src 'none'; script-src 'self' file:; style-src 'self' file: 'unsafe-inline'; "
        f"img-src 'self' file: blob: data:{asked}; {may_ask}"
        "worker-src blob:; base-uri 'none'; form-action 'none'"
    )
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("urbanln.explore", "page"),
        autoescape=True,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
    )
    html = environment.get_template("page.html.j2").render(
        title=title, version=__version__, exported=exported, policy=policy,
        referrer=referrer(other), tiles=bool(basemap and basemap.archive),
        map_licence=_text(f"{_ASSETS}/maplibre/LICENSE.txt"),
        parquet_licence=_text(f"{_ASSETS}/hyparquet-writer/LICENSE.txt") if exported else "",
    )  # fmt: skip
    styles = _text(f"{_ASSETS}/maplibre/maplibre-gl.css") + _text("explore/page/explore.css")
    return {
        "index.html": ("text/html; charset=utf-8", html.encode()),
        "explore.css": ("text/css; charset=utf-8", styles.encode()),
        "explore.js": ("text/javascript; charset=utf-8", script.encode()),
    }


def _script(more: Sequence[str]) -> str:
    """Others, then MapLibre and ours in the order that ``scripts.txt`` names, as one classic script."""
    names = [line.split("#")[0].strip() for line in _text("explore/page/scripts.txt").splitlines()]
    # Without addresses of source maps: a browser's developer tools would ask for them.
    lines = [
        line for name in [*more, *filter(None, names)] for line in _text(name).split("\n")
        if not line.startswith("//# sourceMappingURL")
    ]  # fmt: skip
    return "\n".join(lines)


def _text(path: str) -> str:
    return resources.files("urbanln").joinpath(*path.split("/")).read_text(encoding="utf-8")
