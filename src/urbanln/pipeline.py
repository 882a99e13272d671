"""The joins between the stages: what the command line and the demo share.

Stages do not import one another (``docs/architecture.md``); what one needs of another is handed over
here, as a table or a function.
"""

from __future__ import annotations

import hashlib
import json
import platform
import threading
import tomllib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
import tomli_w

from urbanln import __version__
from urbanln.city.store import City
from urbanln.config import Settings
from urbanln.errors import ArtefactError, InputError, MissingExtraError, UrbanLNError, require
from urbanln.files import hash_file, read_json, read_table

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from urbanln.captions.refine.grounding import Grounder
    from urbanln.probe.run import ProbeResult
    from urbanln.report.page import Example

T = TypeVar("T")
PIXELS = "pixels"  # the name of the table that was measured, not learned


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


def read_vectors(specs: Sequence[str]) -> dict[str, pd.DataFrame]:
    """Read ``name=path`` (or plain paths, named by their stem) as tables of region vectors, in order.

    Raises:
        InputError: Two tables of one name, or a file that is no embedding table.
    """
    from urbanln.embed.table import read_embeddings

    tables: dict[str, pd.DataFrame] = {}
    for spec in specs:
        name, equals, path = spec.partition("=")
        if not equals or Path(spec).exists():  # a file may have "=" in its own name
            name, path = Path(spec).stem, spec
        if name in tables:
            raise InputError(
                "two tables of vectors have one name",
                value=name,
                remedy="give names: --vectors ours=a.parquet",
            )
        tables[name] = read_embeddings(path)
    return tables


def pixel_table(city: City, view: str) -> pd.DataFrame:
    """What :mod:`urbanln.city.pixels` measures, as one more table of region vectors: the pixel floor."""
    from urbanln.city.pixels import PIXEL_FEATURES, measure_city

    frame = measure_city(city, view)
    vectors = pd.Series(list(frame[list(PIXEL_FEATURES)].to_numpy("float32")), dtype=object)
    return pd.DataFrame({"region_id": frame["region_id"].to_numpy(), "vector": vectors})


def embed_city(city: City, model: str, out: Path, settings: Settings) -> Path:
    """Embed a city's regions with a run's encoder or a CLIP and write them as GeoParquet.

    Args:
        city: The city folder.
        model: A run folder (``settings.embed.encoder`` picks student or teacher), a CLIP folder or a name.
        out: File to write.
        settings: Its ``embed`` section is used; pictures are fitted as the run's training did, and for a
            plain CLIP as ``settings.train.fit`` says.
    """
    from urbanln.embed.encode import embed_regions, model_hashes
    from urbanln.embed.table import write_embeddings

    chosen = settings.embed
    frame = embed_regions(
        model,
        city,
        view=chosen.view,
        encoder=chosen.encoder,
        normalize=chosen.normalize,
        batch_size=chosen.batch_size,
        fit=settings.train.fit,
    )
    made_from = {**city.fingerprint(), **model_hashes(model, chosen.encoder)}
    write_embeddings(out, frame, made_from, view=chosen.view, encoder=chosen.encoder)
    return out


def run_probe(
    city: City,
    vectors: Mapping[str, pd.DataFrame | Sequence[pd.DataFrame]],
    settings: Settings,
    *,
    baseline: str | None = None,
    indicators: Sequence[str] = (),
    transductive: bool | None = None,
) -> ProbeResult:
    """Score tables of region vectors against the city's labels, beside the floors.

    Regions that show the same picture never stand on two sides of a fold.

    Args:
        city: Gives labels, units and centroids.
        vectors: Tables by name; the first is the one the verdict speaks of. None at all: floors only. A list
            of tables is one encoder trained several times.
        settings: Its ``probe`` section is used.
        baseline: Name of a table the first one is compared with besides the floors.
        indicators: Columns to score; all when empty.
        transductive: Whether pre-training saw the pictures of the test regions; None: it did, unless the
            first table was measured in pixels.
    """
    from urbanln.city.images import shared_pictures
    from urbanln.probe.run import probe_tables

    table = city.indicators
    if unknown := [name for name in indicators if name not in table.columns]:
        known = ", ".join(c for c in table.columns if c != "region_id")
        raise InputError(
            "no such indicator", value=unknown[0], where=city.folder, remedy=f"there are: {known}"
        )
    if indicators:
        table = table[["region_id", *dict.fromkeys(indicators)]]
    lonlat = city.centroids()
    where = pd.DataFrame({"region_id": city.regions["region_id"], "lon": lonlat[:, 0], "lat": lonlat[:, 1]})
    return probe_tables(
        vectors,
        table,
        where,
        settings.probe,
        main=next(iter(vectors), None),
        baseline=baseline,
        units={name: note.unit for name, note in city.meta.indicators.items()},
        transductive=next(iter(vectors), None) != PIXELS if transductive is None else transductive,
        groups=shared_pictures(city.images) or None,
        made_from=city.fingerprint(),
    )


def report_run(
    city: City,
    scores: Path,
    out: Path,
    *,
    run: Path | None = None,
    command: str = "",
    examples: int = 6,
    notes: Sequence[str] = (),
) -> Path:
    """Write the report of one probe (``scores`` is its folder) and, if given, of the run behind it."""
    from urbanln.report.page import write_report

    found = read_json(scores / "scores.json")
    metrics = read_metrics(run / "metrics.jsonl") if run else []
    note = _run_note(run) if run else {}
    trained = {key: value for key, value in note.items() if key != "run"}
    described = note.get("run", {})
    versions = {"urbanln": __version__, "python": platform.python_version()} | described.get("versions", {})
    hashes = {**city.fingerprint(), "scores": hash_file(scores / "scores.json")}
    facts: dict[str, Any] = {
        "city": city.name,
        "settings": tomli_w.dumps(trained) if trained else None,
        "settings_hash": described.get("settings_hash"),
        "versions": versions,
        "hashes": hashes,
    }
    if command:
        facts["command"] = command
    return write_report(
        out,
        title=city.name,
        run=facts,
        regions=city.regions,
        scores=found,
        predictions=read_table(scores / "predictions.parquet", kind="predictions"),
        metrics=metrics,
        examples=example_pictures(city, examples, trained.get("train", {}).get("view", "both")),
        synthetic=city.meta.synthetic,
        notes=list(notes),
        units={name: note.unit for name, note in city.meta.indicators.items()},
    )


def _run_note(run: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((run / "run.toml").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(
            "no run in this folder", where=run, remedy="give the folder of a pretrain"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ArtefactError("not a TOML file", value=str(error), where=run / "run.toml") from error


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The events of a run; a last line cut off by a kill is left out."""
    events = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            events.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return events


def example_pictures(city: City, count: int, view: str = "both") -> list[Example]:
    """Some pictures of a view, spread over the city, with the caption selected for each."""
    from urbanln.report.page import Example

    captions = city.captions
    chosen = captions[captions["selected"]][["image_id", "caption", "captioner"]]
    table = city.images.merge(chosen, on="image_id", how="inner" if len(chosen) else "left")
    groups = [group for name, group in table.groupby("view", sort=True) if view in ("both", name)]
    share = -(-count // max(len(groups), 1))
    picked = [row for group in groups for row in _spread(group, share).to_dict("records")]
    examples = []
    for row in picked[:count]:
        try:
            data = city.image_bytes(str(row["path"]))
        except UrbanLNError:
            continue  # a picture that went missing since is no reason to have no report
        text = {key: row[key] if isinstance(row[key], str) else "" for key in ("caption", "captioner")}
        examples.append(Example(data, text["caption"], row["view"], row["region_id"], text["captioner"]))
    return examples


def _spread(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """``count`` rows at equal distances."""
    return table.iloc[:: max(1, len(table) // max(count, 1))].head(count)
