"""What sources have in common that read GeoTIFFs, some of them at addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, cast

from urbanln.base.errors import placed, require
from urbanln.gather.local_files import hosts_of, is_address
from urbanln.gather.source import Answer, Answers, Request

Window = tuple[int, int, int, int]


class Addressed:
    """Files of a source, some at addresses: what is asked for of those, and what after they told.

    Args:
        where: The source's section, for errors.
        files: All of the source's files.
        reading: How they are read (:class:`urbanln.gather.grids.Reading`).
        wanted: The windows that are needed of a file, which it checks as well.
    """

    def __init__(
        self, where: str, files: Sequence[str], reading: Any, wanted: Callable[[Any], list[Window]]
    ) -> None:
        self._files, self._where = files, where
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
        with placed(self._where):
            return cast(list[Request], self._remote[request.url].then(request, answer))

    def absent(self, answers: Answers) -> set[str]:
        """The addresses that lead to no file, by the kept answers."""
        heads = {file: answers(remote.first()) for file, remote in self._remote.items()}
        return {file for file, answer in heads.items() if answer is not None and not answer.there}

    def opened(
        self,
        stack: ExitStack,
        file: str,
        answers: Answers,
        here: Callable[[str], AbstractContextManager[Any]],
    ) -> Any:
        """A file, open until a stack ends; None of one at an address, a part of which has no answer.

        Args:
            stack: Closes it.
            file: One of the source's.
            answers: The kept answers.
            here: Opens a file of this machine.
        """
        if file not in self._remote:
            return stack.enter_context(here(file))
        try:
            return stack.enter_context(self._remote[file].open(answers))
        except require("urbanln.gather.cogs").UnansweredError:
            return None
