"""``urbanln gather``: regions of a place, all sources asked, the city built of the answers.

Asking and building are apart. Asking ends with every answer on disk (:mod:`urbanln.gather.fetching.cache`),
however often it was cut off; building reads answers alone. So the same recipe ends in the same city, byte for
byte.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from urbanln.base.errors import InputError, StorageError, placed
from urbanln.base.files import hash_file, storing, write_json
from urbanln.city.checks import IMAGE_COLUMNS
from urbanln.city.making import check_free, making
from urbanln.city.meta import IndicatorNote, Meta
from urbanln.city.meta import Source as SourceNote
from urbanln.city.store import City
from urbanln.gather import place as places
from urbanln.gather.coverage import COVERAGE_FILE, counts_of, coverage_lines, in_words, write_coverage
from urbanln.gather.embeddings.api import FOLDER as VECTORS
from urbanln.gather.embeddings.api import Embeddings
from urbanln.gather.fetching.cache import Cache
from urbanln.gather.fetching.local import Local
from urbanln.gather.fetching.rounds import Fetched, fetch_all
from urbanln.gather.labels.api import label
from urbanln.gather.mapillary.api import Mapillary
from urbanln.gather.plan import Planned, plan_source
from urbanln.gather.rasters.api import Rasters
from urbanln.gather.recipe import Recipe, read_recipe, recipe_hash
from urbanln.gather.source import Built, Request, Source
from urbanln.gather.tiles.api import Tiles
from urbanln.gather.views.api import Views

GATHER_FILE = "gather.json"
KINDS: Mapping[str, Callable[[str, Any, gpd.GeoDataFrame, str], Source]] = {
    "tiles": Tiles,
    "rasters": Rasters,
    "mapillary": Mapillary,
    "views": Views,
    "labels": label,
    "embeddings": Embeddings,
}
"""By section of a recipe what makes a source of it: name, settings, regions, and what these are by."""


@dataclass(frozen=True)
class Gathering:
    """A recipe that is ready to be asked for.

    Attributes:
        path: Of the recipe.
        recipe: Its content.
        regions: What its place is divided into.
        sources: What will be asked, in this order.
        files: Names and SHA-256 of the files that decide what comes out.
        how: What decides the city, for whoever goes on with one that was cut off.
    """

    path: Path
    recipe: Recipe
    regions: places.Regions
    sources: list[Source]
    files: dict[str, str]
    how: dict[str, Any]

    def kept(self, folder: Path | None = None) -> Cache:
        """The kept answers, and what lies in folders that the recipe names.

        Args:
            folder: Of the answers; default: see :class:`urbanln.gather.fetching.cache.Cache`.
        """
        fetch = self.recipe.fetch
        return Cache(folder, Local(fetch.folders, self.path.parent, round(fetch.max_mb * 1e6)))


@dataclass
class GatherReport:
    """A city that was gathered, or the plan of one.

    Attributes:
        city: The city; None for a plan.
        regions: How many.
        plans: What each source takes.
        coverage: By source: ``region_id`` → state.
        fetched: By source what came of asking.
        said: What else there is to say.
    """

    city: City | None
    regions: int
    plans: list[Planned] = field(default_factory=list)
    coverage: dict[str, pd.Series] = field(default_factory=dict)
    fetched: dict[str, Fetched] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report in words."""
        if self.city is None:
            return [f"{self.regions:,} regions", *(line for plan in self.plans for line in plan.lines())]
        made = f"{self.city.folder}: {self.regions:,} regions, {len(self.city.images):,} pictures"
        return [made, *coverage_lines(self.coverage), *self.said]


def prepare(recipe: Path | str, *, limit: int | None = None, only: Sequence[str] = ()) -> Gathering:
    """Read a recipe and divide its place; nothing is asked yet.

    Args:
        recipe: The file.
        limit: Only the first regions, for a try: all that is asked is asked for these.
        only: Only these sources, by name or by section (``tiles``); empty: all.

    Raises:
        InputError: The recipe or its place cannot be used, or ``only`` names what it does not have.
    """
    path = Path(recipe)
    content = read_recipe(path)
    with placed(path):
        regions = places.make(content, path.parent, limit=limit)
        sources = [
            KINDS[section](name, settings.at(path.parent), regions.frame, regions.by)
            for section, name, settings in _chosen(content, only)
        ]
    names = [source.name for source in sources]
    own = {
        f"{source.name}: {file.name}": hash_file(file)
        for source in sources
        for file in source.settings.reads()
    }
    files = {**regions.made_from, **own}
    how = recipe_hash(content, files=files, limit=limit, sources=names)
    return Gathering(path, content, regions, sources, files, {"gather": how})


def _chosen(recipe: Recipe, only: Sequence[str]) -> list[tuple[str, str, Any]]:
    """Section, name and settings of the sources that are asked."""
    there = [(kind, name, one) for kind in KINDS for name, one in getattr(recipe, kind).items()]
    known = {text for kind, name, _ in there for text in (kind, name)}
    unknown = [text for text in only if text not in known]
    if unknown:
        remedy = f"it has {', '.join(sorted(known))}"
        raise InputError("the recipe has no such source", value=unknown[0], where="--only", remedy=remedy)
    return [one for one in there if not only or {one[0], one[1]} & set(only)]


def plan(gathering: Gathering, *, cache: Path | None = None, sample: bool = True) -> GatherReport:
    """What gathering would take.

    Args:
        gathering: What :func:`prepare` made.
        cache: Folder of the kept answers; by default that of :func:`urbanln.base.files.cache_folder`.
        sample: Ask for a few answers where the recipe does not say how large one is.

    Raises:
        InputError, StorageError: See :func:`urbanln.gather.plan.plan_source`.
    """
    kept, fetch = gathering.kept(cache), gathering.recipe.fetch
    elsewhere: set[Request] = set()
    plans = [plan_source(one, fetch, kept, sample=sample, elsewhere=elsewhere) for one in gathering.sources]
    return GatherReport(None, len(gathering.regions.frame), plans)


def gather(
    recipe: Path | str, out: Path | str, *, limit: int | None = None, only: Sequence[str] = (),
    cache: Path | None = None,
) -> GatherReport:  # fmt: skip
    """Make a city of a recipe; stopped half-way, the same call goes on.

    Args:
        recipe: The file.
        out: Folder of the new city.
        limit, only: See :func:`prepare`.
        cache: Folder of the kept answers; by default that of :func:`urbanln.base.files.cache_folder`.

    Raises:
        InputError: The recipe, its place or a key cannot be used, it would send more or cost more than it
            allows, or ``out`` holds a city or something else.
        BusyError: Another process makes a city there.
        StorageError: A source left requests without an answer; what came is kept. Or ``out`` or the cache
            cannot be written.
    """
    out, path = Path(out), Path(recipe)
    content, base = read_recipe(path), path.parent
    own = [file for one in content.sources().values() for file in one.at(base).reads()]
    folders = [base / folder for folder in content.fetch.folders]
    check_free(out, [path, *places.files_of(content, base), *own, *folders])
    ready = prepare(path, limit=limit, only=only)
    planned = plan(ready, cache=cache, sample=False)
    _refuse_beyond(ready, planned.plans)
    with making(out, ready.how, ("pictures", VECTORS, GATHER_FILE, COVERAGE_FILE)):
        total = sum(one.requests for one in planned.plans)
        kept = ready.kept(cache)
        spent = {one.name: one.usd_spent for one in planned.plans}
        fetched = fetch_all(ready.sources, ready.recipe.fetch, kept, total=total, spent=spent)
        _refuse_gaps(ready, planned.plans, fetched)
        return _build(ready, out, kept, fetched)


def _refuse_beyond(ready: Gathering, plans: Sequence[Planned]) -> None:
    """Refuse what the recipe does not allow, before anything is asked."""
    fetch = ready.recipe.fetch
    to_ask, cost = sum(one.to_ask + one.more for one in plans), sum(one.usd for one in plans)
    if to_ask > fetch.max_requests:
        raise InputError(
            f"this takes {to_ask:,} requests, and [fetch] max_requests allows {fetch.max_requests:,}",
            where=ready.path,
            remedy="raise max_requests if that is meant, take fewer regions, or try with --limit 100 first",
        )
    if cost > fetch.max_usd + 1e-9:
        raise InputError(
            f"this costs ${cost:,.2f}, and [fetch] max_usd allows ${fetch.max_usd:,.2f}",
            where=ready.path,
            remedy="raise max_usd if that is meant, take fewer regions, or try with --limit 100 first",
        )


def _refuse_gaps(ready: Gathering, plans: Sequence[Planned], fetched: Mapping[str, Fetched]) -> None:
    """Refuse to build a city of which more is missing than the recipe allows; what came is kept."""
    for one in plans:
        found = fetched[one.name]
        with _of_one(ready, one.name):
            if found.unusable is not None:
                raise found.unusable
        lost = found.failed + max(one.requests - found.requests, 0)
        if lost > ready.recipe.fetch.max_failed * max(one.requests, found.requests):
            raise StorageError(
                f"{one.name}: {lost:,} of {max(one.requests, found.requests):,} requests have no answer: "
                f"{found.fault_line()}",
                where=found.example or ready.path,
                value=f"{found.bytes / 1e6:,.1f} MB came now and are kept",
                remedy="run the same command again, which asks for what is missing only; or allow a share "
                f"of gaps, [fetch] max_failed{_without(ready, one.name)}",
            )


@contextmanager
def _of_one(ready: Gathering, name: str) -> Iterator[None]:
    """Add to the error of one source that there can be a city without it."""
    try:
        with placed(ready.path):
            yield
    except InputError as error:
        error.remedy += _without(ready, name)
        raise


def _without(ready: Gathering, name: str) -> str:
    others = " ".join(f"--only {one.name}" for one in ready.sources if one.name != name)
    return f"; or make a city of the others: {others}" if others else ""


def _build(ready: Gathering, out: Path, cache: Cache, fetched: dict[str, Fetched]) -> GatherReport:
    for folder in (out / "pictures", out / VECTORS):
        with storing(folder):
            if folder.exists():  # ours, of a city that was cut off
                shutil.rmtree(folder)
    regions = ready.regions.frame
    built: dict[str, Built] = {}
    for source in ready.sources:
        with _of_one(ready, source.name):
            built[source.name] = source.build(cache.read, out)
    images = [one.images for one in built.values() if one.images is not None and len(one.images)]
    if not any(one.coverage.isin(["picture", "label", "vector"]).any() for one in built.values()):
        told = "; ".join(f"{name}: {in_words(one.coverage)}" for name, one in built.items())
        remedy = "check address, zoom and place (and min_cover); --limit 5 makes a small try"
        raise InputError("nothing covers this place", value=told, where=ready.path, remedy=remedy)
    indicators = pd.DataFrame({"region_id": regions["region_id"]})
    for name, one in built.items():
        if one.indicators is not None:
            if twice := sorted({*indicators.columns} & {*one.indicators.columns} - {"region_id"}):
                what, remedy = "two labels of the recipe have one column", "give one of them another name"
                raise InputError(what, value=twice[0], where=f"{ready.path}, {name}", remedy=remedy)
            indicators = indicators.merge(one.indicators, on="region_id", how="left")
    coverage = {name: one.coverage for name, one in built.items()}
    shares = {name: one.shares for name, one in built.items() if one.shares is not None}
    write_coverage(out, regions, coverage, shares)
    said = [f"{name}: {line}" for name, one in built.items() for line in one.said]
    write_json(out / GATHER_FILE, _facts(ready, built, said))
    city = City.create(
        out, meta=_meta(ready, built), regions=regions, indicators=indicators,
        images=pd.concat(images, ignore_index=True) if images else pd.DataFrame(columns=list(IMAGE_COLUMNS)),
    )  # fmt: skip
    return GatherReport(city, len(regions), [], coverage, fetched, said)


def _facts(ready: Gathering, built: Mapping[str, Built], said: list[str]) -> dict[str, Any]:
    """What a later reader asks of how the city came about; no times, which are the cache's."""
    return {
        "kind": "gather",
        "schema_version": 1,
        "recipe": ready.recipe.model_dump(mode="json", exclude={"fetch"}),
        "files": ready.files,
        "regions": len(ready.regions.frame),
        "sources": {name: {"regions": counts_of(one.coverage)} for name, one in built.items()},
        "notes": said,
    }


def _meta(ready: Gathering, built: Mapping[str, Built]) -> Meta:
    place = ready.recipe.place
    notes: dict[str, IndicatorNote] = {}
    for one in built.values():
        notes |= one.notes
    sources = [
        SourceNote(name=one.name, licence=one.settings.licence, attribution=one.settings.attribution)
        for one in ready.sources
    ]
    if place.licence or place.attribution:
        file = Path(place.polygon or place.points).name or "place"
        sources.append(SourceNote(name=file, licence=place.licence, attribution=place.attribution))
    return Meta(name=place.name, sources=sources, indicators=notes)
