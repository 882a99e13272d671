"""Answers that lie in a folder already: ``file:`` addresses, read where they are and never kept twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from urbanln.base.errors import StorageError
from urbanln.base.parsing import read_file
from urbanln.gather.fetching.guard import RefusedError
from urbanln.gather.source import Answer, Request

_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class Local:
    """Files of folders that a recipe names.

    Args:
        folders: They may lead to these, relative to ``base``, and nowhere else.
        base: What their paths are relative to.
        limit_bytes: What is larger is refused.
    """

    def __init__(self, folders: Sequence[str], base: Path, limit_bytes: int) -> None:
        self._folders = [(base / folder).resolve() for folder in folders]
        self._base, self._limit = base, limit_bytes

    def path(self, request: Request) -> Path:
        """The file of a request.

        Raises:
            RefusedError: It lies in no folder that the recipe names.
        """
        path = (self._base / unquote(request.url.removeprefix("file:").removeprefix("//"))).resolve()
        if not any(path.is_relative_to(folder) for folder in self._folders):
            raise RefusedError(
                "the recipe does not name a folder that holds this file",
                value=str(path),
                where=request.url,
                remedy='if that is meant, name its folder: folders = ["tiles"] in [fetch]',
            )
        return path

    def read(self, request: Request) -> Answer:
        """The content of a file; where there is none, that is the answer.

        Raises:
            InputError: See :meth:`path`; or it is too large, or no ordinary file.
            StorageError: It cannot be read.
        """
        path = self.path(request)
        try:
            return Answer(200, read_file(path, self._limit))
        except _ABSENT:
            return Answer(404, b"")
        except OSError as error:
            what, remedy = f"could not read: {error.strerror}", "check that you may read it"
            raise StorageError(what, where=path, remedy=remedy) from error

    def size(self, request: Request) -> int:
        """Its bytes; 0 where there is none."""
        try:
            return self.path(request).stat().st_size
        except OSError:
            return 0
