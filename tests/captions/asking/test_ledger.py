"""The ledger: nothing is lost, nothing overwritten, and files that are none are told."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
import time
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanln.base.errors import ArtefactError, InputError, StorageError
from urbanln.base.owner import is_alive, this_process
from urbanln.captions.asking import ledger_schema
from urbanln.captions.asking.ledger import Ledger, ask_key
from urbanln.captions.asking.ledger_claims import Budget
from urbanln.captions.asking.ledger_schema import LedgerFault
from urbanln.captions.captioners.base import Answer, Ask, Identity, Picture, Prompt

IDENTITY = Identity("a", "r1", {"temperature": 0.2, "model": "m"})
ANSWER = Answer("A road.", "stop", 900, 120, 0.002, 1.5)


def _ask(n: int = 0, prompt: str = "Say.", **changes: object) -> Ask:
    picture = Picture(f"i{n}", "satellite", f"{n}.png", f"{n:064x}", bytes)
    return replace(Ask(picture, prompt=Prompt(prompt, "tttt")), **changes)  # type: ignore[arg-type]


def _record(ledger: Ledger, ask: Ask, answer: Answer = ANSWER, identity: Identity = IDENTITY) -> str:
    key = ask_key(ask, identity)
    ledger.record(key, ask, identity, answer)
    return key


def test_what_is_recorded_is_found_also_by_the_next_process(place: Path | str) -> None:
    ask = _ask(3, stage="local", box=(0.1, 0.2, 0.5, 1.0), min_side=224)
    with Ledger(place) as ledger:
        key = _record(ledger, ask)
    with Ledger(place) as ledger:
        assert ledger.find(key) == ANSWER
        assert ledger.find("other") is None
        assert ledger.find_many([key, "other"]) == {key: ANSWER}
        (row,) = ledger.texts().to_dict("records")
    assert row["picture"] == ask.picture.sha256
    assert (row["image_id"], row["view"], row["stage"]) == ("i3", "satellite", "local")
    assert (row["box"], row["min_side"]) == ("[0.1, 0.2, 0.5, 1.0]", 224)
    assert (row["captioner"], row["revision"]) == ("a", "r1")
    assert row["decoding"] == '{"model": "m", "temperature": 0.2}'
    assert (row["template"], row["prompt_text"]) == ("tttt", "Say.")
    assert row["created"].endswith("+00:00")


def test_a_second_answer_under_one_key_changes_nothing(place: Path | str) -> None:
    with Ledger(place) as ledger:
        key = _record(ledger, _ask())
        assert not ledger.record(key, _ask(), IDENTITY, replace(ANSWER, text="Other."))
        assert ledger.find(key) == ANSWER
        assert ledger.spent_usd() == pytest.approx(0.002)


def test_every_difference_that_matters_makes_another_key_and_no_other_does() -> None:
    ask = _ask(stage="local", box=(0.0, 0.0, 0.5, 0.5))
    other_id = replace(ask.picture, image_id="z", path="elsewhere.png")
    base = ask_key(ask, IDENTITY)
    assert base == ask_key(replace(ask, picture=other_id), IDENTITY)
    assert base == ask_key(replace(ask, box=(-0.0, 1e-9, 0.5, 0.5)), IDENTITY)
    assert base == ask_key(ask, replace(IDENTITY, decoding={"model": "m", "temperature": 0.2}))
    other = {
        ask_key(replace(ask, box=(0.0, 0.0, 0.5, 0.6)), IDENTITY),
        ask_key(replace(ask, box=None), IDENTITY),
        ask_key(replace(ask, min_side=3), IDENTITY),
        ask_key(replace(ask, stage="describe"), IDENTITY),
        ask_key(replace(ask, prompt=Prompt("Say!")), IDENTITY),
        ask_key(replace(ask, picture=replace(ask.picture, sha256="1" * 64)), IDENTITY),
        ask_key(replace(ask, picture=replace(ask.picture, view="street")), IDENTITY),
        ask_key(ask, replace(IDENTITY, name="b")),
        ask_key(ask, replace(IDENTITY, revision="r2")),
        ask_key(ask, replace(IDENTITY, decoding={"temperature": 0.3, "model": "m"})),
    }
    assert len(other - {base}) == 10


def test_without_a_prompt_the_pictures_id_counts_and_without_a_hash_there_is_no_key() -> None:
    plain = _ask(prompt="")
    assert ask_key(plain, IDENTITY) != ask_key(
        replace(plain, picture=replace(plain.picture, image_id="z")), IDENTITY
    )
    with pytest.raises(InputError, match="hash"):
        ask_key(replace(plain, picture=replace(plain.picture, sha256="")), IDENTITY)


@given(text=st.text(max_size=200), prompt=st.text(max_size=50))
def test_any_text_comes_back_as_it_went_in(
    text: str, prompt: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # Hypothesis makes no lone surrogates; they have a test of their own.
    with Ledger(tmp_path_factory.mktemp("l")) as ledger:
        key = _record(ledger, _ask(prompt=prompt), replace(ANSWER, text=text))
        found = ledger.find(key)
        assert found is not None
        assert found.text == text
        assert (ledger.texts()["prompt_text"].iloc[0] or "") == prompt


def test_half_a_surrogate_pair_and_a_megabyte_are_stored(place: Path | str) -> None:
    with Ledger(place) as ledger:
        key = _record(ledger, _ask(), replace(ANSWER, text="a\ud800b\x00" + "," * 1_000_000))
        found = ledger.find(key)
    assert found is not None
    assert found.text == "a?b\x00" + "," * 1_000_000


def test_rows_of_a_picture_are_found_by_its_id_and_its_hash(place: Path | str) -> None:
    with Ledger(place) as ledger:
        for stage in ("describe", "local", "merge"):
            _record(ledger, _ask(1, stage=stage))
        _record(ledger, _ask(2))
        by_id = ledger.rows_of("i1")
        assert list(by_id["stage"]) == ["describe", "local", "merge"]
        pd.testing.assert_frame_equal(by_id, ledger.rows_of(_ask(1).picture.sha256))
        assert ledger.rows_of("nobody").empty
        assert list(ledger.texts(stage="describe")["image_id"]) == ["i1", "i2"]
        assert ledger.texts(captioner="b").empty


def test_totals_and_counts_add_up(place: Path | str) -> None:
    with Ledger(place) as ledger:
        for n in range(3):
            _record(ledger, _ask(n))
        _record(ledger, _ask(0, stage="local"), Answer("x"))
        _record(ledger, _ask(0), identity=replace(IDENTITY, revision="r0"))
        ask = _ask(9)
        ledger.record_error(ask_key(ask, IDENTITY), ask, IDENTITY, "gone", 6)
        total = ledger.totals()["a", "describe"]
        assert (total.answers, total.tokens_in, total.tokens_out, total.errors) == (4, 3600, 480, 1)
        assert total.cost_usd == pytest.approx(0.008)
        assert ledger.totals()["a", "local"].cost_usd == 0
        hashes = [_ask(n).picture.sha256 for n in (0, 2, 5, 0)]
        assert ledger.count(IDENTITY, "describe", hashes, ["tttt"]) == 2
        assert ledger.count(IDENTITY, "describe", hashes, ["other"]) == 0
        assert ledger.count(IDENTITY, "merge", hashes, ["tttt"]) == 0


def test_facts_keep_the_first_value(place: Path | str) -> None:
    with Ledger(place) as ledger:
        ledger.put_facts("parts", {"k": {"ä": [1, None]}, "l": 2})
        ledger.put_facts("parts", {"k": 0, "m": 3})
        ledger.put_facts("other", {"k": 4})
        many = [f"n{n}" for n in range(1200)]
        ledger.put_facts("many", dict.fromkeys(many, 1))
        assert ledger.get_facts("parts", ["k", "l", "m", "n"]) == {"k": {"ä": [1, None]}, "l": 2, "m": 3}
        assert len(ledger.get_facts("many", many)) == 1200


def test_claims_are_exclusive_until_released_or_recorded(place: Path | str) -> None:
    with Ledger(place) as ledger, Ledger(place) as second:
        key = ask_key(_ask(), IDENTITY)
        assert ledger.claim(key) == "mine"
        assert second.claim(key) == "held"
        ledger.release(key)
        assert second.claim(key) == "mine"
        _record(second, _ask())
        assert ledger.claim(key) == "answered"


def test_a_budget_counts_what_is_under_way_and_what_has_no_price(place: Path | str) -> None:
    budget = Budget(0.4, captioner_usd=1.0)
    with Ledger(place) as ledger:
        keys = [_ask(n) for n in range(3)]
        assert ledger.claim(ask_key(keys[0], IDENTITY), "a", budget) == "mine"
        assert ledger.claim(ask_key(keys[1], IDENTITY), "a", budget) == "mine"
        assert ledger.claim(ask_key(keys[2], IDENTITY), "a", budget) == "reserved"
        assert ledger.claim("else", "b", budget) == "mine"
        assert ledger.claim("more", "b", Budget(0.4, total_usd=1.5)) == "reserved"
        _record(ledger, keys[0], replace(ANSWER, cost_usd=0.1))
        assert ledger.claim(ask_key(keys[2], IDENTITY), "a", budget) == "mine"
        _record(ledger, keys[1], replace(ANSWER, cost_usd=None))
        assert ledger.spent_usd("a") == pytest.approx(0.5)
        _record(ledger, keys[2], replace(ANSWER, cost_usd=0.2))
        assert ledger.claim("last", "a", budget) == "spent"


def test_threads_may_share_a_ledger(place: Path | str) -> None:
    with Ledger(place) as ledger:

        def work(start: int) -> None:
            for n in range(start, start + 100):
                _record(ledger, _ask(n))
                ledger.put_facts("f", {str(n): n})

        threads = [threading.Thread(target=work, args=(50 * i,)) for i in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ledger.texts()) == 300
        assert len(ledger.get_facts("f", [str(n) for n in range(300)])) == 300


def _fill(place: Path | str, start: int, all_there: Barrier) -> None:
    all_there.wait()
    with Ledger(place) as ledger:
        for n in range(start, start + 200):
            _record(ledger, _ask(n))


def test_processes_that_begin_at_once_lose_nothing(place: Path | str) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    all_there = context.Barrier(4)
    pool = [context.Process(target=_fill, args=(place, 100 * i, all_there)) for i in range(4)]
    for process in pool:
        process.start()
    for process in pool:
        process.join()
    assert [process.exitcode for process in pool] == [0] * 4
    with Ledger(place) as ledger:
        assert len(ledger.texts()) == 500


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_ledger_that_another_process_makes_while_it_is_opened_is_no_foreign_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    connect, asked = sqlite3.connect, list[str]()

    class Interrupted(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            found = super().execute(sql, *values)
            if sql.startswith(("PRAGMA application_id", "PRAGMA user_version", "SELECT count")):
                asked.append(sql)
                if len(asked) == after:
                    monkeypatch.setattr(sqlite3, "connect", connect)
                    Ledger(tmp_path).close()  # as another process does
            return found

    monkeypatch.setattr(sqlite3, "connect", lambda *path, **how: connect(*path, factory=Interrupted, **how))
    with Ledger(tmp_path) as ledger:
        _record(ledger, _ask())
        assert len(ledger.texts()) == 1


def test_an_export_holds_everything_and_a_merge_keeps_what_was_there(
    tmp_path: Path, place: Path | str
) -> None:
    second, third = tmp_path / "2.sqlite", tmp_path / "3.sqlite"
    with Ledger(place) as one, Ledger(second) as two, Ledger(third) as three:
        _record(one, _ask(0))
        key = _record(one, _ask(1, box=(0, 0, 0.3, 1), prompt=""), Answer("ünï\n\x00"))
        one.record_error("k", _ask(2), IDENTITY, "down", 3)
        one.put_facts("parts", {"a": [1.5, "x"]})
        _record(two, _ask(0), replace(ANSWER, text="Mine stays."))
        _record(two, _ask(5), replace(ANSWER, cost_usd=1.0))
        one.export_parquet(tmp_path / "one.parquet")
        assert two.import_parquet(tmp_path / "one.parquet") == {
            "prompts": 0,
            "texts": 1,
            "errors": 1,
            "facts": 1,
        }
        assert set(two.import_parquet(tmp_path / "one.parquet").values()) == {0}
        assert two.find(key) == Answer("ünï\n\x00")
        assert two.find(ask_key(_ask(0), IDENTITY)) == replace(ANSWER, text="Mine stays.")
        assert two.spent_usd() == pytest.approx(1.002)
        assert two.get_facts("parts", ["a"]) == {"a": [1.5, "x"]}

        three.import_parquet(tmp_path / "one.parquet")
        pd.testing.assert_frame_equal(three.texts(), one.texts())
        assert three.totals() == one.totals()
        assert three.spent_usd() == one.spent_usd()
        three.export_parquet(tmp_path / "again.parquet")
        assert (tmp_path / "again.parquet").read_bytes() == (tmp_path / "one.parquet").read_bytes()


def test_an_export_is_of_one_moment_whatever_is_recorded_meanwhile(
    tmp_path: Path, place: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger(place) as ledger, Ledger(place) as other, Ledger(tmp_path / "2.sqlite") as second:
        _record(ledger, _ask(0))
        execute = ledger._db.execute

        def record_meanwhile(statement: str, *values: Any) -> Any:
            if "FROM texts" in statement:
                _record(other, _ask(1, prompt="Another prompt."))
            return execute(statement, *values)

        monkeypatch.setattr(ledger._db, "execute", record_meanwhile)
        ledger.export_parquet(tmp_path / "e.parquet")
        monkeypatch.undo()
        second.import_parquet(tmp_path / "e.parquet")
        assert second.texts()["prompt_text"].tolist() == ["Say."]
        assert len(ledger.texts()) == 2


def test_an_empty_ledger_can_be_exported(tmp_path: Path, place: Path | str) -> None:
    with Ledger(place) as ledger:
        ledger.export_parquet(tmp_path / "e.parquet")
        assert set(ledger.import_parquet(tmp_path / "e.parquet").values()) == {0}


def test_another_parquet_file_is_refused(tmp_path: Path) -> None:
    pd.DataFrame({"part": ["text"]}).to_parquet(tmp_path / "x.parquet")
    with Ledger(tmp_path) as ledger, pytest.raises(ArtefactError, match="caption-ledger"):
        ledger.import_parquet(tmp_path / "x.parquet")


def test_files_that_are_no_ledger_are_one_clear_error(tmp_path: Path) -> None:
    noise = tmp_path / "noise.sqlite"
    noise.write_bytes(b"no database at all" * 100)
    with pytest.raises(ArtefactError, match="damaged or no ledger"):
        Ledger(noise)
    foreign = sqlite3.connect(tmp_path / "foreign.sqlite")
    foreign.execute("CREATE TABLE texts (key)")
    foreign.close()
    with pytest.raises(ArtefactError, match="no ledger of captions"):
        Ledger(tmp_path / "foreign.sqlite")
    with Ledger(tmp_path) as ledger:
        path = ledger.place
    newer = sqlite3.connect(path)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(ArtefactError, match="newer urbanln"):
        Ledger(tmp_path)


def test_a_ledger_with_overwritten_pages_is_told_as_damaged(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        for n in range(300):
            _record(ledger, _ask(n), replace(ANSWER, text="word " * 100))
        path = ledger.place
    data = bytearray(path.read_bytes())
    data[8192:] = b"\xff" * (len(data) - 8192)
    path.write_bytes(data)
    with pytest.raises(ArtefactError, match="damaged"), Ledger(tmp_path) as ledger:
        ledger.texts()


@pytest.mark.parametrize(
    ("change", "exported"),
    [("text = x'ff00fe'", False), ("tokens_in = 'many'", False), ("cost_usd = 'much'", False),
     ("seconds = 9e999", True), ("captioner = x'00'", False)],
)  # fmt: skip
def test_values_of_another_type_are_told_by_all_that_reads(
    tmp_path: Path, change: str, exported: bool
) -> None:
    with Ledger(tmp_path) as ledger:
        key = _record(ledger, _ask())
    with sqlite3.connect(tmp_path / "captions.sqlite") as database:
        database.execute(f"UPDATE texts SET {change}")
    database.close()
    with Ledger(tmp_path) as ledger:
        if "captioner" not in change:
            with pytest.raises(ArtefactError, match="ledger of captions"):
                ledger.find(key)
        if not exported:
            with pytest.raises(ArtefactError, match="ledger of captions"):
                ledger.export_parquet(tmp_path / "l.parquet")
            with pytest.raises(ArtefactError, match="ledger of captions"):
                ledger.texts()


def test_a_folder_of_the_ledgers_name_is_no_ledger(tmp_path: Path) -> None:
    (tmp_path / "captions.sqlite").mkdir()
    for read_only in (True, False):
        with pytest.raises(StorageError, match="ledger of captions"):
            Ledger(tmp_path / "captions.sqlite", read_only=read_only)
    assert not list((tmp_path / "captions.sqlite").iterdir())


def test_no_folder_is_a_storage_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be used"):
        Ledger(tmp_path / "no" / "captions.sqlite")


def test_a_failed_write_leaves_nothing_behind(place: Path | str) -> None:
    with Ledger(place) as ledger:
        with pytest.raises(ValueError, match="not JSON compliant"):
            ledger.put_facts("f", {"a": 1, "b": float("nan")})
        assert ledger.get_facts("f", ["a"]) == {}
        ledger.put_facts("f", {"a": 2})
        assert ledger.get_facts("f", ["a"]) == {"a": 2}


def test_parses_are_bounded_and_those_of_other_parsers_go_first(
    place: Path | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_schema, "MOST_PARSES", 4)
    with Ledger(place) as ledger:
        ledger.put_facts("parts", dict.fromkeys("abcdef", 0))
        ledger.put_facts("parse:1", dict.fromkeys("abc", 1))
        ledger.put_facts("parse:2", dict.fromkeys("a", 2))
        assert len(ledger.get_facts("parse:1", "abc")) == 3
        ledger.put_facts("parse:2", dict.fromkeys("bc", 2))
        assert ledger.get_facts("parse:1", "abc") == {}
        assert len(ledger.get_facts("parse:2", "abc")) == 3
        ledger.put_facts("parse:2", dict.fromkeys("de", 2))
        found = ledger.get_facts("parse:2", "abcde")
        assert len(found) == 4
        assert found.keys() >= {"d", "e"}
        assert len(ledger.get_facts("parts", "abcdef")) == 6


def test_owners_are_told_from_later_processes_of_the_same_number() -> None:
    me = this_process()
    boot, number, started = me.rsplit(":", 2)
    assert int(number) == os.getpid()
    assert is_alive(me)
    assert not is_alive(f"other-machine:{number}:{started}")
    assert not is_alive(f"{boot}:4194304:{started}")
    assert not is_alive("")
    if Path("/proc/self/stat").exists():
        assert not is_alive(f"{boot}:{number}:1")
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(3600,))
    process.start()
    stat = Path(f"/proc/{process.pid}/stat")
    theirs = f"{boot}:{process.pid}:" + (
        stat.read_text().rpartition(")")[2].split()[19] if stat.exists() else ""
    )
    assert is_alive(theirs)
    process.kill()
    if hasattr(os, "waitid"):  # dead, and still in the table of processes
        os.waitid(os.P_PID, process.pid or 0, os.WEXITED | os.WNOWAIT)
    else:
        process.join()
    assert not is_alive(theirs)
    process.join()


def test_a_full_disk_is_told_as_such_and_what_was_kept_stays(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        key = _record(ledger, _ask())
        (pages,) = ledger._rows("PRAGMA page_count")[0]
        ledger._rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(LedgerFault, match="disk is full") as caught:
            _record(ledger, _ask(1), replace(ANSWER, text="long " * 10_000))
        assert isinstance(caught.value, StorageError)
        assert ledger.find(key) == ANSWER
        ledger._rows("PRAGMA max_page_count = 100000")
        _record(ledger, _ask(1))
        assert len(ledger.texts()) == 2
