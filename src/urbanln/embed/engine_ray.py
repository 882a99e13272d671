"""Parts of an embedding made by the workers of a Ray cluster, through Ray Data: a part is a block.

A worker does what a process with ``--part`` does, and writes its parts into the folder that all of them see;
only their numbers go through Ray. So a worker that dies costs the part it was at, and a driver that dies
costs nothing that is there.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from urbanln.base.errors import InputError, UrbanLNError, placed, require
from urbanln.base.files import storing
from urbanln.base.processes import usable_cores
from urbanln.base.progress import progress
from urbanln.base.saying import others_silent, say
from urbanln.base.stopping import StopRequested
from urbanln.city.store import City
from urbanln.embed.parts import PART_SIZE, PartFolder, are_open
from urbanln.embed.stream import PictureEncoder, embed_parts, evaluating
from urbanln.embed.work import Work, kept, lay_out

LOCAL = "local"
"""In place of an address: a cluster of this machine, which ends with the command."""
# Ray tries for ever, and a part may be what its workers die of: of a lack of memory, or of a picture.
_TRIES = 4
# Ray tells its makers about each cluster, sends the working directory to it where `uv run` is at work, and
# says on stderr what nobody here can act on.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_BACKEND_LOG_LEVEL": "fatal",
}  # fmt: skip
_STORE_BYTES = 100_000_000  # of shared memory; Ray wants 75 MB at least, and numbers of parts need none
_ANSWER_SECONDS = 10.0
_SOCKET_ROOM = 40  # of the 107 bytes that a socket's path may have, Ray needs the rest


def parse_engine(text: str) -> str:
    """Read ``"ray"``, ``"ray:auto"`` or ``"ray:HOST:PORT"``.

    Returns:
        What Ray takes for an address; :data:`LOCAL` where there is none.

    Raises:
        InputError: Anything else, as is an address of Ray's client, which Ray Data does not go through.
    """
    found = re.fullmatch(r"ray(?::(auto|[^/\s]+:\d{1,5}))?", text.strip())
    if found is None:
        raise InputError(
            "an engine is ray, ray:auto or ray:HOST:PORT",
            value=text,
            where="--engine",
            remedy="ray: workers on this machine; ray:auto: of the cluster it belongs to; ray:HOST:6379: "
            "of that one. Other schedulers take --part I/N",
        )
    return found[1] or LOCAL


class RayEngine:
    """A cluster, connected to when the first part is wanted and left at the end of the block.

    Every node needs this package in the same version, and sees the city, the model and the parts by the same
    paths.

    Args:
        address: From :func:`parse_engine`.
    """

    def __init__(self, address: str) -> None:
        self._address, self._left = address, ExitStack()
        self._ray: Any = None

    def __enter__(self) -> RayEngine:
        """Ask whether Ray and the cluster are there, before there is any work to be lost.

        Raises:
            MissingExtraError: Ray is not installed.
            InputError: Nobody answers at the address.
        """
        os.environ.update(_QUIET)  # before it is imported
        if self._address == LOCAL:  # its ports take orders from nobody else, and no token is left in the home
            os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
        require("ray")
        host, _, port = self._address.rpartition(":")
        try:  # Ray itself asks for minutes
            if host:
                socket.create_connection((host.strip("[]"), int(port)), _ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise InputError(
                "there is no Ray cluster at this address",
                value=str(error),
                where=f"--engine ray:{self._address}",
                remedy="give what 'ray start --head' said, or none for workers on this machine",
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the cluster; one of this machine ends."""
        self._left.close()

    def make(
        self,
        model: PictureEncoder | str | Path,
        city: City,
        how: Mapping[str, Any],
        folder: PartFolder,
        numbers: Sequence[int],
    ) -> None:
        """Make parts of a folder that is open, and come back when all are there.

        Args:
            model, city: As in :func:`urbanln.embed.work.lay_out`.
            how: Its keywords; the precision is what it came to in this process, on every node.
            folder: Of the parts.
            numbers: Those that are wanted.

        Raises:
            InputError: No such cluster; or a node does not see the folder, or would make something else.
            UrbanLNError: What a worker met with, or Ray itself.
        """
        ray = self._ray or self._connected()
        cores, gpus, workers = _share_out(ray.nodes(), len(numbers))
        if isinstance(model, str | Path) and Path(model).exists():
            model = Path(model).resolve()
        how = {**how, "precision": folder.made_from["precision"], "workers": how.get("workers") or cores}
        run = secrets.token_hex(4)
        blocks = ray.data.from_items([{"part": n} for n in numbers], override_num_blocks=len(numbers))
        made = blocks.map_batches(
            _Worker,
            fn_constructor_args=(model, city.folder.resolve(), folder.folder.resolve(), how, cores, run),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=cores,
            num_gpus=gpus,
        )
        with progress("embedding pictures", folder.count(numbers)) as advance, self._explained(ray):
            for row in made.iter_rows():
                advance(folder.count([row["part"]]))
                if row["tries"] > 1:
                    say(f"a worker was lost; part {row['part']} was begun again")

    def _connected(self) -> Any:
        ray = require("ray")
        require("ray.data")
        # Ray tells of a worker that died on stdout, in a hundred lines, and some time later.
        self._left.enter_context(others_silent())
        options: dict[str, Any] = {"address": self._address}
        if self._address == LOCAL:
            root = tempfile.gettempdir()
            root = root if len(root) < _SOCKET_ROOM else "/tmp"  # noqa: S108
            folder = tempfile.TemporaryDirectory(prefix="ray-", dir=root, ignore_cleanup_errors=True)
            scratch = self._left.enter_context(folder)
            options |= {
                "num_cpus": usable_cores(),
                "include_dashboard": False,
                "object_store_memory": _STORE_BYTES,
                "_node_ip_address": "127.0.0.1",
                "_temp_dir": scratch,
            }
        self._left.callback(ray.shutdown)
        with _own_signals(), self._explained(ray):
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars, context.raise_original_map_exception = False, True
        self._ray = ray
        return ray

    @contextmanager
    def _explained(self, ray: Any) -> Iterator[None]:
        """What a worker raised, as it was; what Ray met with, as an error of ours."""
        try:
            yield
        except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, UrbanLNError):
                raise cause from None
            raise UrbanLNError(
                "Ray could not do its part",
                value=next((line for line in reversed(str(error).splitlines()) if line.strip()), repr(error)),
                where=f"--engine ray:{self._address}",
                remedy="see that the cluster is there, that RAY_AUTH_MODE is as there, that each node has "
                "this urbanln with its extras train and ray, and run the same command again: it goes on",
            ) from error


class _Worker:
    """Makes one part after the other on a node of the cluster."""

    def __init__(
        self,
        model: PictureEncoder | str | Path,
        city: Path,
        parts: Path,
        how: Mapping[str, Any],
        cores: int,
        run: str,
    ) -> None:
        self._given, self._cores, self._run = (model, city, parts, how), cores, run
        self._work: tuple[Work, PartFolder] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        with placed(f"node {socket.gethostname()}"):
            # Not in the constructor: whatever fails there, Ray tries again for ever.
            self._work = work, folder = self._work or self._opened()
            (number,) = batch["part"].tolist()
            with evaluating(work.job), self._counted(folder, number) as tries:
                for _ in kept(folder, [number], embed_parts(work.job, [number])):
                    pass
        return {"part": batch["part"], "tries": np.array([tries])}

    @contextmanager
    def _counted(self, folder: PartFolder, number: int) -> Iterator[int]:
        """Leave a mark of each try beside the parts, which stays if the worker does not; their number."""
        mark = folder.folder / f"tried-{self._run}-{number:05d}"
        with storing(mark), mark.open("ab") as file:
            file.write(b".")
            tries = file.tell()
        if tries > _TRIES:
            raise UrbanLNError(
                f"{_TRIES} workers died over one part of the pictures",
                value=f"part {number}, pictures {PART_SIZE * number:,} and on",
                where=folder.folder,
                remedy="give them more memory, or lower embed.batch_size; what is made is kept",
            )
        yield tries
        mark.unlink(missing_ok=True)

    def _opened(self) -> tuple[Work, PartFolder]:
        model, city, parts, how = self._given
        torch.set_num_threads(self._cores)
        if not are_open(parts):
            raise InputError(
                "this node does not see the folder of the parts",
                where=parts,
                remedy="choose an --out on a disk that all nodes see by the same path",
            )
        work = lay_out(model, City.open(city), **how)
        folder = work.folder(parts)
        folder.open(shared=True)
        return work, folder


def _share_out(nodes: Sequence[Mapping[str, Any]], parts: int) -> tuple[int, int, int]:
    """Cores and GPUs of a worker, and how many there are: one per GPU where there are any.

    Without, one has as many cores as torch takes in this process, as the last bit of a sum may depend on it.

    Raises:
        InputError: No node has a core to spare.
    """
    have = [node["Resources"] for node in nodes if node["Alive"]]
    have = [node for node in have if node.get("CPU", 0) >= 1]
    if gpus := [node for node in have if node.get("GPU", 0) >= 1]:
        cores = min(max(1, int(node["CPU"] // node["GPU"])) for node in gpus)
        return cores, 1, min(parts, sum(int(min(node["GPU"], node["CPU"] // cores)) for node in gpus))
    if not have:
        raise InputError(
            "this cluster has no core to work with",
            value=f"{len(nodes)} nodes",
            where="--engine",
            remedy="add a node to it, or start one with cores: ray start --num-cpus",
        )
    cores = min(torch.get_num_threads(), *(int(node["CPU"]) for node in have))
    return cores, 0, min(parts, sum(int(node["CPU"] // cores) for node in have))


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep what SIGTERM does: Ray takes it while it starts, and keeps it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except StopRequested:
        raise
    except SystemExit as stop:  # of Ray's own handler
        raise StopRequested(signal.SIGTERM) from stop
    finally:
        signal.signal(signal.SIGTERM, before)
