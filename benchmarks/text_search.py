"""How good the search of ``urbanln explore`` is, where the truth is known.

    python -m benchmarks text_search --part cities --demo demo-out --out search-out [--seeds 1]
    python -m benchmarks text_search --part corpus --city rsicd --models tiny NAME=RUN …
    python -m benchmarks text_search --part similar --city king --vectors NAME=FILE … [--regions 2000]

``cities``: forty queries and thirty of what is not there, asked of the city that a finished ``urbanln demo``
was pre-trained on and of new ones, which are made; right is what the true scene of the tile says. ``corpus``:
names of classes, which are the beginnings of the names of pictures (``airport_12.jpg``), asked of the test
part of a corpus. ``similar``: labels of the ten regions most alike that lie farther than 5 km, beside ten
random far ones and the ten nearest. Tables that share a NAME are averaged.

Average precision stands beside chance (a random order) and plain keyword search in captions. Both: the mean
of the ranks by pictures and by captions. 95 % intervals by drawing queries, classes or 10 km blocks anew,
the same draws for all, so that differences are paired.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.harness import markdown, options, write
from benchmarks.search_measures import Means, average_precision, joined
from benchmarks.search_queries import ABSENT, IN_OTHER_WORDS, QUERIES, Query, holds
from urbanln.base.config import RetrieveSettings, Settings, load_settings
from urbanln.base.space import square_blocks
from urbanln.captions.captioners.named import choose_captioners
from urbanln.captions.run import caption_city
from urbanln.captions.settings import CaptionSettings, DescribeSettings
from urbanln.city.store import City
from urbanln.city.synthetic import make_synthetic_city, read_scene
from urbanln.demo import DEMO_SETTINGS
from urbanln.explore.answers import Answers
from urbanln.explore.asking import Asking
from urbanln.explore.content import Floats
from urbanln.explore.keywords import Keywords
from urbanln.explore.search import VectorSearch
from urbanln.explore.words import standing, words_of
from urbanln.probe.labels import prepare_labels
from urbanln.stages.bridges import token_counter
from urbanln.stages.embed import embed_city
from urbanln.stages.explore import Asked, content_of

FIRST_SEED = 700
WAYS = ("chance", "keywords", "pictures", "captions", "both")
DIFFERENCES = (
    ("pictures", "chance"),
    ("pictures", "keywords"),
    ("captions", "keywords"),
    ("both", "keywords"),
)
READ = ("pictures", "captions")
ALIKE, RANDOM, NEAREST = "alike", "random", "nearest"
MOST, FAR_KM, BLOCK_KM = 10, 5.0, 10.0
_JOINED_NAMES = r"(?<=bare)(?=land$)|(?<=\w)(?=(?:field|residential|station|tanks)$)"
Rows = list[dict[str, Any]]


def main(argv: list[str] | None = None) -> None:
    """Measure one part, print tables; with ``--json`` also write what they are made of."""
    asked = options(
        __doc__, argv, part=("cities", "corpus", "similar"), demo=None, out=None, seeds=1, regions=0,
        city=None, models=[Path("tiny")], vectors=[Path()], json=None,
    )  # fmt: skip
    for name in {"cities": ("demo", "out"), "corpus": ("city",), "similar": ("city", "vectors")}[asked.part]:
        if getattr(asked, name) in (None, [Path()]):
            raise SystemExit(f"--part {asked.part} needs --{name}")
    if asked.part == "cities":
        rows = ask_cities(asked.demo, asked.out, asked.seeds, asked.regions or 400)
        print(cities_tables(rows))
    elif asked.part == "corpus":
        rows = [
            {"asked": name, **row}
            for name, model in map(_named, asked.models)
            for row in ask_corpus(City.open(asked.city), model)
        ]
        print("\n".join([precision_table(rows, ["asked"]), claims_table(rows), claims_and_precision(rows)]))
    else:
        rows = compare_labels(City.open(asked.city), list(map(_named, asked.vectors)), asked.regions or 2000)
        print(labels_table(rows))
    write(asked.json, rows)


def _named(spec: Path) -> tuple[str, str]:
    name, _, path = str(spec).rpartition("=")
    return name or Path(path).stem, path


def row_of(
    query: str, kind: str, scores: Mapping[str, Floats], right: np.ndarray, claims: Mapping[str, bool]
) -> dict[str, Any]:
    """What one query found: average precision by each way where anything is right, and what was claimed."""
    row: dict[str, Any] = {"query": query, "kind": kind, "right": float(right.mean()), **claims}
    if right.any():
        by = {**scores, "chance": np.zeros(len(right)), "both": joined(*(scores[name] for name in READ))}
        row |= {way: average_precision(by[way], right) for way in WAYS}
    return row


def ask_cities(demo: Path, out: Path, seeds: int, regions: int) -> Rows:
    """Ask all queries of the demo's city and of new ones, by its runs and by the base."""
    settings = load_settings(base=DEMO_SETTINGS)
    runs = sorted(demo.glob("run-*"))
    new = [_new_city(out / f"city-{seed}", regions, seed) for seed in range(FIRST_SEED, FIRST_SEED + seeds)]
    own = City.open(demo / "city")
    found = []
    for where, city in (("the city it was pre-trained on", own), *(("a new city", one) for one in new)):
        right = right_regions(city)
        for model in ("tiny", *map(str, runs)):
            file = out / f"{city.name}-{Path(model).name}.parquet"
            if not file.exists():
                embed_city(city, model, file, settings)
            asking = Asking(Answers(content_of([city], Asked(str(file), model), settings)))
            asked = f"base, {city.name}" if model == "tiny" else f"pre-trained, {where}"
            found += [
                {"asked": asked, "city": city.name, "model": model, **_ask(asking, *one)} for one in right
            ]
    return found


def _new_city(folder: Path, regions: int, seed: int) -> City:
    if not (folder / "city.toml").exists():
        make_synthetic_city(folder, regions=regions, seed=seed, street_views=0)
    city = City.open(folder)
    if city.captions.empty:
        caption_city(
            city, choose_captioners("simulated"), count_tokens=token_counter("tiny"),
            settings=CaptionSettings(describe=DescribeSettings(view="satellite")),
        )  # fmt: skip
    return City.open(folder)


def right_regions(city: City) -> list[tuple[Query, np.ndarray]]:
    """Each query and which regions are right for it by the scenes of their tiles.

    Raises:
        SystemExit: Something that nowhere should be is there.
    """
    tiles = city.images[city.images["view"] == "satellite"].set_index("region_id")["path"]
    scenes = [read_scene(city.folder / path) for path in tiles.loc[city.regions["region_id"]]]
    found = [
        (one, np.array([holds(one, scene) for scene in scenes]))
        for one in (*QUERIES, *IN_OTHER_WORDS, *ABSENT)
    ]
    for query, right in found:
        if query in ABSENT and right.any():
            raise SystemExit(f"{city.name} has {query.text}")
    return found


def _ask(asking: Asking, query: Query, right: np.ndarray) -> dict[str, Any]:
    told = asking.text(query.text)
    names = {"pictures": "pictures", "captions": "captions", "keywords": "words"}
    scores = {way: asking.column(f"{told['key']}:{name}").values for way, name in names.items()}
    claims = {}
    for way in READ:
        by = told["by"][way]
        claims[f"claimed by {way}"] = by["above"]
        orders = by["null"]["shuffled"]
        claims[f"order by {way}"] = by["above"] and bool(orders) and by["height"] > max(orders)
    return row_of(query.text, query.kind, scores, right, claims)


def ask_corpus(city: City, model: str) -> Rows:
    """Ask the names of all classes of a corpus' test part; pictures without a class are only in the way."""
    from urbanln.embed.both import embed_both
    from urbanln.stages.model_reader import make_reader
    from urbanln.stages.retrieve import seek

    settings = Settings()
    sought = seek(city, RetrieveSettings(texts="selected"), "satellite")
    both = embed_both(model, city, list(sought.images["path"]), sought.texts, settings.embed)
    texts = [sought.texts[i] for i in sought.text]
    assert len(both.rows) == len(texts) == len(sought.images), "one text a picture, and all can be read"
    searches = {
        "pictures": VectorSearch(both.image.numpy()),
        "captions": VectorSearch(both.text.numpy()[sought.text]),
    }
    words, said = Keywords(texts), [word for text in texts for word in words_of(text)]
    reader, _ = make_reader(model, settings.embed)
    classes = np.array([class_of(one) for one in sought.images["image_id"]])
    rows = []
    for name in sorted(set(classes) - {""}):
        query = reader.texts([name])[0]
        scores = {way: search.scores(query) for way, search in searches.items()} | {
            "keywords": words.scores(name)
        }
        claims = {
            f"claimed by {way}": standing(
                name, scores[way], said, partial(_scores, reader.texts, searches[way])
            ).above
            for way in READ
        }
        rows.append(row_of(name, "names of classes", scores, classes == name, claims))
    return rows


def _scores(
    read: Callable[[Sequence[str]], Floats], search: VectorSearch, texts: Sequence[str]
) -> list[Floats]:
    return [search.scores(one) for one in read(texts)]


def class_of(image_id: str) -> str:
    """The class that a picture's name begins with, in words; "" where it is a number.

    Example:
        >>> class_of("baseballfield_12"), class_of("00623")
        ('baseball field', '')
    """
    name = image_id.rpartition("_")[0]
    return "" if not name or name.isdigit() else re.sub(_JOINED_NAMES, " ", name)


def compare_labels(city: City, vectors: Sequence[tuple[str, str]], regions: int) -> Rows:
    """How far labels of a region are from those of ten others, by which others, in each label's own scale."""
    rows: Rows = []
    for name, file in vectors:
        content = content_of([city], Asked(file), Settings())
        answers, metres = Answers(content), content.metres()
        rng = np.random.default_rng(0)  # equal regions and random ones for all vectors
        chosen = np.sort(rng.choice(len(content), min(regions, len(content)), replace=False))
        others: dict[str, list[np.ndarray]] = {ALIKE: [], RANDOM: [], NEAREST: []}
        for row in chosen:
            away = np.hypot(*(metres - metres[row]).T)
            others[ALIKE].append(np.array(answers.similar([int(row)], FAR_KM, MOST)["rows"]))
            others[RANDOM].append(rng.choice(np.flatnonzero(away > FAR_KM * 1000), MOST, replace=False))
            others[NEAREST].append(np.argsort(np.where(np.arange(len(away)) == row, np.inf, away))[:MOST])
        blocks = square_blocks(metres[chosen], BLOCK_KM)
        for column in (one for one in content.columns.values() if one.group == "label"):
            labels = prepare_labels(column.values.astype(float), content.lonlat)
            values = np.full(len(content), np.nan)
            values[labels.rows] = labels.y
            apart = {
                way: np.nanmean(np.abs(values[np.stack(found)] - values[chosen, None]), axis=1)
                for way, found in others.items()
            }
            known = np.isfinite(np.stack(list(apart.values()))).all(axis=0)
            rows += [
                {"vectors": name, "label": column.of, "scale": labels.transform, "block": int(block),
                 **{way: float(one[i]) for way, one in apart.items()}}
                for i, block in enumerate(blocks) if known[i]
            ]  # fmt: skip
    return rows


def precision_table(rows: Rows, by: Sequence[str]) -> str:
    """Mean average precision by each way, and paired differences; queries of one text are averaged first."""
    table = pd.DataFrame([row for row in rows if "chance" in row])
    out = []
    for names, part in table.groupby(list(by), sort=False):
        each = part.groupby("query")[list(WAYS)].mean()
        means = Means({way: each[way] for way in WAYS})
        cells = [f"{means.of('chance')[0]:.3f}".removeprefix("0"), *(means.show(way) for way in WAYS[1:])]
        out.append([*names, str(len(each)), *cells, *(means.show(*pair) for pair in DIFFERENCES)])
    differences = [f"{one} − {other}" for one, other in DIFFERENCES]
    return markdown([*by, "queries", "chance", *WAYS[1:], *differences], out)


def claims_table(rows: Rows) -> str:
    """How often something is claimed, and what a claim says about the precision that was reached."""
    out = []
    for (asked, kind), part in pd.DataFrame(rows).groupby(["asked", "kind"], sort=False):
        names = [
            name
            for name in part.columns
            if name.startswith(("claimed", "order")) and part[name].notna().all()
        ]
        each = part.groupby("query")[names].mean()
        means = Means({name: each[name] for name in names})
        out.append([asked, kind, str(len(each)), *(means.show(name, digits=2) for name in names)])
    head = ["asked", "kind", "queries", *names]
    return markdown(head, out)


def claims_and_precision(rows: Rows) -> str:
    """Average precision over chance where something is claimed, and where nothing is."""
    table = pd.DataFrame([row for row in rows if "chance" in row])
    out = []
    for asked, part in table.groupby("asked", sort=False):
        for way in READ:
            gain, claimed = part[way] - part["chance"], part[f"claimed by {way}"].astype(bool)
            cells = [
                f"{gain[mask].mean():.3f} ({mask.sum()})" if mask.any() else "–"
                for mask in (claimed, ~claimed)
            ]
            out.append([str(asked), way, *cells])
    return markdown(["asked", "by", "claimed", "not claimed"], out)


def cities_tables(rows: Rows) -> str:
    """All tables of the part ``cities``."""
    thirty = {query.text for query in QUERIES}
    whole = [{**row, "kind": "all thirty"} for row in rows if row["query"] in thirty]
    parts = {
        "Average precision": precision_table([*rows, *whole], ["asked", "kind"]),
        "Claims": claims_table([*rows, *whole]),
        "Average precision over chance by claims": claims_and_precision(whole),
    }
    return "\n".join(f"### {title}\n\n{text}" for title, text in parts.items())


def labels_table(rows: Rows) -> str:
    """Mean differences of labels to those of ten others, and paired differences of these."""
    out = []
    for (label, scale, name), part in _grouped(rows, ["label", "scale", "vectors"]):
        blocks = pd.factorize(part["block"])[0]
        means = Means({way: part[way] for way in (ALIKE, RANDOM, NEAREST)}, blocks)
        digits = 3 if scale != "none" else 1
        cells = [means.show(way, digits=digits) for way in (ALIKE, RANDOM, NEAREST)]
        cells += [means.show(ALIKE, less, digits) for less in (RANDOM, NEAREST)]
        out.append([label, scale, name, f"{len(part):,}", *cells])
    head = ["label", "scale", "vectors", "regions", "alike, far", "random, far", "nearest", "alike − random"]
    return markdown([*head, "alike − nearest"], out)


def _grouped(rows: Rows, by: list[str]) -> Iterable[tuple[tuple[Any, ...], pd.DataFrame]]:
    yield from pd.DataFrame(rows).groupby(by, sort=False)
