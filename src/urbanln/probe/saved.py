"""What a probe leaves in its folder, and whether it may take the place of what is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import atomic_path, write_json, write_table, write_text
from urbanln.base.outputs import SCORES, json_of_kind, of_kind, output_folder
from urbanln.base.parsing import read_json
from urbanln.probe.table import scores_csv, scores_latex, scores_markdown
from urbanln.probe.transfer import save_transfer

if TYPE_CHECKING:
    from urbanln.probe.run import ProbeResult

_SCORES, _PREDICTIONS = "scores.json", "predictions.parquet"
_TRANSFER = ("transfer.json", "transfer.parquet")
_SHOWN = 3


def save_result(folder: Path | str, result: ProbeResult) -> None:
    """Write a result into a folder, each file whole or not at all, ``scores.json`` last.

    ``predictions.parquet`` and ``folds.parquet`` hold every region; ``scores.csv`` every number of the
    scores, ``scores.md`` and ``scores.tex`` the table to read and to print. Rows of transfer between cities,
    where the scores hold some, stand in ``transfer.json`` and ``transfer.parquet`` as well.

    Raises:
        StorageError: The folder cannot be written.
    """
    folder, scores = Path(folder), result.scores
    made_from = scores["made_from"]
    with ExitStack() as stack:
        # All are written in full beside their targets; leaving the stack renames them, the first one last.
        write_json(stack.enter_context(atomic_path(folder / _SCORES)), scores)
        for name, text in (("csv", scores_csv), ("md", scores_markdown), ("tex", scores_latex)):
            write_text(stack.enter_context(atomic_path(folder / f"scores.{name}")), text(scores))
        for name, table in (("folds", result.folds), ("predictions", result.predictions)):
            target = stack.enter_context(atomic_path(folder / f"{name}.parquet"))
            write_table(target, table, kind=name, made_from=made_from)
    if scores.get("transfer"):
        save_transfer(folder, scores["transfer"], made_from)
    else:
        for name in _TRANSFER:  # of an earlier result
            (folder / name).unlink(missing_ok=True)


def check_folder(
    folder: Path | str, asked: Mapping[str, Any], *, replace: bool = False, inputs: Iterable[Path | str] = ()
) -> None:
    """Refuse a folder whose scores were made otherwise, before anything is scored.

    Args:
        folder: Where the scores are to go.
        asked: What they are made with, by the keys of ``scores.json``: ``settings``, ``tables``, ``main``,
            ``baseline``, ``labels``; of ``made_from`` what of it counts. What older scores do not name is
            not compared.
        replace: Take the place of what is there, whatever it was made with.
        inputs: Files the probe reads.

    Raises:
        InputError: The scores there differ in what they were made with; or it is no folder for scores
            (:func:`urbanln.base.outputs.output_folder`).
        StorageError: It cannot be written.
    """
    folder = output_folder(folder, SCORES, ours=_is_ours, inputs=inputs)
    if replace or not (folder / _SCORES).exists():
        return
    remedy = "give another --out, or say that they may go: --replace"
    try:
        found = read_json(folder / _SCORES)
    except ArtefactError as error:
        raise ArtefactError(
            "the scores in this folder are damaged", value=error.value, where=folder / _SCORES, remedy=remedy
        ) from error
    differ = [
        f"{name}: {_short(was)} there, {_short(now)} asked for"
        for name, was, now in _pairs(found, asked)
        if was != now
    ]
    if differ:
        more = f"; and {len(differ) - _SHOWN} more" if len(differ) > _SHOWN else ""
        raise InputError(
            "this folder holds scores that were made otherwise",
            value="; ".join(differ[:_SHOWN]) + more,
            where=folder,
            remedy=remedy,
        )


def _is_ours(folder: Path) -> bool:
    """Whether scores of ours are here; the predictions are written before all else."""
    predictions = folder / _PREDICTIONS
    if predictions.exists():
        return of_kind("predictions")(predictions)
    return json_of_kind("scores")(folder / _SCORES)


def _pairs(found: Mapping[str, Any], asked: Mapping[str, Any]) -> Iterable[tuple[str, Any, Any]]:
    """What is compared: its name, its value in the scores that are there, and the one asked for."""
    for key, now in asked.items():
        was = found.get(key, now)
        if not isinstance(now, Mapping) or not isinstance(was, Mapping):
            yield key, was, now
        elif key == "settings":
            yield from ((f"probe.{name}", was.get(name, value), value) for name, value in now.items())
        else:
            yield from ((name, was.get(name), value) for name, value in now.items())


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:57] + "…"
