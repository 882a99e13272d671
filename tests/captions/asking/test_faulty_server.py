"""Clients that are killed, and servers that fail: the ledger ends complete, and nothing is asked twice."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd
import pytest
from tests.captions.asking.fault_server import FaultServer, random_faults, serving
from tests.captions.asking.ledger_client import PROMPT, ask_all, captioner, run_client, small_picture
from tests.captions.asking.postgres import Server
from tests.waiting import until

from urbanln.captions.asking import queues
from urbanln.captions.asking.desk import Desk, Stopped
from urbanln.captions.asking.ledger import Ledger, ask_key
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.captioners.base import Answer, Ask, Identity


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Processes of their own that need not import everything again."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.captions.asking.ledger_client"])
    return context


def _recorded(place: Path | str) -> set[str]:
    """What the ledger has answers to, in the server's words."""
    with Ledger(place) as ledger:
        return {
            json.dumps([row.picture, row.stage, None, row.captioner]) for row in ledger.texts().itertuples()
        }


def test_killed_ten_times_it_ends_complete_and_asks_no_recorded_answer_again(
    tmp_path: Path, processes: ForkServerContext
) -> None:
    count, concurrency, kills = 100, 4, 10
    rng, done, since = random.Random(11), set[str](), 0
    with serving(FaultServer(random_faults(0.3, seed=3), delay_s=0.01)) as server:
        client = (tmp_path, server.url, count, concurrency, 2.0)
        for turn in range(kills):
            process = processes.Process(target=run_client, args=client)
            process.start()
            goal = (turn + 1) * count // (kills + 2)
            server.until(lambda goal=goal: sum(server.answered.values()) >= goal, process)
            time.sleep(rng.random() * 0.05)  # at any moment: nothing below depends on which
            process.kill()
            process.join()
            server.settle()
            assert not done & set(server.asked(since)), "a recorded answer was asked again"
            done, since = _recorded(tmp_path), len(server.requests)
        process = processes.Process(target=run_client, args=client)
        process.start()
        process.join()
        assert process.exitcode == 0
        assert not done & set(server.asked(since))
        assert len(_recorded(tmp_path)) == count == len(server.answered)
        assert sum(server.answered.values()) - count <= kills * concurrency
        assert len(server.faults) >= 6, "hardly any fault happened: this test shows nothing"


def _content(place: Path | str, folder: Path) -> pd.DataFrame:
    """All that a ledger exports, but for when it came and how long it took."""
    with Ledger(place, read_only=True) as ledger:
        ledger.export_parquet(folder / "content.parquet")
    table = pd.read_parquet(folder / "content.parquet").drop(columns=["created", "seconds"])
    return table.sort_values(["part", "key"], ignore_index=True)


def test_two_hosts_killed_ten_times_end_with_the_ledger_of_one_that_was_not(
    postgres: Server, tmp_path: Path, processes: ForkServerContext
) -> None:
    place = postgres.new_schema()
    count, concurrency, kills, rng = 66, 3, 10, random.Random(5)
    with serving(FaultServer(lambda: None, delay_s=0.02)) as server:

        def client(host: str) -> BaseProcess:
            process = processes.Process(
                target=run_client, args=(place, server.url, count, concurrency, 60.0, host)
            )
            process.start()
            return process

        hosts = {name: client(name) for name in ("one", "other")}
        for turn in range(kills):
            goal = (turn + 1) * count // (kills + 2)
            server.until(lambda goal=goal: len(server.answered) >= goal, hosts["one"])
            time.sleep(rng.random() * 0.05)  # at any moment: nothing below depends on which
            name = ("one", "other")[turn % 2]
            hosts[name].kill()
            hosts[name].join()
            hosts[name] = client(name)
        for process in hosts.values():
            process.join()
        assert [process.exitcode for process in hosts.values()] == [0, 0]
        asked = server.asked()
        assert len(asked) == count
        assert sum(asked.values()) - count <= kills * concurrency
        assert max(asked.values()) <= 1 + kills
        run_client(tmp_path, server.url, count, concurrency)
    pd.testing.assert_frame_equal(_content(place, tmp_path), _content(tmp_path, tmp_path))


def test_two_processes_on_one_ledger_ask_each_picture_once(
    place: Path | str, processes: ForkServerContext
) -> None:
    with serving(FaultServer(lambda: None, delay_s=0.01)) as server:
        pair = [processes.Process(target=run_client, args=(place, server.url, 80, 4)) for _ in range(2)]
        for process in pair:
            process.start()
        for process in pair:
            process.join()
        assert [process.exitcode for process in pair] == [0, 0]
        assert len(_recorded(place)) == 80
        assert set(server.asked().values()) == {1}


def test_two_clients_that_begin_with_the_same_picture_share_the_work(place: Path | str) -> None:
    pictures, start = [small_picture(n) for n in range(80)], threading.Barrier(2)

    def client(url: str) -> int:
        with Ledger(place) as ledger:
            start.wait()
            one = captioner(url, concurrency=4)
            asked = queues.ask_all(pictures, [one], ledger, Prompts())
        assert len(asked.texts) == 80
        return asked.counts[one.identity.name].answered

    with serving(FaultServer(lambda: None, delay_s=0.05)) as server, ThreadPoolExecutor(2) as threads:
        answered = [*threads.map(client, [server.url] * 2)]
        assert sum(answered) == 80 == len(server.requests)
    assert min(answered) >= 20, f"one did nearly all of the work: {answered}"


def test_a_claim_of_a_killed_process_is_taken_over_at_once(
    place: Path | str, processes: ForkServerContext
) -> None:
    with serving(FaultServer(lambda: "hang")) as server:
        process = processes.Process(target=run_client, args=(place, server.url, 1, 1))
        process.start()
        server.until(lambda: bool(server.requests), process)
        key = ask_key(Ask(small_picture(0), prompt=PROMPT), captioner(server.url).identity)
        with Ledger(place) as ledger:
            assert ledger.claim(key) == "held"
            process.kill()
            process.join()
            until(lambda: ledger.claim(key) == "mine", "the claim")  # a server hears of it a moment later


def test_a_server_that_is_down_stops_its_own_queue_and_no_other(tmp_path: Path) -> None:
    async def both(up: str, down: str) -> tuple[list[object], list[object], Desk]:
        with Ledger(tmp_path) as ledger:
            desks = [
                Desk(captioner(up, model="up"), ledger),
                Desk(captioner(down, model="down", retries=1, concurrency=2), ledger, jitter=lambda: 0.0),
            ]
            fine, failed = await asyncio.gather(*(ask_all(ledger, desk, 30) for desk in desks))
            return list(fine), list(failed), desks[1]

    with (
        serving(FaultServer(lambda: None)) as up,
        serving(FaultServer(lambda: "drop")) as down,
    ):
        fine, failed, desk = asyncio.run(both(up.url, down.url))
    assert all(isinstance(answer, Answer) for answer in fine)
    assert sum(isinstance(fault, Stopped) for fault in failed) >= 28 - 1
    assert len(down.requests) <= 2 * (3 + 2)  # retries of three questions, and of those under way
    assert desk.stopped is not None
    assert "in a row" in desk.stopped
    with Ledger(tmp_path) as ledger:
        assert ledger.totals()["down", "describe"].errors >= 3


def test_retry_after_is_waited_for(tmp_path: Path) -> None:
    faults = iter(["429"])
    with serving(FaultServer(lambda: next(faults, None))) as server, Ledger(tmp_path) as ledger:
        desk = Desk(captioner(server.url), ledger, jitter=lambda: 0.0)
        (answer,) = asyncio.run(ask_all(ledger, desk, 1))
        assert isinstance(answer, Answer)
        (first, _), (second, _) = server.requests
        assert second - first >= 0.03
        assert desk.counts.retries == 1


def test_hanging_servers_time_out_and_are_asked_again(tmp_path: Path) -> None:
    faults = iter(["hang"])
    with serving(FaultServer(lambda: next(faults, None))) as server, Ledger(tmp_path) as ledger:
        desk = Desk(captioner(server.url, timeout_s=1.0), ledger, jitter=lambda: 0.0)
        began = time.monotonic()
        (answer,) = asyncio.run(ask_all(ledger, desk, 1))
        assert isinstance(answer, Answer)
        assert time.monotonic() - began < 60  # and not for ever


def test_a_run_that_is_interrupted_lets_go_of_its_claims(place: Path | str) -> None:
    async def interrupted(url: str) -> None:
        with Ledger(place) as ledger:
            desk = Desk(captioner(url), ledger)
            task = asyncio.ensure_future(ask_all(ledger, desk, 4))
            while desk.counts.under_way < 4:
                assert not task.done()
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            identity: Identity = desk.captioner.identity
            asks = [Ask(small_picture(n), prompt=PROMPT) for n in range(4)]
            assert {ledger.claim(ask_key(ask, identity)) for ask in asks} == {"mine"}

    with serving(FaultServer(lambda: "hang")) as server:
        asyncio.run(interrupted(server.url))
