"""What is at an address is fetched once, checked, kept, and every fault of it is one of ours."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.spec import AbstractFileSystem

from urbanln.base import remote
from urbanln.base.errors import InputError, MissingExtraError, StorageError, UrbanLNError
from urbanln.base.files import hash_bytes
from urbanln.base.remote import Fetched, NotThereError, read_bytes

MB = 1 << 20


class FaultyStore(AbstractFileSystem):
    """A store that fails as it is told to: ``faults`` are raised first, one per attempt."""

    protocol = "faulty"
    cachable = False
    content: ClassVar[dict[str, bytes]] = {}
    faults: ClassVar[list[Exception]] = []
    asked: ClassVar[list[str]] = []
    announced: int | None = None
    lock = threading.Lock()

    def _open(self, path: str, mode: str = "rb", **options: Any) -> io.BytesIO:
        name = self._strip_protocol(path)
        with self.lock:
            type(self).asked.append(name)
            if self.faults:
                raise self.faults.pop(0)
        if name not in self.content:
            raise FileNotFoundError(name)
        file = io.BytesIO(self.content[name])
        if self.announced is not None:
            file.size = self.announced  # type: ignore[attr-defined]
        return file


@pytest.fixture
def store() -> Iterator[type[FaultyStore]]:
    fsspec.register_implementation("faulty", FaultyStore, clobber=True)
    FaultyStore.content, FaultyStore.faults, FaultyStore.asked = {"a.png": b"picture"}, [], []
    FaultyStore.announced = None
    remote._given_up.clear()
    yield FaultyStore
    remote._given_up.clear()


def of(name: str, base: type[Exception] = Exception, **facts: object) -> Exception:
    """An error as a package that is not installed here would raise it."""
    error = type(name, (base,), {})("it went wrong\nin two lines")
    for key, value in facts.items():
        setattr(error, key, value)
    return error


def no_such_file(cause: Exception) -> Exception:
    """What fsspec makes of any fault of a web server."""
    error = FileNotFoundError("http://a/b.png")
    error.__cause__ = cause
    return error


PASSING = [
    no_such_file(of("ClientConnectorError", OSError)),
    no_such_file(of("ClientResponseError", status=502)),
    no_such_file(TimeoutError()),
    OSError("connection reset"),
    ConnectionResetError("by peer"),
    TimeoutError(),
    of("ClientPayloadError"),
    of("ServerDisconnectedError"),
    of("EndpointConnectionError"),
    of("ClientResponseError", status=503),
    of("ClientResponseError", status=429),
    of("ClientError", response={"ResponseMetadata": {"HTTPStatusCode": 500}}),
    of("HttpError", code="502"),
    of("HTTPError", response=of("Response", status_code=504)),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_tried_again_after_growing_pauses(store: Any, error: Exception) -> None:
    waited: list[float] = []
    store.faults[:] = [error, error]
    assert read_bytes("faulty://a.png", limit_bytes=MB, sleep=waited.append) == b"picture"
    assert waited == list(remote.PAUSES_S[:2])
    assert waited == sorted(set(waited))
    store.faults[:] = [error] * 9
    with pytest.raises(StorageError, match="could not read") as caught:
        read_bytes("faulty://a.png", limit_bytes=MB, sleep=waited.append)
    assert len(store.faults) == 9 - 1 - len(remote.PAUSES_S)
    assert "faulty://a.png" in str(caught.value)
    assert "two lines" not in str(caught.value)


LASTING = [
    (no_such_file(of("ClientResponseError", status=404)), NotThereError),
    (no_such_file(of("ClientResponseError", status=403)), InputError),
    (no_such_file(KeyError("b.png")), NotThereError),
    (FileNotFoundError("a.png"), NotThereError),
    (of("ClientResponseError", status=404), NotThereError),
    (of("ClientResponseError", status=410), NotThereError),
    (of("HttpError", code=403), InputError),
    (of("ClientError", response={"ResponseMetadata": {"HTTPStatusCode": 401}}), InputError),
    (PermissionError("no"), InputError),
    (of("NoCredentialsError"), StorageError),
    (of("ClientConnectorCertificateError"), StorageError),
    (of("ClientResponseError", status=400), StorageError),
    (IsADirectoryError("a folder"), StorageError),
    (ValueError("not a protocol"), StorageError),
    (KeyError("bucket"), StorageError),
    (ImportError("install s3fs"), MissingExtraError),
]


@pytest.mark.parametrize(("error", "kind"), LASTING, ids=lambda case: getattr(case, "__name__", repr(case)))
def test_what_lasts_is_told_at_once(store: Any, error: Exception, kind: type[UrbanLNError]) -> None:
    store.faults[:] = [error]
    with pytest.raises(kind):
        read_bytes("faulty://a.png", limit_bytes=MB, sleep=pytest.fail)
    assert store.asked == ["a.png"]


def test_a_body_that_is_cut_off_is_fetched_again_and_never_given_out(store: Any) -> None:
    store.announced = 1000
    with pytest.raises(StorageError, match="cut off: 7 of 1,000 bytes"):
        read_bytes("faulty://a.png", limit_bytes=MB, sleep=lambda _: None)
    assert len(store.asked) == 1 + len(remote.PAUSES_S)


@pytest.mark.parametrize("announced", [None, 5000])
def test_what_is_too_large_is_refused(store: Any, announced: int | None) -> None:
    store.content["big"], store.announced = b"x" * 5000, announced
    with pytest.raises(InputError, match="larger than"):
        read_bytes("faulty://big", limit_bytes=4999, sleep=pytest.fail)
    assert len(read_bytes("faulty://big", limit_bytes=5000)) == 5000


def test_a_stream_that_gives_little_at_a_time_is_read_to_its_end(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drops(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(3, size or 3) if size != -1 else 3)

    monkeypatch.setattr(store, "_open", lambda self, path, mode="rb", **options: Drops(b"0123456789"))
    assert read_bytes("faulty://a.png", limit_bytes=MB) == b"0123456789"


def test_a_host_that_is_down_is_not_waited_for_over_and_over(store: Any) -> None:
    waited: list[float] = []
    store.faults[:] = [OSError("down")] * 1000
    for _ in range(20):
        with pytest.raises(StorageError):
            read_bytes("faulty://a.png", limit_bytes=MB, sleep=waited.append)
    assert len(waited) == 8 * len(remote.PAUSES_S)
    store.faults.clear()
    assert read_bytes("faulty://a.png", limit_bytes=MB, sleep=waited.append) == b"picture"
    store.faults[:] = [OSError("again")]
    assert read_bytes("faulty://a.png", limit_bytes=MB, sleep=waited.append) == b"picture"


def test_files_by_address_are_read_here_and_devices_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"here")
    assert read_bytes(f"file://{tmp_path}/a.png", limit_bytes=MB) == b"here"
    with pytest.raises(InputError, match="a device"):
        read_bytes("file:///dev/zero", limit_bytes=MB)
    with pytest.raises(NotThereError):
        read_bytes(f"file://{tmp_path}/none", limit_bytes=MB)


def test_fetched_once_over_threads_and_processes(store: Any, tmp_path: Path) -> None:
    sha = hash_bytes(b"picture")
    fetched = Fetched(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda _: fetched.read("faulty://a.png", sha, limit_bytes=MB), range(40)))
    assert read == [b"picture"] * 40
    assert Fetched(tmp_path).read("faulty://elsewhere.png", sha.upper(), limit_bytes=MB) == b"picture"
    assert store.asked == ["a.png"]


def test_without_a_hash_an_address_is_fetched_once_per_process(store: Any, tmp_path: Path) -> None:
    one, other = Fetched(tmp_path), Fetched(tmp_path)
    for _ in range(3):
        assert one.read("faulty://a.png", limit_bytes=MB) == b"picture"
    assert len(store.asked) == 1
    store.content["a.png"] = b"another"
    assert other.read("faulty://a.png", limit_bytes=MB) == b"another"


@pytest.mark.parametrize("sha", [hash_bytes(b"other"), "no hash", "../../etc/passwd"])
def test_another_content_than_the_hash_says_is_refused_as_such(store: Any, tmp_path: Path, sha: str) -> None:
    with pytest.raises(InputError, match="not what its sha256 says") as caught:
        Fetched(tmp_path).read("faulty://a.png", sha, limit_bytes=MB)
    assert "faulty://a.png" in str(caught.value)
    assert not list(tmp_path.rglob("*"))


def test_what_is_damaged_on_the_disk_is_fetched_again(store: Any, tmp_path: Path) -> None:
    sha, fetched = hash_bytes(b"picture"), Fetched(tmp_path)
    fetched.read("faulty://a.png", sha, limit_bytes=MB)
    (kept,) = (path for path in tmp_path.rglob("*") if path.is_file())
    kept.write_bytes(b"pictur")
    assert fetched.read("faulty://a.png", sha, limit_bytes=MB) == b"picture"
    assert kept.read_bytes() == b"picture"


def test_room_is_made_by_last_use_and_never_of_what_is_in_use(store: Any, tmp_path: Path) -> None:
    store.content = {f"{n}": bytes([n]) * 100 for n in range(8)}

    def held() -> set[int]:
        return {path.read_bytes()[0] for path in tmp_path.rglob("*") if path.is_file()}

    before = Fetched(tmp_path, 1000)
    for n in range(4):
        before.read(f"faulty://{n}", limit_bytes=MB)
        os.utime(before._place(hash_bytes(store.content[f"{n}"])), (1e9 + n, 1e9 + n))
    fetched = Fetched(tmp_path, 410)
    fetched.read("faulty://0", hash_bytes(store.content["0"]), limit_bytes=MB)  # the oldest, now in use
    for n in (4, 5, 6):
        assert fetched.read(f"faulty://{n}", limit_bytes=MB) == store.content[f"{n}"]
    assert held() == {0, 4, 5, 6}
    fetched.read("faulty://7", limit_bytes=MB)
    assert held() == {0, 4, 5, 6}, "full of what is in use: the next is not kept"


def test_nothing_is_kept_where_that_is_wanted_or_cannot_be(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(remote.LIMIT_VARIABLE, "0")
    assert Fetched(tmp_path / "a").read("faulty://a.png", limit_bytes=MB) == b"picture"
    assert not (tmp_path / "a").exists()
    assert capsys.readouterr().err == ""
    for wrong in ("much", "-1", "nan"):
        monkeypatch.setenv(remote.LIMIT_VARIABLE, wrong)
        assert Fetched(tmp_path / "a").read("faulty://a.png", limit_bytes=MB) == b"picture"
        assert remote.LIMIT_VARIABLE in capsys.readouterr().err
    monkeypatch.delenv(remote.LIMIT_VARIABLE)
    (tmp_path / "file").write_text("")
    fetched = Fetched(tmp_path / "file" / "deep")
    assert [fetched.read("faulty://a.png", limit_bytes=MB) for _ in range(2)] == [b"picture"] * 2
    assert capsys.readouterr().err.count("cannot be kept") == 1


@pytest.mark.parametrize("url", ["https://[x/a.jpg", "http://[::1/b.png"])
def test_what_is_no_address_is_refused_as_such(url: str) -> None:
    with pytest.raises(InputError, match="this is no address"):
        read_bytes(url, limit_bytes=MB, sleep=pytest.fail)
