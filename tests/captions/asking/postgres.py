"""A PostgreSQL server of the tests' own, which ends with whoever started it."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.waiting import until

_PATIENCE_S = 60.0
_QUICK = ("fsync=off", "full_page_writes=off", "shared_buffers=8MB", "max_connections=40", "autovacuum=off")


def lacking() -> str | None:
    """Why there can be no server here, or None."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed: pip install 'urbanln[postgres]'"
    if _programs() is None:
        return "no PostgreSQL server is installed: apt-get install postgresql"
    return None


def _programs() -> Path | None:
    """The folder of PostgreSQL's programs: on the PATH, or where Debian puts them, the newest."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: -float(one.parent.name))
    return next((one for one in folders if (one / "initdb").exists() and (one / "postgres").exists()), None)


def _end_with_parent() -> None:
    # Also where the tests are killed: PR_SET_PDEATHSIG, after the change of user, which would undo it.
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


class Server:
    """One server with its data in a folder that goes with it; whoever is on this machine may come."""

    def __init__(self, folder: Path) -> None:
        programs = _programs()
        assert programs is not None
        self._programs, self._data = programs, folder / "data"
        self.folder = folder
        # PostgreSQL refuses to run as root.
        self._as: dict[str, Any] = {"cwd": folder, "env": {**os.environ, "LC_ALL": "C"}}
        if os.geteuid() == 0:
            names = {one.pw_name for one in pwd.getpwall()}
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._as |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        command = [self._programs / "initdb", "-D", self._data, "-U", "tests", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*command, "--no-sync"], check=True, capture_output=True, **self._as)
        self.port, self._made = 0, 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, under the port it had before, and wait until it lets clients in."""
        for _ in range(10):
            port = self.port or _free_port()
            options = [*_QUICK, f"port={port}", "listen_addresses=127.0.0.1"]
            options.append(f"unix_socket_directories={self.folder}")
            settings = [part for option in options for part in ("-c", option)]
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    [self._programs / "postgres", "-D", self._data, *settings],
                    stdout=log, stderr=log, preexec_fn=_end_with_parent, **self._as,
                )  # fmt: skip
            until(lambda port=port: not self.runs() or self._lets_in(port), "its start")
            if self.runs():
                self.port = port
                return
        raise AssertionError((self.folder / "log").read_text())

    def runs(self) -> bool:
        """Whether it is there."""
        return self.process is not None and self.process.poll() is None

    def _lets_in(self, port: int) -> bool:
        import psycopg

        try:
            psycopg.connect(f"postgresql://tests@127.0.0.1:{port}/postgres").close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it; with SIGINT it sends its clients away, with SIGQUIT it ends at once, as if it crashed."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(_PATIENCE_S)

    def sql(self, statement: str, url: str = "") -> list[Any]:
        """What a statement gives, in the server's first database or at a URL."""
        import psycopg

        with psycopg.connect(url or self.url("postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def ask_for_password(self, role: str) -> None:
        """Let a role in with its password alone."""
        rules = self._data / "pg_hba.conf"
        rules.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n" + rules.read_text())
        self.sql("SELECT pg_reload_conf()")

    def url(self, database: str) -> str:
        """The address of a database."""
        return f"postgresql://tests@127.0.0.1:{self.port}/{database}"

    def new_database(self, how: str = "") -> str:
        """The URL of an empty database."""
        self._made += 1
        self.sql(f"CREATE DATABASE city{self._made} {how}")
        return self.url(f"city{self._made}")

    def new_schema(self) -> str:
        """The URL of an empty schema, which is there a hundred times sooner than a database."""
        self._made += 1
        self.sql(f"CREATE SCHEMA city{self._made}")
        return f"{self.url('postgres')}?options=-csearch_path%3Dcity{self._made}"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def serving() -> Iterator[Server]:
    """A server that is gone afterwards, with all that is its."""
    # The name of its socket may have 107 letters, and the tests' own folders are too deep.
    folder = Path(tempfile.mkdtemp(prefix="urbanln-pg-"))
    try:
        server = Server(folder)
        try:
            server.start()
            yield server
        finally:
            if server.runs():
                server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder)
