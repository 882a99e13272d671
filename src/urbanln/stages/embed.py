"""The verb ``embed``: a vector of every region, by a network, by what pixels tell, or out of captions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from urbanln.base.config import MAX_TERMS, AutoView, Settings, View, Which
from urbanln.base.errors import InputError, require
from urbanln.base.files import hash_file, storing
from urbanln.base.locks import alone, holder, take
from urbanln.base.outputs import output_file
from urbanln.base.saying import say
from urbanln.city.store import City
from urbanln.city.views import the_view
from urbanln.tables.cities import city_paths
from urbanln.tables.flat import VECTORS, vectors_note, write_vectors
from urbanln.tables.vectors import region_table

if TYPE_CHECKING:
    import geopandas as gpd

    from urbanln.embed.engine_ray import RayEngine
    from urbanln.model.imagenet import ImageNetEncoder


PICTURES = ("image_id", "region_id", "view", "path", "sha256")
"""Columns of a city's pictures that vectors are made of."""
# Words for vectors that no model of ours made.
PIXELS, TEXT, IMAGENET = "pixels", "text", "imagenet"
_MAKES = "makes this table"


def embed_city(city: City, model: str, out: Path, settings: Settings) -> Path:
    """One city's vectors as GeoParquet; see :func:`embed_cities`."""
    return embed_cities([city], model, str(out), settings)[0]


def embed_cities(
    cities: Sequence[City],
    model: str,
    out: str,
    settings: Settings,
    *,
    captions: Sequence[Path] = (),
    which: Which = "selected",
    terms: int = MAX_TERMS,
    part: str | None = None,
    engine: str | None = None,
) -> list[Path]:
    """Make a vector of every region and write one file per city.

    Vectors of a network are kept in parts beside the file until it is written: stopped, it goes on.

    Args:
        cities: City folders.
        model: A run folder (``settings.embed.encoder`` picks student or teacher), a CLIP folder or name; or
            ``pixels`` (measured, without a network), ``text`` (TF-IDF of captions, without pictures; one
            vocabulary for all cities) or ``imagenet`` (a network that never saw a city). Write ``./text``
            for a folder of such a name.
        out: ``.parquet``, ``.csv`` or ``.gpkg``; with several cities ``{city}`` is the name of each folder.
        settings: ``embed``; pictures are fitted as the run's training did, else by ``settings.train.fit``.
        captions: For ``text``: files of recorded captions instead of the cities' own.
        which: For ``text``: each picture's selected caption, or all its candidates.
        terms: For ``text``: words and word pairs at most.
        part: ``"i/n"`` for the i-th of n processes that share the work on a network's vectors: the table is
            written by the one that finds all parts there, the others say how far they are.
        engine: ``"ray"`` or ``"ray:ADDRESS"``: the workers of a Ray cluster make a network's vectors, this
            process puts them together.

    Returns:
        The files that were written.

    Raises:
        InputError: A corpus without places; two cities would have one file, or something else stands there;
            captions given for another model than ``text``, or a part or an engine for a model that is no
            network.
        BusyError: Another process makes one of the tables, or puts it together of its parts.
    """
    paths = _paths(cities, model, out, captions)
    pairs = list(zip(cities, paths, strict=True))
    with ExitStack() as locks:
        ray = None if engine is None else locks.enter_context(_ray(engine, model, part))
        if part is not None:
            pairs = _after_sharing(pairs, model, settings, part, locks)
        else:
            _keep_others_out(paths, locks)
        made: Iterable[_Made] = (_picture_table(*pair, model, settings, ray) for pair in pairs)
        if model == TEXT:
            frames, origin = text_tables(cities, settings.embed.view, captions, which, terms)
            made = ((frame, {"transductive": False}, origin) for frame in frames)
        kind = model if model in (PIXELS, TEXT, IMAGENET) else "CLIP"
        for (city, path), (frame, facts, hashes) in zip(pairs, made, strict=True):
            view = the_view(settings.embed.view, city.images["view"], model=model)
            write_vectors(path, frame, {**city.fingerprint(), **hashes}, view=view, model=kind, **facts)
            if kind not in (PIXELS, TEXT):
                _discard_parts(path)
    return [path for _, path in pairs]


def _paths(cities: Sequence[City], model: str, out: str, captions: Sequence[Path]) -> list[Path]:
    """Where each table goes, once it is sure that there can be one."""
    for city in cities:
        city.need_places()
    paths = [output_file(path, VECTORS, inputs=[*captions, model]) for path in city_paths(cities, out)]
    if captions and model != TEXT:
        what, remedy = "captions are read for the model 'text' only", "give --model text, or leave them out"
        raise InputError(what, value=model, where="--captions", remedy=remedy)
    return paths


def _keep_others_out(paths: Sequence[Path], locks: ExitStack) -> None:
    for path in paths:
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        locks.enter_context(alone(path, _MAKES, remedy="or choose another --out"))


def _discard_parts(path: Path) -> None:
    from urbanln.embed.parts import discard, parts_folder

    discard(parts_folder(path))


def pixel_table(city: City, view: AutoView) -> gpd.GeoDataFrame:
    """What :mod:`urbanln.city.pixels` measures, as one more table of region vectors: the pixel floor.

    Args:
        city: Its pictures are measured.
        view: Pictures of this view, averaged by region; ``"both"``: ``[satellite | street | flag]`` as
            :func:`urbanln.embed.encode.embed_regions` has it.

    Returns:
        ``region_id, geometry, n_images, vector``; regions without a readable picture are left out.
    """
    import numpy as np

    from urbanln.city.pixels import PIXEL_FEATURES, measure_city

    view = the_view(view, city.images["view"], where=city.name)
    views: list[View] = ["satellite", "street"] if view == "both" else [view]
    names = list(PIXEL_FEATURES)
    parts = [measure_city(city, part).set_index("region_id")[names] for part in views]
    keep = city.regions["region_id"][city.regions["region_id"].isin(set().union(*(p.index for p in parts)))]
    values = np.hstack([part.reindex(keep).fillna(0.0).to_numpy("float32") for part in parts])
    if view == "both":
        values = np.hstack([values, keep.isin(parts[1].index).to_numpy("float32")[:, None]])
    counts = city.images[city.images["view"].isin(views)]["region_id"].value_counts()
    return region_table(city.regions, pd.Series(list(values), keep.to_numpy(), dtype=object), counts)


def text_tables(
    cities: Sequence[City],
    view: AutoView,
    files: Sequence[Path] = (),
    which: Which = "selected",
    max_terms: int = MAX_TERMS,
) -> tuple[list[gpd.GeoDataFrame], dict[str, str]]:
    """Vectors made of captions, for all cities together with one vocabulary.

    Args:
        cities: In order.
        view: Captions of pictures of this view; recorded ones are taken as they are.
        files: Recorded captions, in place of the cities' own; how many matched is said on stderr.
        which: Each picture's selected caption, or all its candidates.
        max_terms: Length of the vectors at most.

    Returns:
        ``region_id, geometry, n_images, vector`` by city, and names and SHA-256 of the files.

    Raises:
        InputError: No captions, or none that belongs to a region of a city.
    """
    from urbanln.captions.captioners.recorded import read_rows
    from urbanln.captions.text_vectors import captions_of, match_recorded, text_vectors

    found: list[pd.DataFrame] = []
    rows = pd.concat([read_rows(file) for file in files], ignore_index=True) if files else None
    for city in cities:
        if rows is None:
            found.append(captions_of(city, view, which))
            continue
        matched = match_recorded(city, rows, where=", ".join(map(str, files)))
        found.append(matched.captions)
        say(
            f"{city.name}: {matched.captions['region_id'].nunique():,} of {len(city.regions):,} regions have "
            f"a recorded caption; {matched.matched:,} of {matched.pictures:,} names in the files matched"
        )
    vectors = text_vectors({str(number): frame for number, frame in enumerate(found)}, max_terms=max_terms)
    frames = [
        region_table(
            city.regions,
            vectors[str(number)].set_index("region_id")["vector"],
            captions.groupby("region_id")["image_id"].nunique(),
        )
        for number, (city, captions) in enumerate(zip(cities, found, strict=True))
    ]
    return frames, {file.name: hash_file(file) for file in files}


_Made = tuple["gpd.GeoDataFrame", dict[str, Any], dict[str, str]]  # the table, facts and hashes for its note


def _picture_table(
    city: City, path: Path, model: str, settings: Settings, ray: RayEngine | None = None
) -> _Made:
    """Vectors made of pictures."""
    chosen = settings.embed
    if model == PIXELS:
        return pixel_table(city, chosen.view), {"transductive": False}, {}
    require("torch")
    from urbanln.embed.encode import embed_regions
    from urbanln.embed.networks import model_hashes, saw_pictures
    from urbanln.embed.parts import parts_folder
    from urbanln.model.imagenet import imagenet_hashes

    network, how = _network(model), _how(settings)
    by_others = partial(ray.make, network, city, how) if ray else None
    frame = embed_regions(network, city, parts=parts_folder(path), by_others=by_others, **how)
    facts = {name: frame.attrs[name] for name in ("precision", "inputs")}
    if model == IMAGENET:
        return frame, {"transductive": False, **facts}, imagenet_hashes()
    facts |= {"encoder": chosen.encoder, "transductive": saw_pictures(model, city)}
    return frame, facts, model_hashes(model, chosen.encoder)


def _ray(engine: str, model: str, part: str | None) -> RayEngine:
    """The engine that is meant."""
    _only_networks(model, "--engine")
    if part is not None:
        what, remedy = "an engine shares the work by itself", "leave --part or --engine out"
        raise InputError(what, value=part, where="--part", remedy=remedy)
    require("torch")
    from urbanln.embed.engine_ray import RayEngine, parse_engine

    return RayEngine(parse_engine(engine))


def _only_networks(model: str, option: str) -> None:
    if model in (PIXELS, TEXT):
        raise InputError(
            "only a network's work is shared", value=model, where=option, remedy=f"leave {option} out"
        )


def _after_sharing(
    pairs: Sequence[tuple[City, Path]], model: str, settings: Settings, part: str, locks: ExitStack
) -> list[tuple[City, Path]]:
    """Make a share of each city's parts and say how far they are.

    Returns:
        The tables that are to be written now, by this process: ``locks`` keeps others from them.
    """
    _only_networks(model, "--part")
    if plain := [path for _, path in pairs if path.suffix.lower() == ".csv"]:
        raise InputError(
            "a CSV does not say what it was made from, so processes cannot tell that it is done",
            value=str(plain[0]),
            where="--part",
            remedy="end its name in .parquet or .gpkg",
        )
    require("torch")
    from urbanln.embed.encode import embed_share
    from urbanln.embed.parts import are_open, parse_share, parts_folder

    share = parse_share(part)
    ready = []
    for city, path in pairs:
        found = embed_share(
            _network(model),
            city,
            parts_folder(path),
            share,
            finished=partial(_inputs, path),
            **_how(settings),
        )
        say(f"{path}: {found.there} of {found.total} parts are there")
        if found.missing:
            left = ", ".join(f"{number}/{share[1]}" for number in found.missing)
            say(f"  still to do: --part {left}; the last one to end writes the table")
        elif not found.merge:
            say("  another process has written the table")
        elif (lock := take(path)) is None:
            say(f"  another process {_MAKES}: {holder(path)}")
        else:
            locks.callback(lock.release)
            if are_open(parts_folder(path)):  # nobody was faster
                ready.append((city, path))
    return ready


def _inputs(table: Path) -> object:
    """The hash of what a table was made from; None where there is no table."""
    return vectors_note(table).get("inputs") if table.exists() else None


def _network(model: str) -> str | ImageNetEncoder:
    from urbanln.model.imagenet import load_imagenet

    return load_imagenet() if model == IMAGENET else model


def _how(settings: Settings) -> dict[str, Any]:
    """Settings for :func:`urbanln.embed.encode.embed_regions`."""
    return {**settings.embed.model_dump(), "fit": settings.train.fit}
