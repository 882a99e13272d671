"""The server's run: it stops when it is told to, whoever is still asking, and says what it cannot do."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import uvicorn

from urbanln.base.saying import say
from urbanln.base.stopping import hold, leave

_GRACE = 1.0  # seconds in which answers under way may end; and threads that make them, once more as many


class Server(uvicorn.Server):
    """Answers until SIGINT or SIGTERM, as the package's other commands work until then."""

    _told: Callable[[], bool] = staticmethod(lambda: False)
    _crowded = _ending = False

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until told to stop.

        Args:
            sockets: That listen.

        Raises:
            StopRequested: When told to.
        """
        with hold() as self._told:
            super().run(sockets)

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Signals are listened to already, by the command itself."""
        return nullcontext()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """As :meth:`run`, in a loop that runs."""
        asyncio.get_running_loop().set_exception_handler(self._trouble)
        await super().serve(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Several times a second: whether to stop."""
        return self._told() or await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new questions, give answers under way a moment, then part from who is left.

        A client that keeps its connection open, or sends its question without end, would be waited for.
        """
        self._ending = True
        loop = asyncio.get_running_loop()
        loop.call_later(_GRACE, self._part)
        loop.call_later(2 * _GRACE, leave)
        await super().shutdown(sockets)

    def _part(self) -> None:
        for one in list(self.server_state.connections):
            one.transport.abort()

    def _trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if self._ending:
            return  # asyncio tries a socket again that was closed meanwhile
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(context)
        elif not self._crowded:
            self._crowded = True
            say("more connections at once than files may be open here (ulimit -n): some have to wait")
