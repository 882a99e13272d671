"""The ledger on a PostgreSQL server: hosts that share it, a server that goes away, what may not be used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tests.captions.asking.postgres import Server
from tests.captions.asking.test_ledger import ANSWER, IDENTITY, _ask, _record
from tests.waiting import until

from urbanln.base.errors import ArtefactError, InputError, StorageError
from urbanln.base.owner import _start_time
from urbanln.base.stopping import StopRequested, orderly
from urbanln.captions.asking.ledger import Ledger, ask_key
from urbanln.captions.asking.ledger_place import check_url, has_ledger
from urbanln.captions.asking.ledger_schema import LedgerFault

ROOT = Path(__file__).parents[3]


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.new_schema()


def test_a_claim_goes_with_its_session_and_the_first_answer_stays(url: str, postgres: Server) -> None:
    with Ledger(url) as cut_off, Ledger(url) as other:
        key = ask_key(_ask(), IDENTITY)
        assert cut_off.claim(key) == "mine"
        assert other.claim(key) == "held"
        postgres.sql(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE objid = {cut_off._db.owner}")
        until(lambda: other.claim(key) == "mine", "the claim")
        assert other.record(key, _ask(), IDENTITY, replace(ANSWER, text="The first."))
        assert not cut_off.record(key, _ask(), IDENTITY, ANSWER)  # on a new session
        assert cut_off.claim("next") == "mine"
        assert other.claim("next") == "held"
        assert cut_off.find(key) == replace(ANSWER, text="The first.")


def test_a_server_that_is_stopped_or_crashes_between_two_changes_is_waited_for(
    url: str, postgres: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    with Ledger(url) as ledger, ThreadPoolExecutor(1) as thread:
        for n, how in enumerate((signal.SIGINT, signal.SIGQUIT)):
            _record(ledger, _ask(n))
            postgres.stop(how)
            recording = thread.submit(_record, ledger, _ask(n + 10))
            until(lambda: "waiting for it, 60 s at most" in capsys.readouterr().err, "being told")
            assert not recording.done()
            postgres.start()  # not in a thread: it would end with it
            assert ledger.find(recording.result()) == ANSWER
            assert len(ledger.texts()) == 2 * (n + 1)


def test_a_server_that_goes_in_the_midst_of_a_change_takes_it_back_and_one_that_stays_away_is_told(
    url: str, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres_module = pytest.importorskip("urbanln.captions.asking.ledger_postgres")
    with Ledger(url) as ledger:
        key = _record(ledger, _ask())
        with pytest.raises(LedgerFault, match="cannot be used") as caught, ledger._transaction() as db:
            db.execute("DELETE FROM texts")
            postgres.stop(signal.SIGQUIT)
            db.execute("DELETE FROM prompts")
        assert isinstance(caught.value, StorageError)
        monkeypatch.setattr(postgres_module, "BUSY_S", 0.1)
        with pytest.raises(LedgerFault, match="refused"):
            ledger.find(key)
        postgres.start()
        assert ledger.find(key) == ANSWER


def test_who_waits_too_long_for_others_is_told_and_may_go_on(url: str) -> None:
    with Ledger(url) as ledger, Ledger(url) as other:
        ledger._db.execute("SET lock_timeout = '50ms'")
        with other._transaction(), pytest.raises(LedgerFault, match="lock timeout"):
            ledger.charge("a", 1.0)
        ledger.charge("a", 1.0)
        assert other.spent_usd("a") == 1.0


def test_a_stop_while_others_are_waited_for_is_heeded_and_lets_go_of_claims(
    url: str, postgres: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop() -> None:
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: postgres.sql(waits) == [(1,)], "one that waits")
        os.kill(os.getpid(), signal.SIGTERM)

    with Ledger(url) as ledger, Ledger(url) as other, ThreadPoolExecutor(1) as thread:
        assert ledger.claim("k") == "mine"
        with other._transaction():
            stopping = thread.submit(stop)
            with pytest.raises(StopRequested), orderly():
                ledger.charge("a", 1.0)
            stopping.result()
        assert ledger.spent_usd("a") == 0.0
        ledger.release("k")
        assert other.claim("k") == "mine"
    assert capsys.readouterr().err == ""


def test_what_goes_through_a_server_comes_back_to_the_byte(url: str, tmp_path: Path) -> None:
    texts = ["", "\x00", "\uffff0\x00\uffff1\uffff", "ü😀\U0010ffff", "%s $1 ?1 ' \" \\ \n", "x" * 100_000]
    with Ledger(tmp_path) as file, Ledger(url) as server, Ledger(tmp_path / "2.sqlite") as back:
        for n, text in enumerate(texts):
            _record(file, _ask(n, prompt=f"{text[:50]}!"), replace(ANSWER, text=text, tokens_in=2**40))
            file.record_error(f"k{n}", _ask(n), IDENTITY, text + "?", n)
        key = _record(file, _ask(77, box=(0, 0, 0.1 + 0.2, 1)), replace(ANSWER, cost_usd=0.1 + 0.2))
        file.set_aside(key, "A road.", "y" * 10_000)
        file.put_facts("parts", {"b": {"text": texts}, "a": 0.1 + 0.2})
        file.export_parquet(tmp_path / "1.parquet")
        assert server.import_parquet(tmp_path / "1.parquet")["texts"] == len(texts)
        assert set(server.import_parquet(tmp_path / "1.parquet").values()) == {0}
        server.export_parquet(tmp_path / "2.parquet")
        back.import_parquet(tmp_path / "2.parquet")
        back.export_parquet(tmp_path / "3.parquet")
        assert server.get_facts("parts", ["b"]) == {"b": {"text": texts}}
        assert server.texts()["text"].tolist() == texts
        assert server.totals() == file.totals()
        assert server.spent_usd() == pytest.approx(0.002 * len(texts))
    exports = [(tmp_path / f"{n}.parquet").read_bytes() for n in (1, 2, 3)]
    assert exports[0] == exports[1] == exports[2]


def test_schemas_of_one_database_are_ledgers_apart(postgres: Server) -> None:
    with Ledger(postgres.new_schema()) as one, Ledger(postgres.new_schema()) as two:
        assert one._db.owner == two._db.owner == "1"
        assert (one.claim("k"), two.claim("k")) == ("mine", "mine")
        one.charge("a", 1.0)
        assert (one.spent_usd(), two.spent_usd()) == (1.0, 0.0)
        assert not has_ledger(Path(), postgres.new_schema())


def test_the_servers_socket_port_and_names_are_taken_from_the_url_by_libpq(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_database()
    with Ledger(url) as ledger:
        ledger.charge("a", 1.0)
    name = url.rpartition("/")[2]
    with Ledger(f"postgres:///{name}?host={postgres.folder}&port={postgres.port}&user=tests") as ledger:
        assert ledger.spent_usd() == 1.0
    monkeypatch.setenv("PGHOST", "127.0.0.1")
    monkeypatch.setenv("PGPORT", str(postgres.port))
    monkeypatch.setenv("PGUSER", "tests")
    with Ledger(f"postgresql:///{name}", read_only=True) as ledger:
        assert ledger.spent_usd() == 1.0
    with pytest.raises(LedgerFault, match="SSL"):
        Ledger(f"{url}?sslmode=require")


def test_a_password_comes_from_the_environment_or_a_pgpass_file(
    postgres: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url = postgres.new_database()
    postgres.sql("CREATE ROLE guest LOGIN PASSWORD 'word'")
    postgres.sql(f"ALTER DATABASE {url.rpartition('/')[2]} OWNER TO guest")
    postgres.ask_for_password("guest")
    theirs = url.replace("tests@", "guest@")
    with pytest.raises(LedgerFault, match="no password supplied") as caught:
        Ledger(theirs)
    assert "PGPASSWORD" in caught.value.remedy
    monkeypatch.setenv("PGPASSWORD", "word")
    Ledger(theirs).close()
    monkeypatch.setenv("PGPASSWORD", "another")
    with pytest.raises(LedgerFault, match="password authentication failed") as caught:
        Ledger(theirs)
    assert "another" not in str(caught.value)
    monkeypatch.delenv("PGPASSWORD")
    (tmp_path / "pgpass").write_text("*:*:*:guest:word\n")
    (tmp_path / "pgpass").chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "pgpass"))
    Ledger(theirs).close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:word@host/city",
        "postgres://me:word?#@host/city",
        "postgresql://host/city?user=me&password=word",
        "postgresql://host/city?pass%77ord=word",
        "postgresql://host/city?sslpassword=word",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InputError, match="password stands in the URL") as caught:
        check_url(url)
    assert "word@" not in str(caught.value)
    assert "=word" not in str(caught.value)
    assert "PGPASSWORD" in caught.value.remedy


def test_what_is_no_url_of_a_ledger_is_refused(postgres: Server) -> None:
    url = postgres.url("postgres")
    for other in ("mysql://host/city", "host=127.0.0.1 dbname=city", "city.sqlite"):
        with pytest.raises(InputError, match="named by a URL"):
            check_url(other)
    with pytest.raises(InputError, match="libpq cannot read"):
        Ledger(f"{url}?colour=red")
    with pytest.raises(LedgerFault, match="does not exist"):
        Ledger(f"{url}x")


def test_databases_that_are_no_ledger_of_ours_are_one_clear_error(url: str, postgres: Server) -> None:
    with Ledger(url):
        pass
    postgres.sql("UPDATE urbanln_ledger SET version = 99", url)
    with pytest.raises(ArtefactError, match="newer urbanln"):
        Ledger(url)
    foreign = postgres.new_schema()
    postgres.sql("CREATE TABLE prompts (x int)", foreign)
    with pytest.raises(ArtefactError, match="no ledger of captions"):
        Ledger(foreign)
    assert not has_ledger(Path(), foreign)
    assert postgres.sql("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()", foreign) == [
        (1,)
    ]
    with pytest.raises(InputError, match="cannot keep every text"):
        Ledger(postgres.new_database("ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"))


def test_who_only_reads_makes_nothing_and_needs_no_right_to_write(postgres: Server) -> None:
    url = postgres.new_database()
    with Ledger(url, read_only=True) as nothing:
        assert nothing.texts().empty
        assert nothing.totals() == {}
        nothing.put_facts("parts", {"a": 1})
    assert not has_ledger(Path(), url)
    with Ledger(url) as ledger:
        key = _record(ledger, _ask())
    assert has_ledger(Path(), url)
    postgres.sql("CREATE ROLE reader LOGIN")
    postgres.sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", url)
    theirs = url.replace("tests@", "reader@")
    with Ledger(theirs, read_only=True) as reading:
        assert reading.find(key) == ANSWER
        with pytest.raises(LedgerFault, match="permission denied"):
            reading.charge("a", 1.0)
    with pytest.raises(LedgerFault, match="permission denied"):
        Ledger(theirs)


def test_a_server_of_the_tests_ends_with_the_process_that_started_it_however_it_ends(
    postgres: Server,
) -> None:
    code = (
        "import sys, tests.captions.asking.postgres as p\n"
        "with p.serving() as server:\n"
        "    print(server.process.pid, server.folder, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    paths = os.pathsep.join([str(ROOT), *sys.path])
    started = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert started.stdout is not None
    number, folder = started.stdout.readline().split()
    assert Path(f"/proc/{number}").exists()
    started.kill()
    started.communicate()
    until(lambda: not _start_time(int(number)), "the end of the server")  # a zombie is none
    subprocess.run(["rm", "-r", folder], check=True)
