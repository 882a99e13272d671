"""The run folder: what the run was started with, what happened, and whether it may go on."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Required

import tomli_w
from typing_extensions import TypedDict

from urbanln.base.errors import ArtefactError, InputError, require
from urbanln.base.files import storing, write_text
from urbanln.base.leftovers import sweep
from urbanln.base.locks import alone_in
from urbanln.base.outputs import RUN, output_folder
from urbanln.base.parsing import read_events, read_run
from urbanln.model.adapters import is_whole_adapter
from urbanln.model.source import is_whole
from urbanln.train.checkpoint import list_checkpoints
from urbanln.train.described import check_same

RUN_FILE, METRICS_FILE = "run.toml", "metrics.jsonl"
MODEL, TEACHER, ADAPTER, CHECKPOINT = "model", "teacher", "adapter", "checkpoint"
_TENSORBOARD = "tensorboard"
_GOES_ON = "free some space on this disk and run the same command again; it goes on from the last checkpoint"


class _Event(TypedDict, total=False):
    event: Required[str]
    step: int


class RunFolder:
    """A run's folder, opened for going on or for beginning; only the process that writes looks into it.

    That one has it to itself until it closes it.

    Args:
        out: The folder.
        note: From :func:`urbanln.train.described.describe_run`.
        resume: Go on with what is there; False deletes an earlier run of this folder and begins again.
        writes: Whether this process writes (the first one does).

    Attributes:
        finished: The run was finished before, as far as this process sees; there is nothing to do.

    Raises:
        InputError: The folder holds something else, or a run with other settings or data.
        BusyError: Another process trains in it.
        StorageError: It may not be written.
    """

    def __init__(
        self, out: Path, note: Mapping[str, Any], *, resume: bool = True, writes: bool = True
    ) -> None:
        self.out, self.writes = out, writes
        self._adapted = bool(note.get("train", {}).get("lora_rank"))
        self.checkpoints = out / CHECKPOINT
        self._metrics = out / METRICS_FILE
        self._start = time.monotonic()
        self._board: Any = None
        self.finished = False
        self._lock = ExitStack()
        if not writes:  # and does not read either: it may be on another machine, with another disk
            return
        if not (resume and self._is_finished()):  # a finished one may be read-only
            output_folder(out, RUN, ours=_is_run)
        try:
            self._open(note, resume)
        except BaseException:
            self.close()
            raise

    def _open(self, note: Mapping[str, Any], resume: bool) -> None:
        out, file = self.out, self.out / RUN_FILE
        if not (resume and self._is_finished()):
            self._lock.enter_context(alone_in(out, "trains in this folder"))
        if not resume and file.exists():
            for name in (CHECKPOINT, MODEL, TEACHER, ADAPTER, _TENSORBOARD):
                shutil.rmtree(out / name, ignore_errors=True)
            for name in (METRICS_FILE, RUN_FILE):
                (out / name).unlink(missing_ok=True)
        self.finished = self._is_finished()
        # A run refused before its first event may change its settings: nothing would be lost.
        if file.exists() and (self.rows() or list_checkpoints(self.checkpoints)):
            check_same(read_run(file), note, file, finished=self.finished)
        elif (
            not file.exists()
            and out.exists()
            and any(not path.name.startswith(".") for path in out.iterdir())
        ):
            raise InputError(
                "this folder holds something that is not a run", where=out, remedy="choose another --out"
            )
        else:
            write_text(file, tomli_w.dumps(dict(note)))

    def _is_finished(self) -> bool:
        rows = self.rows()
        # A model that lost a file is written anew, from the last checkpoint.
        whole = all(is_whole(self.out / name) for name in (MODEL, TEACHER))
        whole = whole and (not self._adapted or is_whole_adapter(self.out / ADAPTER))
        return bool(rows) and rows[-1].get("event") == "done" and whole

    @property
    def seconds(self) -> float:
        """Time trained so far, over all sittings."""
        return time.monotonic() - self._start

    def rows(self) -> list[dict[str, Any]]:
        """The events of ``metrics.jsonl``; a last line cut off by a kill is left out.

        Raises:
            ArtefactError: A line that others follow is damaged.
        """
        return read_events(self._metrics, _Event)

    def rewind(self, step: int | None, seconds: float) -> None:
        """Drop the events after a checkpoint, as they will happen again; all of them for ``step=None``."""
        self._start = time.monotonic() - seconds
        if not self.writes:
            return
        # What a kill left: each a whole model. This run is locked, so nobody is writing it; what others
        # write into its folder is theirs.
        sweep(self.out, (MODEL, TEACHER, ADAPTER, METRICS_FILE, RUN_FILE), alone=True)
        sweep(self.checkpoints, alone=True)
        kept = [
            row
            for row in self.rows()
            if step is not None and row.get("step", 0) <= step and row.get("event") != "done"
        ]
        write_text(self._metrics, "".join(json.dumps(row) + "\n" for row in kept))

    def log(self, event: str, **values: Any) -> None:
        """Append one event to ``metrics.jsonl`` (and its numbers to TensorBoard, if that is open).

        Raises:
            StorageError: The disk is full or read-only.
        """
        if not self.writes:
            return
        row = {"event": event, **{k: round(v, 9) if k == "time" else v for k, v in values.items()}}
        with storing(self._metrics, _GOES_ON), self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
        if self._board is not None and "step" in values:
            for name, value in values.items():
                if isinstance(value, float) and name != "time":
                    self._board.add_scalar(f"{event}/{name}", value, values["step"])

    def sync(self) -> None:
        """Bring the events to the disk before a checkpoint counts on them.

        Raises:
            StorageError: The disk is full or read-only.
        """
        if self.writes and self._metrics.exists():
            with storing(self._metrics, _GOES_ON), self._metrics.open("rb+") as file:
                os.fsync(file.fileno())

    def open_tensorboard(self, step: int) -> None:
        """Also write curves for TensorBoard, from ``step`` on.

        Raises:
            MissingExtraError: TensorBoard is not installed.
        """
        if self.writes:
            require("tensorboard")
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(self.out / _TENSORBOARD), purge_step=step + 1)

    def close(self) -> None:
        """Close TensorBoard's file, and let another process have the folder."""
        if self._board is not None:
            self._board.close()
            self._board = None
        self._lock.close()


def _is_run(folder: Path) -> bool:
    """Whether the description in a folder is of a run."""
    file = folder / RUN_FILE
    try:
        return file.is_file() and "settings_hash" in read_run(file).get("run", {})
    except ArtefactError:
        return (folder / METRICS_FILE).exists()  # of a run, and damaged, which is told where it is read
