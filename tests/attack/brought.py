"""What people bring: tables, shapes, pictures, captions, vectors, words that are not what they seem."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image
from tests.attack.brought_ledgers import LEDGERS, spoil_ledger
from tests.attack.brought_words import WORDS
from tests.attack.case import Case
from tests.attack.tamper import CONTROL, DEEP, LONE
from tests.attack.world import PROBE, VERBS, sets, verb

_Reading = tuple[Sequence[str], Sequence[str], Sequence[str], str | None]


def reading(reader: str, case: Case) -> _Reading:
    """Words, what is needed, what may change, and the verb whose result it should give, if any."""
    if reader in VERBS:
        chosen = verb(reader, case.world)
        return chosen.argv, chosen.needs, chosen.changes, reader
    if reader == "resume":
        chosen = verb("pretrain", case.world)
        return chosen.argv, [*chosen.needs, "half"], chosen.changes, "pretrain"
    probe = ["probe", "c", "--out", "s", "--indicator", "population", *sets(*PROBE)]
    others: dict[str, _Reading] = {
        "caption-c": (["caption", "c", "--captioner", "simulated-a", "--captioner", "simulated-b",
                       *sets("vote.processes=1")], ["c"], ["c/captions.sqlite", "c/captions.parquet"], None),
        "embed-model": (["embed", "c", "--model", "run/model", "--out", "v2.parquet"], ["c", "run"],
                        ["v2.parquet", "v2.parquet.parts"], None),
        "export-model": (["export-model", "run", "--to", "open_clip", "--out", "oc"], ["run"], ["oc"], None),
        "probe-v": ([*probe, "--vectors", "mine=v.parquet#vector"], ["c", "v.parquet"], ["s"], None),
        "study-plan": (["study", "study.toml", "--out", "st", "--plan"], ["c", "base"], [], None),
        "settings": ([*probe, "--settings", "settings.toml"], ["c"], ["s"], None),
        "settings-caption": (["caption", "c", "--plan", "--captioner", "measured", "--settings",
                              "settings.toml"], ["c"], [], None),
    }  # fmt: skip
    return others[reader]


def pick(case: Case, path: str) -> Path:
    """The file of a case; ``@`` stands for one drawn at random, and half a run goes on as a run."""
    if path.startswith("half/"):
        (case.root / "half").rename(case.root / "run")
        path = path.replace("half/", "run/")
    folder, at, rest = path.partition("@")
    if not at:
        return case.root / path
    found = sorted(p for p in (case.root / folder).rglob(f"*{rest}") if p.is_file())
    found = [p for p in found if rest or not p.name.endswith(".json") or "checkpoint" in folder]
    return found[case.rng.randrange(len(found))]


_ROW = "p00.png,13.3,52.5,1,2"
_HEAD = "file,lon,lat,price,size"
TABLES: dict[str, bytes] = {
    "empty": b"",
    "header-only": f"{_HEAD}\n".encode(),
    "no-header": f"{_ROW}\n{_ROW}\n".encode(),
    "nul": f"{_HEAD}\np00.png,13.3,52.5,1\0,2\n".encode(),
    "quotes": f'{_HEAD}\n"p00.png,13.3,52.5,1,2\np01.png,13.3,52.5,1,2\n'.encode(),
    "ragged": f"{_HEAD}\n{_ROW},3,4,5,6\np01.png,13.3\n".encode(),
    "two-of-a-name": f"file,lon,lat,price,price\n{_ROW}\n".encode(),
    "latin": f"{_HEAD}\np00.png,13.3,52.5,1,M".encode() + b"\xfcller\n",
    "utf-16": f"{_HEAD}\n{_ROW}\n".encode("utf-16"),
    "utf-8-lone": f"{_HEAD}\np00.png,13.3,52.5,1,".encode() + b"\xed\xa0\x80\n",
    "control": f"{_HEAD},\x1b[2J\n{_ROW},\x1b]0;x\x07\n".encode(),
    "long-field": f"{_HEAD}\np00.png,13.3,52.5,1,{'x' * 2_000_000}\n".encode(),
    "many-columns": (",".join(f"c{i}" for i in range(20_000)) + "\n").encode(),
    "nan": f"{_HEAD}\np00.png,nan,inf,1,2\np01.png,-inf,52.5,1,2\n".encode(),
    "huge": f"{_HEAD}\np00.png,1e400,52.5,1e308,2\np01.png,{'9' * 5000},52.5,1,2\n".encode(),
    "out-of-range": f"{_HEAD}\np00.png,999,-999,1,2\n".encode(),
    "label-text": f"{_HEAD}\np00.png,13.3,52.5,much,2\np01.png,13.31,52.5,little,2\n".encode(),
    "label-huge": f"{_HEAD}\np00.png,13.3,52.5,1e308,2\np01.png,13.31,52.5,-1e308,2\n".encode(),
    "climbing": f"{_HEAD}\n../../secret.png,13.3,52.5,1,2\n".encode(),
    "climbing-more": f"{_HEAD}\n{'../' * 60}x.png,13.3,52.5,1,2\n".encode(),
    "nul-name": f'{_HEAD}\n"p00\0.png",13.3,52.5,1,2\n'.encode(),
    "long-name": f"{_HEAD}\n{'p' * 5000}.png,13.3,52.5,1,2\n".encode(),
    "folder-name": f"{_HEAD}\n.,13.3,52.5,1,2\n..,13.3,52.5,1,2\n".encode(),
    "address": f"{_HEAD}\nhttp://127.0.0.1:9/p.png,13.3,52.5,1,2\n".encode(),
    "odd-address": f"{_HEAD}\nfile://[::1,13.3,52.5,1,2\nmemory://x,13.3,52.5,1,2\n".encode(),
    "one-picture": f"{_HEAD}\n{_ROW}\n{_ROW}\n{_ROW}\n".encode(),
    "cr": f"{_HEAD}\r{_ROW}\r".encode(),
    "zip": b"PK\x03\x04" + bytes(100),
    "gzip": b"\x1f\x8b\x08" + bytes(100),
    "sep": f"sep=;\n{_HEAD.replace(',', ';')}\n{_ROW.replace(',', ';')}\n".encode(),
    "binary": bytes(range(256)) * 64,
}


def _feature(geometry: object, properties: object = None) -> dict[str, object]:
    return {"type": "Feature", "properties": properties or {"name": "q", "price": 1}, "geometry": geometry}


def _shapes(*features: object) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


_RING = [[13.2, 52.4], [13.4, 52.4], [13.4, 52.6], [13.2, 52.6], [13.2, 52.4]]
SHAPES: dict[str, bytes] = {
    "empty": b"",
    "deep": b"[" * DEEP,
    "deep-geometry": b'{"type":"GeometryCollection","geometries":[' * 5000 + b"]}" * 5000,
    "deep-coordinates": b'{"type":"Feature","geometry":{"type":"Polygon","coordinates":' + b"[" * 100_000,
    "no-features": _shapes(),
    "null": _shapes(_feature(None)),
    "points": _shapes(_feature({"type": "Point", "coordinates": [13.3, 52.5]})),
    "line": _shapes(_feature({"type": "LineString", "coordinates": _RING})),
    "few-points": _shapes(_feature({"type": "Polygon", "coordinates": [_RING[:2]]})),
    "bow-tie": _shapes(_feature({"type": "Polygon", "coordinates": [[_RING[i] for i in (0, 2, 1, 3, 0)]]})),
    "huge": _shapes(_feature({"type": "Polygon", "coordinates": [[[x * 1e300, y] for x, y in _RING]]})),
    "whole-world": _shapes(_feature({"type": "Polygon", "coordinates": [[
        [-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]})),
    "lone": _shapes(_feature({"type": "Polygon", "coordinates": [_RING]}, {"name": "x"})).replace(
        b'"x"', f'"{LONE}"'.encode()),
    "control": _shapes(_feature({"type": "Polygon", "coordinates": [_RING]}, {"name": "x"})).replace(
        b'"x"', f'"{CONTROL}"'.encode()),
    "same-names": _shapes(*[_feature({"type": "Polygon", "coordinates": [_RING]})] * 2),
    "nan": b'{"type":"Feature","properties":{},"geometry":{"type":"Point","coordinates":[NaN,Infinity]}}',
    "not-geo": b'{"a": 1}',
}  # fmt: skip


LABEL = """
[place]
name = "Somewhere"
bbox = [13.28, 52.48, 13.34, 52.52]
[regions]
by = "h3:7"
[labels.x]
{keys}
unit = "1"
year = 2024
source = "somewhere"
licence = "none"
attribution = "nobody"
"""
LABELS = {
    "mean": ("x.csv", 'points = "x.csv"\nstatistic = "mean"\ncolumn = "price"'),
    "count": ("x.csv", 'points = "x.csv"\nstatistic = "count"\nid = "file"\nonly = {file = "*"}'),
    "ids": ("x.csv", 'table = "x.csv"\nids = "file"\ncolumn = "price"'),
    "share": ("x.geojson", 'shapes = "x.geojson"\nstatistic = "share"\ninvalid = "repair"'),
    "places": ("x.geojson", 'points = "x.geojson"\nstatistic = "count"'),
    "within": ("x.geojson", 'points = "here.csv"\nstatistic = "count"\nwithin = "x.geojson"'),
}
"""Labels of files: what is brought as which file, and what the section says besides."""


def _png(width: int, height: int, body: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _saved(image: Image.Image, kind: str, **how: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    return buffer.getvalue()


def _noise(mode: str) -> Image.Image:
    return Image.effect_noise((48, 40), 60).convert(mode)


PICTURES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "bomb": lambda: _png(200_000, 200_000, zlib.compress(bytes(1000))),
    "near-bomb": lambda: _png(10_000, 10_000, zlib.compress(bytes(1000))),
    "no-size": lambda: _png(0, 0),
    "cut": lambda: _saved(_noise("RGB"), "PNG")[:1500],
    "cut-jpeg": lambda: _saved(_noise("RGB"), "JPEG")[:600],
    "cmyk": lambda: _saved(_noise("CMYK"), "JPEG"),
    "grey-16": lambda: _saved(_noise("L").convert("I;16"), "PNG"),
    "float": lambda: _saved(_noise("L").convert("F"), "TIFF"),
    "palette": lambda: _saved(_noise("P"), "GIF"),
    "moving": lambda: _saved(_noise("P"), "GIF", save_all=True, append_images=[_noise("P")] * 3),
    "alpha": lambda: _saved(_noise("RGBA"), "PNG"),
    "pixel": lambda: _saved(Image.new("RGB", (1, 1)), "PNG"),
    "strip": lambda: _saved(Image.new("RGB", (5000, 1)), "PNG"),
    "svg": lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "text": lambda: b"no picture at all",
    "odd-exif": lambda: _saved(_noise("RGB"), "JPEG", exif=b"Exif\0\0MM\0*" + b"\xff" * 60),
    "long-comment": lambda: _saved(_noise("RGB"), "JPEG", comment=b"x" * 60_000),
    "eps": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) print\n",
    "icc": lambda: _saved(_noise("RGB"), "PNG", icc_profile=b"\xff" * 200),
    "ppm": lambda: b"P6 99999 99999 255\n" + bytes(10),
    "bmp": lambda: b"BM" + b"\xff" * 60,
    "webp": lambda: b"RIFF\xff\xff\xff\xffWEBPVP8L" + bytes(20),
}

_TEXT = "A red roof by a road."
CAPTIONS: dict[str, tuple[str, bytes]] = {
    "lone": ("jsonl", f'{{"image_id": "p00.png", "caption": "{LONE} a roof by a road."}}\n'.encode()),
    "lone-id": ("jsonl", f'{{"image_id": "{LONE}", "caption": "A roof by a road."}}\n'.encode()),
    "deep": ("jsonl", b"[" * DEEP + b"\n"),
    "deep-json": ("json", b'{"a":' * DEEP),
    "huge-number": ("jsonl", b'{"image_id": ' + b"9" * 5000 + b', "caption": "x"}\n'),
    "control": ("jsonl", f'{{"image_id": "p00.png", "caption": "{CONTROL}"}}\n'.encode()),
    "not-objects": ("jsonl", b'1\n"a"\n[]\nnull\n'),
    "cut": ("jsonl", b'{"image_id": "p00.png", "caption": "A ro'),
    "list": ("json", b"[]"),
    "object": ("json", b"{}"),
    "utf-16": ("csv", f"image_id,caption\np00.png,{_TEXT}\n".encode("utf-16")),
    "empty": ("csv", b""),
    "header-only": ("csv", b"image_id,caption\n"),
    "nobody": ("csv", f"image_id,caption\nnobody.png,{_TEXT}\n".encode()),
    "nul": ("csv", f"image_id,caption\np00.png,{_TEXT}\0\n".encode()),
    "blank": ("csv", b'image_id,caption\np00.png," "\np01.png,\n'),
    "long": ("csv", f"image_id,caption\np00.png,{'A red roof. ' * 50_000}\n".encode()),
    "one-word": ("csv", f"image_id,caption\np00.png,{'x' * 500_000}\n".encode()),
    "markup": ("csv", b'image_id,caption\np00.png,"<script>alert(1)</script> a red roof <|endoftext|>"\n'),
    "bidi": ("csv", "image_id,caption\np00.png,\u202ea red roof\u202c by a road\n".encode()),
    "parquet": ("parquet", b"PAR1" + bytes(40) + b"PAR1"),
    "emoji": ("csv", ("image_id,caption\np00.png," + "\U0001f3e0" * 3000 + "\n").encode()),
}

_POINTS = [(13.3 + 0.004 * (i % 6), 52.5 + 0.003 * (i // 6)) for i in range(24)]


def _vectors(value: Callable[[int], str], head: str = "lon,lat,A0,A1") -> bytes:
    return "\n".join([head, *(f"{x:.4f},{y:.4f},{value(i)}" for i, (x, y) in enumerate(_POINTS))]).encode()


VECTORS: dict[str, bytes] = {
    "empty": b"",
    "constant": _vectors(lambda i: "1,1"),
    "huge": _vectors(lambda i: f"1e308,-1e30{i % 9}"),
    "beyond": _vectors(lambda i: f"1e400,{i}"),
    "nan": _vectors(lambda i: f"nan,{i}"),
    "texts": _vectors(lambda i: f"a{i},b"),
    "lists": _vectors(lambda i: f'"[{i}, 2]",1'),
    "cut-lists": _vectors(lambda i: f'"[{i}, ",1'),
    "deep-lists": _vectors(lambda i: '"' + "[" * 5000 + '",1'),
    "no-vectors": "\n".join(["lon,lat", *(f"{x},{y}" for x, y in _POINTS)]).encode(),
    "far": _vectors(lambda i: f"{i},2").replace(b"13.", b"93."),
    "nowhere": _vectors(lambda i: f"{i},2").replace(b"13.", b"nan"),
    "control": _vectors(lambda i: f"{i},2", head="lon,lat,\x1b[2J,A1"),
    "digits": _vectors(lambda i: f"{'9' * 400},{i}"),
    "doubled": _vectors(lambda i: f"{i},{i * i}", head="lon,lat,A0,A0"),
    "tiny": _vectors(lambda i: f"1e-320,{i}e-310"),
}


_PICKLED = b"\x80\x04\x95" + bytes(5)
WEIGHTS: dict[str, bytes] = {
    "empty.pt": b"",
    "text.pt": b"not weights\n" * 9,
    "pickle.pt": b"cposix\ngetcwd\n(tR.",  # of a function: harmless, and never called
    "pickle-cut.bin": _PICKLED,
    "zip-cut.pt": b"PK\x03\x04" + bytes(40),
    "zeros.ckpt": bytes(4096),
    "empty.safetensors": b"",
    "length.safetensors": struct.pack("<Q", 1 << 62) + b"{}",
    "deep.safetensors": struct.pack("<Q", 400_000) + b'{"a":' * 80_000,
    "lone.safetensors": struct.pack("<Q", 14) + b'{"\\ud800": {}}',
    "nothing.safetensors": struct.pack("<Q", 2) + b"{}",
    "weights.npz": b"PK\x05\x06" + bytes(18),
}


def attacks() -> dict[str, Callable[[Case], None]]:
    """Everything that is brought, for every verb that takes it."""
    found: dict[str, Callable[[Case], None]] = {}
    for name, data in TABLES.items():
        found[f"table-{name}-ingest"] = _ingested(data, "pics", "t.csv", "--image-column", "file")
        found[f"table-{name}-alone"] = _ingested(data, "t.csv", "--regions", "h3:8")
    for name, data in list(TABLES.items())[::2]:
        found[f"table-{name}-audit"] = _file(
            data, "t.csv", ["audit", "--labels", "t.csv", "--label", "price"]
        )
    for name, data in SHAPES.items():
        found[f"shapes-{name}-regions"] = _shaped(data, "--regions", "shapes.geojson")
        found[f"shapes-{name}-district"] = _shaped(data, "--district", "shapes.geojson#name")
    for kind, (file, _) in LABELS.items():
        for name, data in (TABLES if file.endswith("csv") else SHAPES).items():
            found[f"labels-{name}-{kind}"] = _labelled(data, kind)
    for name, make in PICTURES.items():
        found[f"picture-{name}"] = _pictured(make)
    for name, (suffix, data) in CAPTIONS.items():
        found |= _captioned(name, suffix, data)
    for name, data in VECTORS.items():
        probe = ["probe", "k", "--vectors", "x.csv", "--out", "s", *sets(*PROBE)]
        found[f"vectors-{name}"] = _file(data, "x.csv", probe, ["s"], "k")
    for name in LEDGERS:
        for reader in ("export", "show", "caption-c", "audit"):
            found[f"ledger-{name}-{reader}"] = _ledger(name, reader)
    for name, (argv, needs, changes) in WORDS.items():
        found[f"words-{name}"] = _words(argv, needs, changes)
    for name, data in WEIGHTS.items():
        told = ["import-model", name, "--activation", "gelu", "--out", "im"]
        found[f"weights-{name}"] = _file(data, name, told, ["im"])
    found["pictures-pipe"] = _pipe
    return found


def _file(
    data: bytes, name: str, argv: Sequence[str], changes: Sequence[str] = (), *needs: str
) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take(*needs)
        (case.root / name).write_bytes(data)
        case.run(*argv, expect="either", changes=changes, limit=60)

    return do


def _ingested(data: bytes, *words: str) -> Callable[[Case], None]:
    return _file(data, "t.csv", ["ingest", *words, "--out", "k", "--label", "price"], ["k"], "pics")


def _shaped(data: bytes, *words: str) -> Callable[[Case], None]:
    argv = ["ingest", "t.csv", "--out", "k", "--label", "price", *words]
    return _file(data, "shapes.geojson", argv, ["k"], "t.csv")


def _labelled(data: bytes, kind: str) -> Callable[[Case], None]:
    file, keys = LABELS[kind]
    argv = ["gather", "labels.toml", "--out", "k"]

    def do(case: Case) -> None:
        (case.root / "labels.toml").write_text(LABEL.format(keys=keys))
        (case.root / "here.csv").write_text("lon,lat\n13.3,52.5\n")
        _file(data, file, argv, ["k"])(case)

    return do


def _pictured(make: Callable[[], bytes]) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take("pics", "t.csv")
        (case.root / "pics" / "p00.png").write_bytes(make())
        chosen = verb("ingest", case.world)
        made = case.run(*chosen.argv, expect="either", changes=["k"])
        if made.code == 0:
            case.run("embed", "k", "--model", "pixels", "--out", "px.parquet", expect="either",
                     changes=["px.parquet"])  # fmt: skip

    return do


def _captioned(name: str, suffix: str, data: bytes) -> dict[str, Callable[[Case], None]]:
    file = f"r.{suffix}"
    text = ["embed", "k", "--model", "text", "--captions", file, "--out", "tx.parquet"]
    ways = {
        "caption": (["caption", "k", "--captioner", f"recorded:{file}"], ["k/captions.sqlite",
                                                                        "k/captions.parquet"]),
        "audit": (["audit", "--captions", file], []),
        "embed": (text, ["tx.parquet"]),
        "vote": (["caption", "--vote", file, "--out", "o.csv", *sets("vote.processes=1")], ["o.csv"]),
    }  # fmt: skip
    return {
        f"captions-{name}-{way}": _file(data, file, argv, changes, "k")
        for way, (argv, changes) in ways.items()
    }


def _ledger(name: str, reader: str) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        argv, needs, changes, _ = reading(reader, case)
        case.take(*needs)
        spoil_ledger(case.root / "c" / "captions.sqlite", name)
        case.run(*argv, expect="either", changes=changes, limit=90)

    return do


def _words(argv: Sequence[str], needs: Sequence[str], changes: Sequence[str]) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        case.take(*needs)
        case.run(*argv, expect="either", changes=changes, limit=60)

    return do


def _pipe(case: Case) -> None:
    case.take("pics", "t.csv")
    (case.root / "pics" / "p00.png").unlink()
    os.mkfifo(case.root / "pics" / "p00.png")
    case.run(*verb("ingest", case.world).argv, expect="either", changes=["k"])
