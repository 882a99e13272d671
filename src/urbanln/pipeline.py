"""The joins between the stages: what the command line and the demo share.

Stages do not import one another (``docs/architecture.md``); what one needs of another is handed over
here, as a table or a function.
"""

from __future__ import annotations

import hashlib
import platform
import threading
import tomllib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
import tomli_w

from urbanln import __version__
from urbanln.city.store import City
from urbanln.config import Settings, View
from urbanln.errors import ArtefactError, InputError, MissingExtraError, UrbanLNError, require
from urbanln.files import hash_file, read_json, read_table

if TYPE_CHECKING:
    import geopandas as gpd
    import torch
    from PIL import Image

    from urbanln.captions.refine.grounding import Grounder
    from urbanln.probe.run import ProbeResult
    from urbanln.report.details import Example

T = TypeVar("T")
# Words for vectors that no model of ours made.
PIXELS, TEXT, IMAGENET = "pixels", "text", "imagenet"


def token_counter(model: str) -> Callable[[list[str]], list[int]] | None:
    """CLIP token counts by the model's own tokenizer; None where the ``train`` extra is not installed."""
    try:
        from urbanln.model.clip import load_tokenizer
    except (ImportError, MissingExtraError):
        return None
    return load_tokenizer(model).count_tokens


def clip_grounder(model: str) -> Grounder:
    """A grounder for the captions that looks for phrases with a CLIP.

    Args:
        model: A CLIP's folder or name, or ``"tiny"`` for the one in the package.

    Raises:
        InputError: No such model.
        MissingExtraError: torch is not installed.
    """
    require("torch")
    import numpy as np
    import torch

    from urbanln.captions.refine.grounding import ClipGrounder
    from urbanln.embed.encode import model_hashes
    from urbanln.model.clip import load_clip

    clip = load_clip(model, context=None).eval()
    # The captioners of a picture ask about the same parts, and captions of a city use the same words.
    seen: OrderedDict[bytes, torch.Tensor] = OrderedDict()
    read: OrderedDict[bytes, torch.Tensor] = OrderedDict()
    lock = threading.Lock()

    def images_of(images: Sequence[Image.Image]) -> torch.Tensor:
        return clip.encode_image(torch.stack([clip.preprocess(image) for image in images]))

    def texts_of(texts: Sequence[str]) -> torch.Tensor:
        return clip.encode_text(clip.tokenize(texts))

    def similarity(images: list[Image.Image], phrases: list[str]) -> np.ndarray:
        pixels = [hashlib.sha256(repr(i.size).encode() + i.tobytes()).digest() for i in images]
        with lock, torch.inference_mode():
            image_ID = _remembered(images, pixels, seen, 512, images_of)
            text_PD = _remembered(phrases, [p.encode() for p in phrases], read, 20_000, texts_of)
            cosines: np.ndarray = (image_ID @ text_PD.T).numpy()
        return cosines

    name = model_hashes(model).get("model", model)[:12]
    return ClipGrounder(similarity, model=name, scale=float(clip.logit_scale.detach().exp()))


def _remembered(
    items: Sequence[T],
    keys: Sequence[bytes],
    kept: OrderedDict[bytes, torch.Tensor],
    most: int,
    encode: Callable[[Sequence[T]], torch.Tensor],
) -> torch.Tensor:
    """(N, D) features of N items, each encoded once as long as it is among the last ones used."""
    import torch

    missing = {key: item for key, item in zip(keys, items, strict=True) if key not in kept}
    if missing:
        kept.update(zip(missing, encode(list(missing.values())), strict=True))
    for key in keys:
        kept.move_to_end(key)
    found = torch.stack([kept[key] for key in keys])
    while len(kept) > most:
        kept.popitem(last=False)
    return found


def pixel_table(city: City, view: View) -> gpd.GeoDataFrame:
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
    from urbanln.vector_tables import region_table

    views: list[View] = ["satellite", "street"] if view == "both" else [view]
    names = list(PIXEL_FEATURES)
    parts = [measure_city(city, part).set_index("region_id")[names] for part in views]
    keep = city.regions["region_id"][city.regions["region_id"].isin(set().union(*(p.index for p in parts)))]
    values = np.hstack([part.reindex(keep).fillna(0.0).to_numpy("float32") for part in parts])
    if view == "both":
        values = np.hstack([values, keep.isin(parts[1].index).to_numpy("float32")[:, None]])
    images = city.images[city.images["view"].isin(views)]
    return region_table(city, pd.Series(list(values), index=keep.to_numpy(), dtype=object), images)


def run_probe(
    cities: City | Sequence[City],
    vectors: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    settings: Settings,
    *,
    baseline: str | None = None,
    indicators: Sequence[str] = (),
    transductive: bool | None = None,
) -> ProbeResult:
    """Score tables of region vectors against the labels of one or several cities, beside the floors.

    Regions that show the same picture never stand on two sides of a fold. Several cities are scored as one,
    and then from one to another (``scores["transfer"]``).

    Args:
        cities: Give labels, units and centroids. With several, regions are called ``CITYNAME/region_id``.
        vectors: Tables by name, with ``region_id`` and ``vector``, or foreign ones as ``read_vectors`` takes
            them; the first is the one the verdict speaks of. None at all: floors only. A list of tables is
            one encoder trained several times.
        settings: Its ``probe`` section is used.
        baseline: Name of a table the first one is compared with besides the floors.
        indicators: Columns to score; all when empty.
        transductive: Whether pre-training saw the pictures of the test regions; None: what the first table
            says (see :func:`urbanln.embed.table.read_embeddings`), which may be that it is not known.

    Raises:
        InputError: No such indicator, or a table of vectors that does not fit the cities.
    """
    from urbanln.probe.run import probe_tables
    from urbanln.probe.transfer import transfer
    from urbanln.vector_tables import as_vectors, join_cities

    cities = [cities] if isinstance(cities, City) else list(cities)
    joint = join_cities(cities)
    labels = _chosen_labels(joint.indicators, indicators, cities)
    tables = {
        name: [as_vectors(name, part, cities) for part in ([t] if isinstance(t, pd.DataFrame) else t)]
        for name, t in vectors.items()
    }
    main = next(iter(tables), None)
    result = probe_tables(
        tables,
        labels,
        joint.where,
        settings.probe,
        main=main,
        baseline=baseline,
        units=joint.units,
        transductive=_transductive(tables) if transductive is None else transductive,
        groups=joint.groups,
        made_from=joint.made_from,
    )
    if len(cities) > 1:
        result.scores["transfer"] = transfer(
            tables, labels, joint.where, settings.probe, main, groups=joint.groups
        )
    return result


def _chosen_labels(table: pd.DataFrame, chosen: Sequence[str], cities: Sequence[City]) -> pd.DataFrame:
    if unknown := [name for name in chosen if name not in table.columns]:
        raise InputError(
            "no such indicator",
            value=unknown[0],
            where=", ".join(str(city.folder) for city in cities),
            remedy=f"there are: {', '.join(c for c in table.columns if c != 'region_id')}",
        )
    return table[["region_id", *dict.fromkeys(chosen)]] if chosen else table


def _transductive(tables: Mapping[str, Sequence[pd.DataFrame]]) -> bool | None:
    """What the first table says of itself; None where it says nothing, and where there is no table."""
    first = [table for copies in tables.values() for table in copies][:1]
    return first[0].attrs.get("transductive") if first else None


def report_run(
    cities: City | Sequence[City],
    scores: Path,
    out: Path,
    *,
    run: Path | None = None,
    command: str = "",
    examples: int = 6,
    notes: Sequence[str] = (),
    audit: Mapping[str, Any] | None = None,
) -> Path:
    """Write the report of one probe, and of the run behind it.

    Args:
        cities: The cities that were scored, in the same order.
        scores: Folder that the probe wrote.
        out: HTML file to write.
        run: Run folder, for its curves and settings.
        command: The command to print.
        examples: Pictures to show.
        notes: Sentences printed with the limits.
        audit: What :mod:`urbanln.audit_verb` found, as JSON values.
    """
    from urbanln.report.page import write_report
    from urbanln.report.training import read_metrics
    from urbanln.vector_tables import join_cities, join_regions

    cities = [cities] if isinstance(cities, City) else list(cities)
    joint = join_cities(cities)
    found = read_json(scores / "scores.json")
    note = _run_note(run) if run else {}
    trained = {key: value for key, value in note.items() if key != "run"}
    described = note.get("run", {})
    facts: dict[str, Any] = {
        "city": ", ".join(city.name for city in cities),
        "settings": tomli_w.dumps(trained) if trained else None,
        "settings_hash": described.get("settings_hash"),
        "versions": {"urbanln": __version__, "python": platform.python_version()}
        | described.get("versions", {}),
        "hashes": {**joint.made_from, "scores": hash_file(scores / "scores.json")},
    }
    facts |= {"command": command} if command else {}
    view = trained.get("train", {}).get("view", "both")
    return write_report(
        out,
        title=facts["city"],
        run=facts,
        regions=join_regions(cities),
        scores=found,
        predictions=read_table(scores / "predictions.parquet", kind="predictions"),
        metrics=read_metrics(run / "metrics.jsonl") if run else [],
        examples=_examples(cities, examples, view),
        synthetic=_synthetic(cities),
        notes=list(notes),
        units=joint.units,
        audit=audit,
    )


def _examples(cities: Sequence[City], count: int, view: str) -> list[Example]:
    """Pictures of all cities, about as many of each, by the names regions have among them."""
    from urbanln.vector_tables import renamer

    rename, share = renamer(cities), -(-count // len(cities))
    found = [(city, one) for city in cities for one in example_pictures(city, share, view)]
    return [replace(one, region_id=rename(city)(one.region_id)) for city, one in found[:count]]


def _synthetic(cities: Sequence[City]) -> bool | str:
    """Whether the cities are synthetic; the names of those that are, where others are not."""
    names = [city.name for city in cities if city.meta.synthetic]
    return ", ".join(names) if 0 < len(names) < len(cities) else bool(names)


def _run_note(run: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((run / "run.toml").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError("no run in this folder", where=run, remedy="give a pretrain's folder") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArtefactError("not a TOML file", value=str(error), where=run / "run.toml") from error


def example_pictures(city: City, count: int, view: str = "both") -> list[Example]:
    """Some pictures of a view, spread over the city, with the caption selected for each."""
    from urbanln.report.details import Example

    captions = city.captions
    chosen = captions[captions["selected"]][["image_id", "caption", "captioner"]]
    table = city.images.merge(chosen, on="image_id", how="inner" if len(chosen) else "left")
    groups = [group for name, group in table.groupby("view", sort=True) if view in ("both", name)]
    share = -(-count // max(len(groups), 1))
    # At equal distances, so that they are spread over the city.
    spread = [group.iloc[:: max(1, len(group) // max(share, 1))].head(share) for group in groups]
    picked = [row for group in spread for row in group.to_dict("records")]
    examples = []
    for row in picked[:count]:
        try:
            data = city.image_bytes(str(row["path"]))
        except UrbanLNError:
            continue  # a picture that went missing since is no reason to have no report
        text = {key: row[key] if isinstance(row[key], str) else "" for key in ("caption", "captioner")}
        examples.append(Example(data, text["caption"], row["view"], row["region_id"], text["captioner"]))
    return examples
