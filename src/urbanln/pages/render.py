"""A page out of its template: one self-contained HTML file that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from urbanln.base.version import __version__
from urbanln.pages.text import finalize

_MAP_SCRIPTS = (
    "assets/maplibre/maplibre-gl.js",
    "templates/map_common.js",
    "templates/map_view.js",
    "templates/map_tool.js",
)


def _asset(name: str, package: str = "urbanln.pages") -> str:
    return resources.files(package).joinpath(*name.split("/")).read_text(encoding="utf-8")


def _script(*names: str) -> Markup:
    """Scripts of ours and MapLibre's, joined, as they stand between the script tags."""
    parts = [_asset(name) for name in names]
    # Without its map address: a browser's developer tools would ask for it.
    lines = [
        line for part in parts for line in part.split("\n") if not line.startswith("//# sourceMappingURL")
    ]
    return Markup("\n".join(lines).replace("</script", "<\\/script"))  # noqa: S704 (files of the package)


def standalone(chart: Markup) -> str:
    """A chart of a page as a file of its own, in the page's light colours, on white."""
    css = _asset("templates/page.css")
    rules = re.findall(r"\.(?:chart|range|dot|band|beyond)\b[^{}]*\{[^{}]*\}", css)
    style = css[: css.index("@media")] + "\n".join(rules)
    style += "\n.chart { width: auto; min-width: 0; max-width: none; font-family: system-ui, sans-serif; }"
    head, rest = str(chart).split(">", 1)
    width, height = head.split('viewBox="0 0 ')[1].split('"')[0].split()
    size = f'xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
    head = head.replace("<svg ", f"<svg {size} ", 1)
    return f'{head}><style>{style}</style><rect width="100%" height="100%" fill="#fff"/>{rest}\n'


def render(package: str, template: str, context: Mapping[str, Any]) -> str:
    """A page's text: every value is cleaned and escaped, scripts are allowed by their hash alone.

    Args:
        package: Room whose folder ``templates`` is looked in first; this one's holds what pages share.
        template: File name in the folder of templates.
        context: What it prints; with ``map_json`` the maps' scripts come along.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("urbanln.pages")]),
        autoescape=True,
        finalize=finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    mapped = context.get("map_json")
    script = _script(*_MAP_SCRIPTS) if mapped else Markup("")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    styles = _asset("templates/page.css")
    if script:
        styles = _asset("assets/maplibre/maplibre-gl.css") + styles
    allowed = f"'sha256-{digest}'" if script else "'none'"
    workers, images = ("worker-src blob:; ", "data: blob:") if script else ("", "data:")
    policy = (
        f"default-src 'none'; script-src {allowed}; {workers}"
        f"style-src 'unsafe-inline'; img-src {images}; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(template).render(
        **context,
        version=__version__,
        script=script,
        styles=Markup(styles),  # noqa: S704 (files of the package)
        policy=policy,
        map_licence=_asset("assets/maplibre/LICENSE.txt") if script else "",
    )
