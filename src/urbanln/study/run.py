"""Run a study: plan it, do what is not done yet, and write its tables and page.

    urbanln study studies/ablations.toml --out study-out

Run again after a kill, it goes on with what is missing.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from urbanln.base.errors import UrbanLNError, require
from urbanln.base.locks import alone_in
from urbanln.base.outputs import STUDY, json_of_kind, output_folder
from urbanln.base.processes import usable_cores, worker_pool
from urbanln.base.saying import say
from urbanln.study.cities import check_heads
from urbanln.study.kept import INCOMPLETE, name_for, remove_incomplete
from urbanln.study.spec import Study
from urbanln.study.stages import KINDS, Stage, Work, make_work

CACHE = "cache"


def run_study(study: Study, out: Path, *, jobs: int | None = None) -> Path:
    """Do the stages of a study that are not done, score it, and write ``study.json``, CSV, Markdown and page.

    Stages go city by city and seed by seed, so that a stopped study has whole sets. A stage that fails stops
    what depends on it and nothing else; it is named in the result.

    Args:
        study: From :func:`urbanln.study.spec.load_study`.
        out: Folder of results and of ``cache/``; run again, only what is missing is done.
        jobs: Processes, by default one per core; with several, each counts on one thread, because two
            trainings that share two cores with two threads each wait for one another.

    Returns:
        The page.

    Raises:
        InputError: The folder holds something else, or a head cannot learn the labels.
        StudyIncompleteError: A variant failed. All that could be scored is written first, as
            ``study-incomplete`` where a better result is there.
        BusyError: Another process works on a study in this folder.
        UrbanLNError: No variant could be scored at all, or a process was killed.
        MissingExtraError: torch is not installed and a variant needs it.
    """
    from urbanln.study.page import write_results
    from urbanln.study.scores import collect

    output_folder(out, STUDY, ours=_is_study, inputs=study.cities)
    work = make_work(study)
    if any(stage.kind in ("embed", "retrieve") for stage in work.stages.values()):
        require("torch")  # said now, not after the first city is drawn
    if not work.corpora:
        check_heads(study)
    with alone_in(out, "works on a study in this folder"):
        failed = _do_all(work, out / CACHE, jobs or usable_cores())
        result = collect(study, work, out / CACHE, failed)
        name = name_for(out, result)
        page = write_results(out, result, name)
        if not result["failed"]:
            remove_incomplete(out)
    if result["failed"]:
        raise _incomplete(result, page, name)
    return page


class StudyIncompleteError(UrbanLNError):
    """Some variants could not be scored; the result holds the others."""


def _incomplete(result: Mapping[str, Any], page: Path, name: str) -> StudyIncompleteError:
    faults, reasons = result["failed"], Counter(fault["reason"] for fault in result["failed"])
    names = ", ".join(dict.fromkeys(fault["variant"] for fault in faults))
    stays = "; the better result that was there stays" if name == INCOMPLETE else ""
    return StudyIncompleteError(
        f"{len(faults)} of {len(faults) + result['scored']} scores are missing: {names}{stays}",
        value=reasons.most_common(1)[0][0],
        where=page,
        remedy="put that right and run the same command again: what is done is kept",
    )


def _is_study(folder: Path) -> bool:
    """Whether the cache in a folder is of a study, and its result, where there is one."""
    result, cache = folder / "study.json", folder / CACHE
    stages = sorted(cache.glob("[!.]*")) if cache.is_dir() else []
    return all(path.name in KINDS for path in stages) and (
        json_of_kind("study")(result) if result.exists() else bool(stages)
    )


def plan_lines(study: Study, out: Path) -> list[str]:
    """What a study would do, in words; nothing is done."""
    work = make_work(study)
    cache = out / CACHE
    lines = [
        f"{study.name}: {len(study.variants)} variants, {len(study.cities)} cities, "
        f"{len(study.seeds)} seeds; stages that variants share are counted once"
    ]
    for kind in KINDS:
        own = [stage for stage in work.stages.values() if stage.kind == kind]
        if not own:
            continue
        there = sum(stage.done(cache) for stage in own)
        lines.append(f"  {kind:<10} {len(own):>4}: {len(own) - there} to do, {there} there")
    for variant in study.variants:
        scores = [score for score in work.scores if score.variant == variant.name]
        names = {name for score in scores for name in work.needed_by(score)}
        trainings = [work.stages[name] for name in names if work.stages[name].kind == "pretrain"]
        left = sum(not stage.done(cache) for stage in trainings)
        scored = sum(work.stages[score.stage].done(cache) for score in scores)
        lines.append(
            f"  {variant.name}: {len(trainings)} trainings ({left} to do), {scored} of {len(scores)} scored"
        )
    return lines


class _Queue:
    """What is left to do, in order.

    Args:
        work: All stages.
        cache: Their folder.

    Attributes:
        left: Stages neither done, under way nor failed.
        running: Stages under way.
        failed: Stage id to the reason.
    """

    def __init__(self, work: Work, cache: Path) -> None:
        self.work, self.cache = work, cache
        self.running: dict[Future[str | None], Stage] = {}
        self.failed: dict[str, str] = {}
        wanted = dict.fromkeys(name for score in work.scores for name in work.needed_by(score))
        stages = {name: work.stages[name] for name in wanted}
        self.left = {name: stage for name, stage in stages.items() if not stage.done(cache)}
        self._start, self._total = time.monotonic(), len(self.left)
        self._done, self._cost = 0, 0

    def next(self) -> Stage | None:
        """The first stage whose needs are met; those that need a failed one fail with it."""
        busy = {stage.id for stage in self.running.values()}
        for name, stage in list(self.left.items()):
            broken = [need for need in stage.needs if need in self.failed]
            if broken:
                self.failed[name] = self.failed[broken[0]]
                del self.left[name]
            elif not any(need in self.left or need in busy for need in stage.needs):
                del self.left[name]
                return stage
        return None

    def task(self, stage: Stage) -> tuple[Stage, Path, list[Path]]:
        """What :func:`_attempt` takes."""
        return stage, self.cache, [self.work.stages[need].folder(self.cache) for need in stage.needs]

    def over(self, stage: Stage, reason: str | None) -> None:
        """Say that a stage is done or has failed, and how long the rest may take by rough costs."""
        if reason is not None:
            self.failed[stage.id] = f"{stage.kind}: {reason}"
        self._done += 1
        self._cost += _WEIGHTS[stage.kind]
        gone = time.monotonic() - self._start
        left = gone * sum(_WEIGHTS[one.kind] for one in self.left.values()) / self._cost
        outcome = "done" if reason is None else f"failed: {reason}"
        say(
            f"[{self._done}/{self._total}] {stage.kind} ({stage.label}) {outcome}; {_minutes(gone)} gone, "
            f"about {_minutes(left)} left"
        )


def _do_all(work: Work, cache: Path, jobs: int) -> dict[str, str]:
    """Do what is left; the reasons of stages that failed, by stage."""
    queue = _Queue(work, cache)
    if jobs == 1 or not queue.left:
        while (stage := queue.next()) is not None:
            queue.over(stage, _attempt(*queue.task(stage)))
        return queue.failed
    try:
        with worker_pool(jobs, threads=1) as pool:
            while True:
                while len(queue.running) < jobs and (stage := queue.next()) is not None:
                    queue.running[pool.submit(_attempt, *queue.task(stage))] = stage
                if not queue.running:
                    return queue.failed
                for future in wait(queue.running, return_when=FIRST_COMPLETED).done:
                    queue.over(queue.running.pop(future), future.result())
    except BrokenProcessPool as error:
        raise UrbanLNError(
            "a process of the study was killed, perhaps for want of memory",
            remedy="run the same command again, it goes on; with --jobs 1 if memory is short",
            where="--jobs",
        ) from error


def _attempt(stage: Stage, cache: Path, needs: list[Path]) -> str | None:
    """Do a stage; the reason where it fails, which must not stop the others."""
    from urbanln.study.work import do_stage

    try:
        do_stage(stage, cache, needs)
    except UrbanLNError as error:
        return str(error).replace("\n", ";")
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


# Rough shares of time, for the time left only.
_WEIGHTS = {
    "city": 5, "candidates": 60, "vote": 30, "captions": 2,
    "pretrain": 60, "embed": 5, "score": 5, "floors": 10, "retrieve": 5,
}  # fmt: skip
