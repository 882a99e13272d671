"""Pre-training by momentum self-distillation: one loop, from a city's pairs to a run folder.

Run by ``urbanln pretrain CITY --out RUN``, or in several processes by
``torchrun --nproc-per-node 2 -m urbanln pretrain CITY --out RUN``; ``step.py`` says what a step does.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator

from urbanln.base import saying
from urbanln.base.config import FREE_SETTINGS, CacheSettings, Settings, TrainSettings
from urbanln.base.errors import ArtefactError, InputError, UrbanLNError, require
from urbanln.base.files import hash_bytes
from urbanln.base.progress import progress
from urbanln.base.stopping import StopRequested, hold
from urbanln.city.splits import SPLIT
from urbanln.city.store import City
from urbanln.model.adapters import merge, save_adapter
from urbanln.model.card import Training
from urbanln.model.clip import LongClip, load_clip
from urbanln.model.retrieval import find, recall
from urbanln.model.source import find_source
from urbanln.train.batches import Texts, read_all
from urbanln.train.checkpoint import (
    Checkpoint,
    flatten_optimizer,
    list_checkpoints,
    load_newest,
    save_checkpoint,
    unflatten_optimizer,
)
from urbanln.train.described import describe_run, settled
from urbanln.train.grad_cache import micro_batches
from urbanln.train.pairs import Pairs, build_pairs, epoch_plan, list_pictures
from urbanln.train.rewording import Rewording
from urbanln.train.run import ADAPTER, MODEL, RUN_FILE, TEACHER, RunFolder
from urbanln.train.step import Data, Learner, Schedule, assemble, make_schedule, start_engine, train_step
from urbanln.train.together import agree, agree_on_pairs, from_first

_LOW_FOR_ADAPTERS = 2e-5


def pretrain(
    city: City | Sequence[City], settings: Settings, out: Path | str, *, resume: bool = True
) -> Path:
    """Pre-train a CLIP on the captioned pictures of one or several cities.

    Args:
        city: Where the pictures and captions come from.
        settings: The sections ``model`` and ``train`` are used.
        out: Run folder: ``run.toml``, ``metrics.jsonl``, ``checkpoint/``, and at the end ``model/`` and
            ``teacher/``, both plain Hugging Face CLIP folders.
        resume: Go on with a run that was stopped (exactly: on a CPU bit for bit); a finished one returns at
            once. False deletes an earlier run of this folder and begins again.

    Returns:
        The run folder.

    Raises:
        InputError: No captioned picture, fewer pairs than a batch, or a folder that holds another run.
        StorageError: Disk full or read-only; the last checkpoint stays.
        UrbanLNError: The loss or the gradient is no longer finite.
        StopRequested: On SIGINT or SIGTERM (KeyboardInterrupt for Ctrl-C in a notebook), after the step under
            way and with a checkpoint.

    Source:
        UrbanLN (arXiv 2511.07062), MSD; ALBEF (arXiv 2107.07651); schedule of Long-CLIP (arXiv 2403.15378).
    """
    cities = [city] if isinstance(city, City) else list(city)
    if not cities:
        raise InputError("no city to train on", where="cities", remedy="give one city folder or more")
    settings = settled(settings, cities)
    if settings.train.lora_rank:
        require("peft")
    engine = start_engine(settings.train)
    note = describe_run(settings, cities, processes=engine.num_processes, **_place(engine))
    with closing(RunFolder(Path(out), note, resume=resume, writes=engine.is_main_process)) as run:
        if not agree(engine, note, run.finished, run.out / RUN_FILE):
            _train(engine, cities, settings, run)
    return run.out


def _train(engine: Accelerator, cities: Sequence[City], settings: Settings, run: RunFolder) -> None:
    """Train a run to its end, from its last checkpoint where there is one."""
    train = settings.train
    torch.manual_seed(train.seed)
    student = load_clip(settings.model.name, **settings.model.model_dump(exclude={"name"}))
    if engine.is_main_process and student.family.advice:
        saying.say(f"{student.family.title}: {student.about_texts}")
    data = load_data(cities, student, train, settings.cache, say=engine.is_main_process)
    pairs = _hash(data.pairs)
    agree_on_pairs(engine, pairs, run.out)
    count = len(epoch_plan(data.pairs, train, 0))
    schedule = make_schedule(count, engine.num_processes, train)
    learner = assemble(engine, student, train)
    step = _restore(learner, pairs, run)
    if step == 0:
        _log_start(run, learner, data, schedule, train, count)
    if train.tensorboard:
        run.open_tensorboard(step)
    try:
        _fit(learner, data, schedule, run, train, step, pairs)
        if engine.is_main_process:
            card = _card(cities, data, settings, run)
            learner.teacher.model.save(run.out / TEACHER, card)
            if train.lora_rank:
                save_adapter(student, run.out / ADAPTER, _base_of(settings))
                merge(student)
            student.save(run.out / MODEL, card)
            run.log("done", step=schedule.total, seconds=run.seconds)
    except UrbanLNError as error:
        kept = list_checkpoints(run.checkpoints)
        if kept:
            error.where = f"{error.where}; last good checkpoint: {kept[0]}"
        raise
    engine.wait_for_everyone()


def _card(cities: Sequence[City], data: Data, settings: Settings, run: RunFolder) -> Training:
    """What the cards of the models say of their training."""
    pictures = data.pairs.pictures["city"].value_counts()
    told = [
        {
            "name": city.meta.name,
            "kind": "synthetic" if city.meta.synthetic else "real",
            "pictures": str(pictures.get(position, 0)),
            "sources": city.meta.terms(),
        }
        for position, city in enumerate(cities)
    ]
    # Without those that change no result: the card of a run that was resumed with others is the same.
    free = {"train": set(FREE_SETTINGS.get("train", ())), "model": set(FREE_SETTINGS.get("model", ()))}
    chosen = settings.model_dump(mode="json", include={"model", "train"}, exclude=free)
    chosen["model"]["name"] = find_source(settings.model.name, settings.model.revision).told
    numbers: dict[str, float] = {}
    for row in run.rows():
        if row["event"] in ("step", "validation"):
            numbers |= {name: value for name, value in row.items() if isinstance(value, float)}
    wanted = ("loss", "i2t_r1", "i2t_r5", "i2t_r10", "t2i_r1", "t2i_r5", "t2i_r10")
    return Training(told, chosen, {name: numbers[name] for name in wanted if name in numbers})


def _base_of(settings: Settings) -> dict[str, str]:
    """Which network an adapter belongs to."""
    source = find_source(settings.model.name, settings.model.revision)
    return {"base": source.told, "revision": source.revision or "", "sha256": source.weights_hash()}


def _place(engine: Accelerator) -> dict[str, str]:
    """Kind of device and precision that this process computes in."""
    precision = engine.mixed_precision if engine.mixed_precision != "no" else "fp32"
    return {"device": engine.device.type, "precision": precision}


def load_data(
    cities: Sequence[City], model: LongClip, train: TrainSettings, cache: CacheSettings, *, say: bool
) -> Data:
    """Read all that a run trains on: pictures (from the cache of pixels, or decoded into it), pairs, texts.

    Args:
        cities: Where pictures and captions come from.
        model: Whose preprocessing and tokenizer apply.
        train: ``view``, ``fit``, ``workers``, ``seed`` and ``val_fraction`` are used.
        cache: How much may be kept of decoded pictures.
        say: Report on stderr what was left out.

    Raises:
        InputError: No captioned picture of this view, or none that can be read.
    """
    listed, left_out = list_pictures(cities, train.view)
    pictures, rows, unreadable = read_all(cities, listed, model, train, cache, say=say)
    pairs = build_pairs(cities, rows, train)
    facts = {
        "cities": [city.name for city in cities],
        "pictures": len(rows),
        "pictures_without_caption": left_out["without_caption"],
        "pictures_to_test_on": left_out["test"],
        "pictures_unreadable": unreadable,
        "captions": len(pairs.texts),
        "train_pictures": len(pairs.train),
        "validation_pictures": len(pairs.val),
    }
    if say and left_out["without_caption"]:
        saying.say(f"left out {left_out['without_caption']} pictures that have no caption")
    if say and rows[SPLIT].notna().any():
        told = f"{len(pairs.train)} pictures to train on, {len(pairs.val)} to validate with"
        part = " there" if rows[SPLIT].isna().any() else ""
        saying.say(
            f"split as the pictures say: {told}, {left_out['test']} to test on that are not looked at; "
            f"train.val_fraction plays no part{part}"
        )
    return Data(pairs, pictures, Texts(model, pairs.texts, Rewording.of(train)), facts)


def _log_start(
    run: RunFolder, learner: Learner, data: Data, schedule: Schedule, train: TrainSettings, count: int
) -> None:
    engine = learner.engine
    if schedule.warmup < train.warmup_steps and engine.is_main_process:
        saying.say(
            f"note: warm-up is {schedule.warmup} steps in place of {train.warmup_steps}, "
            f"a quarter of the run's {schedule.total}"
        )
    if train.lora_rank and train.lr < _LOW_FOR_ADAPTERS and engine.is_main_process:
        saying.say(f"note: adapters want a rate of 1e-4 or so, and hardly move at train.lr = {train.lr:g}")
    run.log(
        "start",
        **data.facts,
        pairs_per_epoch=count,
        steps_per_epoch=schedule.per_epoch,
        total_steps=schedule.total,
        warmup_steps=schedule.warmup,
        processes=engine.num_processes,
        batch=train.batch_size * engine.num_processes,
        **_place(engine) | {"device": str(engine.device)},
        trained_parameters=sum(p.numel() for p in learner.student.parameters() if p.requires_grad),
    )
    _validate(run, learner, data, train, 0, 0)


def _fit(
    learner: Learner,
    data: Data,
    schedule: Schedule,
    run: RunFolder,
    train: TrainSettings,
    step: int,
    pairs: str,
) -> None:
    """The loop. ``step`` counts finished optimiser steps; every random choice is a function of it."""
    saved_at, engine = time.monotonic(), learner.engine
    shown = (
        progress(f"pre-training {run.out.name}", schedule.total - step)
        if engine.is_main_process
        else nullcontext(_tell_nobody)
    )
    with hold() as told_to_stop, shown as advance:
        for epoch in range(step // schedule.per_epoch, train.epochs):
            plan = epoch_plan(data.pairs, train, epoch)
            for position in range(step % schedule.per_epoch, schedule.per_epoch):
                facts = train_step(learner, data, plan, position, step, schedule, train)
                step += 1
                finite = {name: value if math.isfinite(value) else None for name, value in facts.items()}
                run.log("step", step=step, epoch=epoch, **finite, time=run.seconds)
                if position == schedule.per_epoch - 1:
                    _validate(run, learner, data, train, step, epoch)
                stops = _in_any_process(engine, told_to_stop())
                due = time.monotonic() - saved_at >= 60 * train.checkpoint_minutes
                if stops or due or step == schedule.total:
                    _save(learner, run, step, pairs)
                    saved_at = time.monotonic()
                if stops:
                    raise StopRequested(signal.SIGTERM)
                advance(1, f"loss {facts['loss']:.3f}")


def _tell_nobody(n: int = 1, note: str = "") -> None:
    """How far it is, for processes that do not show it."""


def _in_any_process(engine: Accelerator, flag: bool) -> bool:
    """Whether the flag is up anywhere: all stop after the same step, or one would wait for ever."""
    if engine.num_processes == 1:
        return flag
    return bool(engine.reduce(torch.tensor(int(flag), device=engine.device), "sum").item())


def _validate(
    run: RunFolder, learner: Learner, data: Data, train: TrainSettings, step: int, epoch: int
) -> None:
    """Retrieval on the held-out regions, by the first process alone: it changes nothing."""
    if learner.engine.is_main_process and len(data.pairs.val):
        run.log("validation", step=step, epoch=epoch, **retrieval(learner, data, max(train.batch_size, 32)))


@torch.no_grad()
def retrieval(learner: Learner, data: Data, batch_size: int) -> dict[str, float]:
    """R@1, R@5, R@10 over the validation pictures and their selected captions, both ways.

    Pairs with an id in common (views of a region, equal captions) are right answers alike.

    Args:
        learner: Its student is asked, in the training's precision; its mode is left as it was.
        data: Pairs, pixels and token ids.
        batch_size: Pictures and texts per forward pass.

    Returns:
        ``i2t_r1, …, t2i_r10`` (shares) and ``n``, the number of pairs they were taken over.
    """
    model, pairs = learner.student, data.pairs
    training = model.training
    model.eval()
    image, text = [], []
    for rows in micro_batches(len(pairs.val), batch_size):
        part = pairs.val[rows]
        with learner.engine.autocast():
            image.append(model.encode_image(data.pictures.pixels(part)))
            text.append(model.encode_text(data.texts.ids(pairs.selected[part])))
    model.train(training)
    image_ND, text_ND = torch.cat(image).float(), torch.cat(text).float()
    ids = torch.from_numpy(pairs.ids(pairs.val, pairs.selected[pairs.val])).to(image_ND.device)
    i2t, t2i = find(image_ND, text_ND, ids, ids), find(text_ND, image_ND, ids, ids)
    scores = {f"i2t_r{k}": share for k, share in recall(i2t.ahead).items()}
    scores |= {f"t2i_r{k}": share for k, share in recall(t2i.ahead).items()}
    return {**scores, "n": len(pairs.val)}


def _save(learner: Learner, run: RunFolder, step: int, pairs: str) -> None:
    if not learner.engine.is_main_process:
        return
    run.sync()
    scaler = learner.engine.scaler
    tensors = {
        "student": learner.student.state_dict(),
        "teacher": learner.teacher.model.state_dict(),
        "queue": learner.queue.state_dict(),
        "optimizer": flatten_optimizer(learner.optimizer.state_dict()["state"]),
    }
    facts = {"scaler": scaler.state_dict() if scaler is not None else None, "pairs": pairs}
    save_checkpoint(run.checkpoints, Checkpoint(step, run.seconds, tensors, facts))


def _restore(learner: Learner, pairs: str, run: RunFolder) -> int:
    """Take over the newest checkpoint; the number of optimiser steps done, 0 without one."""
    found = from_first(learner.engine, load_newest(run.checkpoints) if run.writes else None)
    if found is None:
        run.rewind(None, 0.0)
        return 0
    if found.facts.get("pairs") != pairs:
        raise InputError(
            "the pictures that can be read are not those this run was started with",
            where=run.out,
            remedy="make the missing pictures readable again, or choose another --out",
        )
    try:
        _take_over(learner, found)
    except (KeyError, ValueError, RuntimeError) as error:  # whole, and of another network
        raise ArtefactError(
            "a checkpoint does not fit this run",
            value=str(error).splitlines()[0],
            where=run.checkpoints,
            remedy="choose another --out, or delete this folder to begin again",
        ) from error
    run.rewind(found.step, found.seconds)
    return found.step


def _take_over(learner: Learner, found: Checkpoint) -> None:
    learner.student.load_state_dict(found.tensors["student"])
    learner.teacher.model.load_state_dict(found.tensors["teacher"])
    learner.queue.load_state_dict(found.tensors["queue"])
    groups = learner.optimizer.state_dict()["param_groups"]
    state = unflatten_optimizer(found.tensors["optimizer"])
    learner.optimizer.load_state_dict({"state": state, "param_groups": groups})
    if learner.engine.scaler is not None and found.facts.get("scaler"):
        learner.engine.scaler.load_state_dict(dict(found.facts["scaler"]))


def _hash(pairs: Pairs) -> str:
    keys = pairs.pictures[["city", "image_id"]].to_csv(index=False)
    return hash_bytes("\n".join([keys, *pairs.texts]).encode())
