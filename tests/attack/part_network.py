"""What ``gather`` asks: hostile servers of tiles, GeoTIFFs and street views, and recipes that lead elsewhere.

A sound server that takes the hostile one's place gets all that is missing, and nobody learns the key.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.attack.case import Attack, Case
from tests.attack.network import BOX, KEY, KINDS, serving, tile

PART = "network"
_TERMS = 'licence = "none"\nattribution = "nobody"\n'
_SOURCES = {
    "tiles": """[tiles.a]
url = "http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}?key={{key}}"
key = "MAP_KEY"
tile_px = 64
""",
    "rasters": """[rasters.a]
files = ["http://127.0.0.1:{port}/a.tif?k={{key}}"]
key = "MAP_KEY"
gsd_m = 50
""",
    "streets": """[mapillary.a]
url = "http://127.0.0.1:{port}"
key = "MAP_KEY"
hosts = ["127.0.0.1"]
per_region = 1
""",
}
_FETCH = """[fetch]
private = ["127.0.0.1"]
per_second = 1000
concurrency = 4
retries = 1
timeout_s = 0.7
max_mb = 1
longest_wait_s = 0.1
"""
_REGIONS = 9
# What is an answer, if a poor one, and stays what it is: that there is nothing, or a picture that is none.
_STAYS = {
    "tiles": {"gone", "no-content", "bomb", "other-size", "cut-picture", "one-colour", "one-for-all",
              "with-cookie"},
    "rasters": {"gone", "no-content", "blocks-are-noise", "other-coding"},
    "streets": {"picture-at-trap", "picture-in-a-file", "id-is-a-path", "places", "text-for-all",
                "rows-of-null"},
}  # fmt: skip
_ADDRESS = 'http://127.0.0.1:{port}/{{z}}/{{x}}/{{y}}?key={{key}}"\nkey = "MAP_KEY"'
# Recipes that lead to where nobody may go, each with what it says and a part of the answer.
_LEADS = {
    "private": ('private = ["127.0.0.1"]', "private = []", "private"),
    "trap-by-name": ("127.0.0.1:{port}/", "localhost:{trap}/", "private"),
    "trap-by-number": ("127.0.0.1:{port}/", "2130706433:{trap}/", ""),
    "password": ("http://127", "http://me:secret@127", "password"),
    "file": (_ADDRESS, 'file:../../{{z}}/{{x}}/{{y}}"', "does not name a folder"),
    "file-at-root": (_ADDRESS, 'file:///etc/{{z}}/{{x}}/{{y}}"', "does not name a folder"),
    "other-scheme": ("http://", "gopher://", ""),
}


def attacks(rng: random.Random) -> Sequence[Attack]:
    """Every behaviour of each kind of server, and every recipe."""
    servers = [
        Attack(PART, f"{kind}-{name}", _hostile(kind, name)) for kind, own in KINDS.items() for name in own
    ]
    return [*servers, *(Attack(PART, f"leads-{name}", _leads(name)) for name in _LEADS)]


def _recipe(case: Case, kind: str, port: int) -> str:
    place = f'[place]\nname = "Somewhere"\nbbox = {list(BOX)}\n[regions]\nby = "tile:14"\n'
    terms = "" if kind == "streets" else _TERMS
    text = place + _SOURCES[kind].format(port=port) + terms + _FETCH
    (case.root / "recipe.toml").write_text(text)
    return text


def _hostile(kind: str, name: str) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        with serving(case.cage, KINDS[kind][name]) as (port, _):
            _recipe(case, kind, port)
            _gather(case, "--plan", expect="either")
            first = _gather(case, "--out", "g", expect="either")
            (case.cage / "mended").touch()
            if first == 0:
                _look(case, kind, whole=name == "some-429")
            else:
                stays = name in _STAYS[kind]
                again = _gather(case, "--out", "g", expect="either" if stays else "done")
                if again == 0:
                    _look(case, kind, whole=not stays)
        _nobody_learned(case)

    return do


def _leads(name: str) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        old, new, told = _LEADS[name]
        with serving(case.cage, KINDS["tiles"]["gone"]) as (port, trap):
            text = _recipe(case, "tiles", port)
            old, new = old.format(port=port), new.format(trap=trap)
            assert old in text
            (case.root / "recipe.toml").write_text(text.replace(old, new))
            for words in (("--plan",), ("--out", "g")):
                before = len(case.said)
                _gather(case, *words, expect="either" if "--plan" in words else "refused")
                if "--out" in words and told not in case.said[before]:
                    case.fault("unclear", f"does not say why: {case.said[before][-500:]}")
        _nobody_learned(case)

    return do


def _gather(case: Case, *words: str, expect: str) -> int | None:
    env = {"MAP_KEY": KEY}
    changes = [] if "--plan" in words else ["g"]
    return case.run("gather", "recipe.toml", *words, expect=expect, changes=changes, limit=90, env=env).code  # type: ignore[arg-type]


def _look(case: Case, kind: str, *, whole: bool) -> None:
    """The city is one, and where the server was sound in the end it has all there is."""
    from urbanln.city.store import City

    city = City.open(case.root / "g")
    if whole and len(city.images) != _REGIONS:
        case.fault("loss", f"{len(city.images)} pictures of {_REGIONS} regions")
    for row in city.images.itertuples():
        if kind == "tiles" and whole:
            _, x, y = map(int, row.region_id.split("-"))
            if city.image_bytes(row.path) != tile(x, y):
                case.fault("loss", f"{row.path} is not what the server has")


def _nobody_learned(case: Case) -> None:
    """Nobody was led to the trap, and the key stands nowhere."""
    if (trapped := case.cage / "trapped").exists():
        case.fault("loss", f"somebody came to where nobody may be led: {trapped.read_text()[:300]}")
    last = KEY.rpartition("/")[2].encode()
    for path in filter(Path.is_file, case.cage.rglob("*")):
        if last in path.read_bytes():
            case.fault("loss", f"the key stands in {path.relative_to(case.cage)}")
