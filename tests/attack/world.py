"""The world that is attacked: a small one of everything, made by the commands that are attacked later.

It is what an undisturbed run gives, and what results after an attack are held against.
"""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tests.attack.forks import Command, run

COSTS = "costs.json"
TRAIN = ("model.name=base", "model.context=48", "model.keep=8", "train.epochs=2", "train.batch_size=8",
         "train.warmup_steps=1", "train.queue_size=16", "train.workers=1", "train.checkpoint_minutes=0",
         "train.precision=fp32", "train.lr=1e-3")  # fmt: skip
PROBE = ("probe.block_km=2", "probe.folds=3", "probe.seeds=1", "probe.bootstrap=100", "probe.curve=[]",
         "probe.heads=['ridge']", "probe.floors=['coordinates-nearest']", "probe.joint=false")  # fmt: skip
STUDY = """
[study]
name = "small"
cities = ["c"]
seeds = [0]
reference = "trained"
captioners = "table"

[common.model]
name = "base"
context = 48
keep = 8

[common.train]
epochs = 1
batch_size = 8
warmup_steps = 1
queue_size = 16
workers = 1

[common.probe]
heads = ["ridge"]
splits = ["random", "block"]
folds = 3
block_km = 2.0
buffer_km = 0.5
bootstrap = 100
curve = []
floors = ["coordinates-nearest"]

[variants.trained]
captions = "vote"

[variants.bare]
pretrain = "none"
"""

RECIPE = """
[place]
name = "Somewhere"
points = "t.csv"
[regions]
by = "tile:18"
[tiles.a]
url = "file:tiles/{z}/{x}/{y}.png"
tile_px = 64
licence = "none"
attribution = "nobody"
[fetch]
folders = ["tiles"]
"""


def sets(*settings: str) -> list[str]:
    """``--set`` before each."""
    return [word for setting in settings for word in ("--set", setting)]


@dataclass(frozen=True)
class Verb:
    """A verb as it is called in this world.

    Attributes:
        name: Of the way it is called.
        argv: Its words.
        needs: What it reads, to be taken from the world.
        makes: What it writes, new or in place.
        beside: What it may write on the way.
    """

    name: str
    argv: Sequence[str]
    needs: Sequence[str]
    makes: Sequence[str]
    beside: Sequence[str] = ()

    @property
    def changes(self) -> list[str]:
        """All that it may change."""
        return [*self.makes, *self.beside]


VERBS: dict[str, Verb] = {
    verb.name: verb
    for verb in (
        Verb("synthetic", ("synthetic", "c0", "--regions", "36", "--seed", "5", "--street-views", "1"),
             (), ("c0",)),
        Verb("ingest", ("ingest", "pics", "t.csv", "--out", "k", "--image-column", "file", "--label", "price",
                        "--regions", "tile:18"), ("pics", "t.csv"), ("k",)),
        Verb("ingest-table", ("ingest", "t.csv", "--out", "kt", "--label", "price", "--regions", "h3:8"),
             ("t.csv",), ("kt",)),
        Verb("ingest-corpus", ("ingest", "pics", "t.csv", "--out", "kc", "--image-column", "file",
                               "--regions", "none"), ("pics", "t.csv"), ("kc",)),
        Verb("gather", ("gather", "recipe.toml", "--out", "g"), ("recipe.toml", "t.csv", "tiles"), ("g",)),
        Verb("caption", ("caption", "c0", "--captioner", "simulated-a", "--captioner", "simulated-b",
                         *sets("vote.processes=1")),
             ("c0",), ("c0/captions.sqlite", "c0/captions.parquet")),
        Verb("export", ("caption", "c", "--export-ledger", "ledger.parquet"), ("c",), ("ledger.parquet",)),
        Verb("import", ("caption", "c0", "--import-ledger", "ledger.parquet"), ("c0", "ledger.parquet"),
             ("c0/captions.sqlite",)),
        Verb("show", ("caption", "c", "--show", "IMAGE", "--out", "show.html"), ("c",), ("show.html",)),
        Verb("vote", ("caption", "--vote", "many.csv", "--out", "voted.csv", *sets("vote.processes=1")),
             ("many.csv",), ("voted.csv",)),
        Verb("audit", ("audit", "c", "--out", "a.json", "--page", "a.html"), ("c",), ("a.json", "a.html")),
        Verb("pretrain", ("pretrain", "c", "--out", "run", *sets(*TRAIN)), ("c", "base"), ("run",)),
        Verb("retrieve", ("retrieve", "c", "--model", "run", "--model", "base", "--out", "rec.json"),
             ("c", "run", "base"), ("rec.json",)),
        Verb("embed", ("embed", "c", "--model", "run", "--out", "v.parquet"), ("c", "run"), ("v.parquet",),
             ("v.parquet.parts",)),
        Verb("embed-pixels", ("embed", "c", "--model", "pixels", "--out", "px.parquet"), ("c",),
             ("px.parquet",)),
        Verb("embed-text", ("embed", "c", "--model", "text", "--out", "tx.parquet"), ("c",), ("tx.parquet",)),
        Verb("probe", ("probe", "c", "--vectors", "v.parquet", "--vectors", "px.parquet", "--out", "s",
                       "--indicator", "population", *sets(*PROBE)),
             ("c", "v.parquet", "px.parquet"), ("s",)),
        Verb("report", ("report", "c", "--scores", "s", "--run", "run", "--out", "r.html"),
             ("c", "s", "run"), ("r.html",)),
        Verb("explore", ("explore", "c", "--vectors", "v.parquet", "--model", "run", "--scores", "s",
                         "--query", "a red roof", "--export", "page"),
             ("c", "v.parquet", "run", "s"), ("page",)),
        Verb("study", ("study", "study.toml", "--out", "st", "--jobs", "1"), ("c", "base", "study.toml"),
             ("st/study.csv", "st/study.json", "st/study.md"), ("st",)),
        Verb("synthetic-many", ("synthetic", "cm", "--regions", "121", "--street-views", "0"), (), ("cm",)),
    )
}  # fmt: skip


def verb(name: str, world: Path) -> Verb:
    """A verb with the names that this world's city happens to have filled in."""
    found = VERBS[name]
    if "IMAGE" not in found.argv:
        return found
    image = (world / "IMAGE").read_text()
    argv = [image if word == "IMAGE" else word for word in found.argv]
    return Verb(found.name, argv, found.needs, found.makes, found.beside)


def make_world(cage: Path) -> Path:
    """Make the world in a cage of its own; the folder with everything.

    Raises:
        RuntimeError: A verb failed: the campaign cannot begin.
    """
    for name in ("w", "home", "cache", "tmp"):
        (cage / name).mkdir(parents=True)
    world = cage / "w"
    _raw(world)
    _do(cage, "synthetic")
    _images_of(world)
    _do(cage, "caption", then="c")
    for name in VERBS:
        if name not in ("synthetic", "caption"):
            _do(cage, name)
    _half(cage)
    return world


def _half(cage: Path) -> None:
    """A training that was killed: what a resumed one goes on from."""
    world = cage / "w"
    chosen = verb("pretrain", world)
    argv = ["half" if word == "run" else word for word in chosen.argv]
    acts, _ = cost("pretrain", world)
    run(Command(argv, world, cage, env=_env(cage), kill=(signal.SIGKILL, int(0.7 * acts))))


def _env(cage: Path) -> dict[str, str]:
    return {"HOME": str(cage / "home"), "TMPDIR": str(cage / "tmp"), "URBANLN_CACHE": str(cage / "cache")}


def _do(cage: Path, name: str, then: str | None = None) -> None:
    world = cage / "w"
    chosen = verb(name, world)
    if then is not None:  # the city as it was before stays beside the one that went on
        shutil.copytree(world / "c0", world / "before")
    if name == "import":
        shutil.copytree(world / "c0", world / "keep")
    outcome = run(Command(chosen.argv, world, cage, limit=300, env=_env(cage)))
    costs = json.loads((world / COSTS).read_text()) if (world / COSTS).exists() else {}
    costs[name] = [outcome.events, outcome.seconds]
    (world / COSTS).write_text(json.dumps(costs))
    if outcome.code != 0:
        raise RuntimeError(f"{name}: exit {outcome.code}\n{outcome.out[-2000:]}{outcome.err[-4000:]}")
    if name == "import":
        shutil.move(world / "c0", world / "imported")
        shutil.move(world / "keep", world / "c0")
    if then is not None:
        shutil.move(world / "c0", world / then)
        shutil.move(world / "before", world / "c0")


def cost(name: str, world: Path) -> tuple[int, float]:
    """Acts on files and seconds of an undisturbed run of a verb."""
    events, seconds = json.loads((world / COSTS).read_text())[name]
    return int(events), float(seconds)


def expected(name: str, world: Path) -> list[tuple[str, Path]]:
    """What a verb makes, each with where the undisturbed result lies."""
    chosen = VERBS[name]
    moved = {"caption": ("c0", "c"), "import": ("c0", "imported")}
    old, new = moved.get(name, ("", ""))
    return [(made, world / (new + made.removeprefix(old) if old else made)) for made in chosen.makes]


def _images_of(world: Path) -> None:
    import pandas as pd

    images = pd.read_parquet(world / "c0" / "images.parquet")
    (world / "IMAGE").write_text(str(images["image_id"].iloc[0]))


def _tiles(world: Path, rows: list[str], rng: np.random.Generator) -> None:
    """A folder of map tiles around the places of the table, and a recipe that makes a city of it."""
    from urbanln.city.regions import tile_columns, tile_rows

    lonlat = np.array([row.split(",")[1:3] for row in rows], dtype=float)
    for x, y in zip(tile_columns(lonlat[:, 0], 18), tile_rows(lonlat[:, 1], 18), strict=True):
        place = world / "tiles" / "18" / str(x)
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(place / f"{y}.png")
    (world / "recipe.toml").write_text(RECIPE)


def _raw(world: Path) -> None:
    """What a user brings: pictures, tables of labels, of captions, of vectors, settings."""
    from tests.train.fake_city import make_clip

    rng = np.random.default_rng(7)
    make_clip(world / "base")
    (world / "pics").mkdir()
    rows = ["file,lon,lat,price,size"]
    for i in range(24):
        colour = rng.integers(0, 255, 3)
        array = np.clip(colour + rng.normal(0, 12, (40, 48, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(array).save(world / "pics" / f"p{i:02d}.png")
        lon, lat = 13.3 + 0.004 * (i % 6), 52.5 + 0.003 * (i // 6)
        rows.append(f"p{i:02d}.png,{lon:.4f},{lat:.4f},{100 + 7 * i + rng.normal():.3f},{i}")
    (world / "t.csv").write_text("\n".join(rows) + "\n")
    _tiles(world, rows[1:], rng)
    (world / "study.toml").write_text(STUDY)
    (world / "settings.toml").write_text("[train]\nepochs = 2\n\n[probe]\nseeds = 1\n")
    texts = ("A red roof by a road.", "A red roof.", "Trees by a river, and a red roof.")
    votes = ["image_id,captioner,caption"]
    votes += [f'p{i:02d}.png,m{k},"{text}"' for i in range(6) for k, text in enumerate(texts)]
    (world / "many.csv").write_text("\n".join(votes) + "\n")
    recorded = ["image_id,caption"]
    recorded += [f'p{i:02d}.png,"A {"red" if i % 2 else "green"} field with a house."' for i in range(24)]
    (world / "recorded.csv").write_text("\n".join(recorded) + "\n")
    vectors = ["lon,lat,A0,A1,A2"]
    for i in range(24):
        values = ",".join(f"{x:.5f}" for x in rng.normal(size=3))
        vectors.append(f"{13.3 + 0.004 * (i % 6):.4f},{52.5 + 0.003 * (i // 6):.4f},{values}")
    (world / "foreign.csv").write_text("\n".join(vectors) + "\n")
    shapes = {"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {"name": f"q{i}"}, "geometry": {"type": "Polygon", "coordinates": [[
            [13.298 + 0.012 * i, 52.498], [13.31 + 0.012 * i, 52.498], [13.31 + 0.012 * i, 52.512],
            [13.298 + 0.012 * i, 52.512], [13.298 + 0.012 * i, 52.498]]]}} for i in range(2)]}  # fmt: skip
    (world / "shapes.geojson").write_text(json.dumps(shapes))
