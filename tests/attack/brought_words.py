"""Words of the command line that mean nothing, or too much."""

from __future__ import annotations

from collections.abc import Sequence

from tests.attack.world import PROBE, sets

_Words = tuple[Sequence[str], Sequence[str], Sequence[str]]  # words, what is needed, what may change
_NUMBERS = ("-1", "0", "1000000000000", "1" + "0" * 30, "nan", "inf", "1e308", "x", "")
_ODD = ("", " ", "\x1b[2J", "x" * 5000, "\udce9", "a\nb", "*", "[", "{city}", "{", "%s", "-", "☃")


def _all() -> dict[str, _Words]:
    found: dict[str, _Words] = {}

    def add(name: str, argv: Sequence[str], *needs: str, changes: Sequence[str] = ()) -> None:
        found[name] = (argv, needs, changes)

    for captioner in ("openai:", "openai:x@", "openai:x@ftp://127.0.0.1", "openai:@http://127.0.0.1:9/v1",
                      "openai:x@http://127.0.0.1:99999/v1", "openai:x@http://[::1", "recorded:",
                      "recorded:nope.csv", "recorded:.", "transformers:", "transformers:nope",
                      "transformers:base", "simulated-zz", "simulated:", *_ODD):  # fmt: skip
        ledger = ["k/captions.sqlite", "k/captions.parquet"]
        add(f"captioner-{captioner[:12]!r}", ["caption", "k", "--captioner", captioner], "k", "base",
            changes=ledger)  # fmt: skip
    ingest = ["ingest", "t.csv", "--out", "k", "--label", "price"]
    options = {
        "--regions": ("h3:99", "h3:x", "h3:", "tile:-1", "tile:99", "nope.geojson", "shapes.geojson#nope",
                      "t.csv", "picture", *_ODD),
        "--crs": ("EPSG:9999999", "nonsense", "EPSG:4978", "+proj=nope", "EPSG:32633", *_ODD[:4]),
        "--datum": ("gcj02", "nope", ""),
        "--district": ("nope", "shapes.geojson", "price", ""),
        "--encoding": ("utf-7", "nope", "base64", "idna", "\0", "utf-16"),
        "--thousands": (",", "x", "", "'"),
        "--decimal": (",", "..", ""),
        "--missing": ("price=x", "nan", "=", "inf", "price=", "nope=1", "1e999"),
        "--classes": ("nope", "file", "price", "size", "lon", "", "region_id", *_ODD[:4]),
        "--shares": ("=", "a=", "a=price,size", "price=lon,lat", "a=nope,size", "a=size", "=size,lon",
                     *_ODD[:4]),
        "--empty-part": ("rest", "zero", ""),
        "--share-tolerance": _NUMBERS,
        "--lon": ("nope", "price", "", "lat"),
        "--lonlat-column": ("file", "nope", "price"),
        "--name": _ODD,
        "--limit": _NUMBERS,
        "--view": ("nope", "file", ""),
        "--label": ("nope", "file", "lon", "", "price"),
        "--captured": ("nope", "price", "file"),
        "--licence": _ODD[2:5],
        "--id-column": ("nope", "price", "size", ""),
    }  # fmt: skip
    for option, values in options.items():
        for value in values:
            add(f"ingest{option}-{value[:8]!r}", [*ingest, option, value], "t.csv", "shapes.geojson",
                changes=["k"])  # fmt: skip
    for option in ("--regions", "--seed", "--cell-km", "--street-views"):
        for value in _NUMBERS:
            small = ["--regions", "4"] if option != "--regions" else []
            add(f"synthetic{option}-{value[:6]}", ["synthetic", "o", *small, option, value], changes=["o"])
    probe = ["probe", "k", "--out", "s", *sets(*PROBE)]
    for vectors in ("=", "a=", "=foreign.csv", "nope.csv", "foreign.csv#nope*", "foreign.csv#[",
                    "foreign.csv#", "pics", "t.csv", "k/city.toml", "a=foreign.csv#A0,A0", "map=foreign.csv",
                    "coordinates=foreign.csv", "mean=foreign.csv", "../w/foreign.csv", "{city}.csv",
                    "\x1b[2J=foreign.csv", "<b>=foreign.csv"):  # fmt: skip
        add(f"vectors-{vectors[:14]!r}", [*probe, "--vectors", vectors], "k", "foreign.csv", "pics", "t.csv",
            changes=["s"])  # fmt: skip
    for option, value in (("--key", "nope"), ("--key", "A0"), ("--key", "lon,lat"), ("--key", "lon,nope"),
                          ("--key", ","), ("--nodata", "x"), ("--nodata", "inf"), ("--nodata", "nope=1"),
                          ("--nodata", "1e999"), ("--baseline", "nope"), ("--baseline", "foreign"),
                          ("--indicator", "nope"), ("--indicator", ""), ("--decimal", ","),
                          ("--encoding", "utf-16")):  # fmt: skip
        add(f"probe{option}-{value}", [*probe, "--vectors", "foreign.csv", option, value], "k", "foreign.csv",
            changes=["s"])  # fmt: skip
    add("probe-twice-one-table", [*probe, "--vectors", "foreign.csv", "--vectors", "foreign.csv"], "k",
        "foreign.csv", changes=["s"])  # fmt: skip
    add("probe-twice-one-city", ["probe", "k", "k", "--out", "s", *sets(*PROBE)], "k", changes=["s"])
    embed = ["embed", "k", "--out", "o.parquet"]
    made = ["o.parquet", "o.parquet.parts"]
    for model in ("nope", "k", "t.csv", "openai/clip-vit-base-patch16", *_ODD):
        add(f"model-{model[:10]!r}", [*embed, "--model", model], "k", "t.csv", changes=made)
    for part in ("0/0", "9999999/1", "1/0", "-1/2", "2/1", "1/999999", "1", "a/b", "1/2/3", " 1/1 ", "١/١"):
        add(f"part-{part.replace('/', ':')}", [*embed, "--model", "base", "--part", part], "k", "base",
            changes=made)  # fmt: skip
    for number in _NUMBERS:
        add(f"terms-{number[:6]}", ["embed", "c", "--model", "text", "--terms", number, "--out", "o.parquet"],
            "c", changes=made)  # fmt: skip
        add(f"budget-{number[:6]}", ["caption", "c", "--captioner", "simulated-a", "--budget-usd", number,
                                     "--plan"], "c")  # fmt: skip
        add(f"jobs-{number[:6]}", ["study", "study.toml", "--out", "st", "--plan", "--jobs", number], "c",
            "base", "study.toml")  # fmt: skip
    for image in ("nope", *_ODD):
        add(f"show-{image[:8]!r}", ["caption", "c", "--show", image, "--out", "o.html"], "c",
            changes=["o.html"])  # fmt: skip
    for ledger in ("nope.parquet", "t.csv", "pics", "c/captions.sqlite", "v.parquet"):
        add(f"import-{ledger.replace('/', '-')}", ["caption", "c", "--import-ledger", ledger], "c", "t.csv",
            "pics", "v.parquet", changes=["c/captions.sqlite"])  # fmt: skip
    for city in ("nope", "t.csv", "pics", "run", "s", "", ".", "k/pictures"):
        for rest in (["audit"], ["probe", "--out", "o"], ["report", "--scores", "s", "--out", "o.html"]):
            add(f"city-{rest[0]}-{city.replace('/', '-')}", [rest[0], city, *rest[1:]], "k", "t.csv", "pics",
                "run", "s")  # fmt: skip
    for scores in ("nope", "run", "c", "t.csv", "", "s/scores.json"):
        add(f"scores-{scores.replace('/', '-')}", ["report", "c", "--scores", scores, "--out", "o.html"], "c",
            "run", "s", "t.csv")  # fmt: skip
    for run in ("nope", "s", "c", "base", "run/model"):
        add(f"run-{run.replace('/', '-')}", ["report", "c", "--scores", "s", "--run", run, "--out", "o.html"],
            "c", "run", "s", "base", changes=["o.html"])  # fmt: skip
    return found


WORDS = _all()
