"""What each kind of stage does. All results stand in the stage's folder; its note is written last."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pandas as pd

from urbanln.base.config import (
    EmbedSettings,
    ModelSettings,
    ProbeSettings,
    RetrieveSettings,
    Settings,
    TrainSettings,
)
from urbanln.base.files import read_table, write_json, write_table
from urbanln.base.parsing import read_json
from urbanln.captions.captioners.named import choose_captioners
from urbanln.captions.run import caption_city, choose, load_language
from urbanln.captions.settings import CaptionSettings
from urbanln.captions.spoken import spoken
from urbanln.city.checks import is_url
from urbanln.city.store import City
from urbanln.stages.bridges import clip_grounder, token_counter
from urbanln.stages.embed import embed_city, pixel_table
from urbanln.stages.retrieve import places, seek
from urbanln.study.captions import choose_texts
from urbanln.study.kept import DONE, describe_files
from urbanln.study.predict import (
    LEFT_OUT,
    NAMES,
    known_regions,
    predict_floors,
    predict_vectors,
    region_blocks,
    scored_regions,
)
from urbanln.study.spec import TABLE
from urbanln.study.stages import TINY, Stage
from urbanln.tables.vectors import read_embeddings

PREDICTIONS, REGIONS, PLACES = "predictions.parquet", "regions.parquet", "places.parquet"
_TEXTS, _CAPTIONS, _VECTORS, _RUN = "texts.parquet", "captions.parquet", "vectors.parquet", "run"


def do_stage(stage: Stage, cache: Path, needs: Sequence[Path]) -> None:
    """Do one stage, unless it is done; what it says of its progress goes into ``log.txt`` in its folder.

    A stage that a kill cut off goes on where its parts allow it (captions, pre-training), else begins anew;
    one whose result was damaged since begins anew.

    Args:
        stage: What to do.
        cache: Folder of all stages.
        needs: Folders of the stages it needs, done, in the order of ``stage.needs``.

    Raises:
        UrbanLNError: As of the verb behind the stage.
    """
    folder = stage.folder(cache)
    if stage.done(cache):
        return
    if (folder / DONE).exists():  # damaged: what it was made of may have been as well
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a", encoding="utf-8", buffering=1) as log, redirect_stderr(log):
        _WORK[stage.kind](stage.payload, folder, needs)
    facts = {"kind": stage.kind, "key": stage.key, "label": stage.label, "files": describe_files(folder)}
    write_json(folder / DONE, {**facts, **stage.payload})
    # Only now: until the note stands, a kill may need the checkpoints.
    shutil.rmtree(folder / _RUN / "checkpoint", ignore_errors=True)


def stage_city(folder: Path) -> City:
    """The city of a finished city stage."""
    note = read_json(folder / DONE, dict[str, Any])
    return City.open(note["folder"] if "folder" in note else folder / "city", check_files=False)


def light_city(city: City, folder: Path, *, captions: pd.DataFrame | None, regions: pd.Series | None) -> City:
    """A city folder that refers to another one's pictures, without labels.

    Args:
        city: Whose pictures.
        folder: Where to; what is whole there is kept.
        captions: Its captions; none yet when left out.
        regions: Ids of the regions that stay; all when left out.
    """
    if not (folder / "city.toml").exists():
        shutil.rmtree(folder, ignore_errors=True)
        images, kept = city.images, None
        if city.meta.places:
            kept = city.regions if regions is None else city.regions[city.regions["region_id"].isin(regions)]
            images = images[images["region_id"].isin(kept["region_id"])]
        root = city.folder.resolve()
        paths = [path if is_url(path) else str(root / path) for path in images["path"]]
        City.create(
            folder,
            meta=city.meta.model_copy(update={"indicators": {}}),
            regions=kept,
            images=images.assign(path=paths),
            indicators=None if kept is None else pd.DataFrame({"region_id": kept["region_id"]}),
        )
    made = City.open(folder, check_files=False)
    if captions is not None and made.captions.empty:
        made.save_captions(captions[captions["image_id"].isin(made.images["image_id"])])
    return made


def _city(payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
    from urbanln.city.synthetic import make_synthetic_city

    if "folder" in payload:
        City.open(payload["folder"])
    elif not (folder / "city" / "city.toml").exists():
        shutil.rmtree(folder / "city", ignore_errors=True)
        # Every region has street views, so that variants of all views are scored on all regions.
        make_synthetic_city(
            folder / "city", regions=payload["regions"], seed=payload["seed"], workers=1,
            street_views=1 if payload["street"] else 0, street_missing=0.0,
        )  # fmt: skip


def _candidates(payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
    city = stage_city(needs[0])
    if payload["captioners"] == TABLE:
        texts = spoken(city)
    else:
        settings = CaptionSettings.model_validate(payload["settings"])
        # Choosing is a stage of its own: here every candidate stays, equal ones too.
        settings = settings.model_copy(update={"vote": settings.vote.model_copy(update={"enabled": False})})
        refine = settings.refine
        report = caption_city(
            light_city(city, folder / "city", captions=None, regions=None),
            choose_captioners(payload["captioners"], settings),
            settings=settings,
            count_tokens=_counter(payload),
            max_tokens=payload["max_tokens"],
            grounder=clip_grounder(refine.grounder_model)
            if refine.enabled and refine.grounder == "clip"
            else None,
            replace=True,
        )
        texts = report.cleaned.frame
    write_table(folder / _TEXTS, texts[["image_id", "captioner", "caption"]], kind="study-texts")


def _counter(payload: dict[str, Any]) -> Callable[[list[str]], list[int]] | None:
    return token_counter(payload.get("tokenizer", TINY))


def _vote(payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
    texts = read_table(needs[1] / _TEXTS, kind="study-texts")
    settings = CaptionSettings.model_validate({"vote": {**payload["vote"], "processes": 1}})
    language = load_language(settings, several=bool(texts["image_id"].duplicated().any()))
    table = choose(texts, settings, language, _counter(payload), payload["max_tokens"])
    write_table(folder / _CAPTIONS, table, kind="captions")


def _captions(payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
    if (needs[1] / _CAPTIONS).exists():
        voted = read_table(needs[1] / _CAPTIONS, kind="captions")
        texts = voted[voted["selected"]].reset_index(drop=True)
    else:
        texts = read_table(needs[1] / _TEXTS, kind="study-texts")
    table = choose_texts(
        texts, stage_city(needs[0]).images, payload["choice"], seed=payload.get("seed", 0),
        count_tokens=_counter(payload),
    )  # fmt: skip
    write_table(folder / _CAPTIONS, table, kind="captions")


def _pretrain(payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
    from urbanln.train.loop import pretrain

    city, known = stage_city(needs[0]), payload.get("known")
    regions = None
    if known is not None:
        probe = ProbeSettings(**{k: v for k, v in known["probe"].items() if k != "split"})
        regions = known_regions(city, known["views"], probe, known["seed"], known["fold"])
    settings = Settings(model=ModelSettings(**payload["model"]), train=TrainSettings(**payload["train"]))
    cities = []
    for number, (source, texts) in enumerate(zip(needs[::2], needs[1::2], strict=True), 1):
        captions = read_table(texts / _CAPTIONS, kind="captions")
        place, own = (folder / "city", regions) if number == 1 else (folder / f"city-{number}", None)
        cities.append(light_city(stage_city(source), place, captions=captions, regions=own))
    pretrain(cities, settings, folder / _RUN)


def _embed(payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
    model = payload["model"] if "model" in payload else str(needs[1] / _RUN)
    settings = Settings(embed=EmbedSettings(**payload["embed"]), train=TrainSettings(fit=payload["fit"]))
    embed_city(stage_city(needs[0]), model, folder / _VECTORS, settings)


def _retrieve(payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
    city, model = stage_city(needs[0]), payload["model"] if "model" in payload else str(needs[1] / _RUN)
    settings = Settings(
        embed=EmbedSettings(**payload["embed"]),
        train=TrainSettings(fit=payload["fit"]),
        retrieve=RetrieveSettings(**payload["retrieve"]),
    )
    view: Any = settings.embed.view  # named when the stage was made
    found = places(model, city, seek(city, settings.retrieve, view), settings)
    facts, found.attrs = {str(name): value for name, value in found.attrs.items()}, {}
    write_table(folder / PLACES, found, kind="study-places", **facts)


def _score(payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
    found = predict_vectors(
        stage_city(needs[0]), [read_embeddings(need / _VECTORS) for need in needs[1:]],
        ProbeSettings.model_validate(payload["probe"]), seed=payload["seed"], views=payload["views"],
        by_fold=payload["by_fold"],
    )  # fmt: skip
    _write_predictions(folder, found)


def _floors(payload: dict[str, Any], folder: Path, needs: Sequence[Path]) -> None:
    city, probe = stage_city(needs[0]), ProbeSettings.model_validate(payload["probe"])
    found = predict_floors(
        city, pixel_table(city, payload["pixels"]), probe, seed=payload["seed"], views=payload["views"]
    )
    write_table(
        folder / REGIONS, region_blocks(scored_regions(city, payload["views"]), probe), kind="study-regions"
    )
    _write_predictions(folder, found)


def _write_predictions(folder: Path, found: pd.DataFrame) -> None:
    facts, found.attrs = {name: found.attrs[name] for name in (LEFT_OUT, NAMES)}, {}
    write_table(folder / PREDICTIONS, found, kind="study-predictions", **facts)


_WORK: dict[str, Callable[[Any, Path, Sequence[Path]], None]] = {
    "city": _city,
    "candidates": _candidates,
    "vote": _vote,
    "captions": _captions,
    "pretrain": _pretrain,
    "embed": _embed,
    "score": _score,
    "floors": _floors,
    "retrieve": _retrieve,
}
