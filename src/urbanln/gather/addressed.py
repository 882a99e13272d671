"""What sources have in common that read GeoTIFFs, some of them at addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from urbanln.base.errors import require
from urbanln.gather.local_files import hosts_of, is_address
from urbanln.gather.source import Answer, Request

Window = tuple[int, int, int, int]


class Addressed:
    """Files of a source, some at addresses: what is asked for of those, and what after they told.

    Args:
        files: All of the source's files; those of this machine are left alone.
        reading: How they are read (:class:`urbanln.gather.grids.Reading`).
        wanted: The windows that are needed of a file, which it checks as well.
    """

    def __init__(self, files: Sequence[str], reading: Any, wanted: Callable[[Any], list[Window]]) -> None:
        self._files = files
        self._remote: dict[str, Any] = {
            file: require("urbanln.gather.cogs").Remote(file, reading, wanted)
            for file in filter(is_address, files)
        }

    def hosts(self) -> list[str]:
        """Of the addresses."""
        return hosts_of(self._files)

    def first(self) -> Iterator[Request]:
        """What the files at addresses say of themselves; nothing is asked of those that lie here."""
        return (remote.first() for remote in self._remote.values())

    def more(self) -> int:
        """The blocks of files that have not told yet what they are, about."""
        return require("urbanln.gather.cogs").blocks_left(self._remote.values()) if self._remote else 0

    def then(self, request: Request, answer: Answer) -> Iterable[Request]:
        """The blocks of a file that the regions lie on."""
        return cast(list[Request], self._remote[request.url].then(request, answer))
