"""What is told to stop says one line, exits with the signal's number, and takes its processes along."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading

import pytest
from tests.cli.test_cli import run

from urbanln.base import stopping
from urbanln.base.stopping import SENTENCE, StopRequested, hold, orderly

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_the_first_signal_raises_and_its_double_is_passed_over(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(StopRequested) as caught, orderly():
        try:
            os.kill(os.getpid(), number)
            pytest.fail("went on")
        finally:
            os.kill(os.getpid(), number)  # cleaning up is not disturbed by it
    assert caught.value.code == 128 + number
    assert pickle.loads(pickle.dumps(caught.value)).code == 128 + number
    assert signal.getsignal(number) is before


def test_a_further_signal_ends_a_process_that_does_not_stop(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stopping, "_AGAIN_SECONDS", -1.0)
    exits: list[int] = []
    monkeypatch.setattr(os, "_exit", exits.append)
    with pytest.raises(StopRequested), orderly():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
    assert exits == [143]
    assert capfd.readouterr().err == SENTENCE + "\n"


@BOTH
def test_what_is_held_comes_at_the_end_of_the_block(number: int) -> None:
    for program in (True, False):
        done: list[str] = []
        error = StopRequested if program or number == signal.SIGTERM else KeyboardInterrupt

        def train(done: list[str] = done) -> None:
            with hold() as told:
                assert not told()
                os.kill(os.getpid(), number)
                assert told()
                done.append("saved")
            done.append("went on")

        with pytest.raises(error):
            if program:
                with orderly():
                    train()
            else:
                train()
        assert done == ["saved"]


def test_in_a_thread_nothing_is_installed_and_nothing_is_told() -> None:
    told: list[bool] = []

    def work() -> None:
        with orderly(), hold() as asked:
            told.append(asked())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert told == [False]


def test_a_signal_that_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with orderly():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@BOTH
def test_a_verb_that_is_stopped_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    monkeypatch.setattr("urbanln.demo.run_demo", lambda *_, **__: os.kill(os.getpid(), number))
    assert run("demo") == 128 + number
    assert capsys.readouterr().err == SENTENCE + "\n"


# Stands still while the program is imported.
_IMPORTING = """
import sys, time

class StandsStill:
    def find_spec(self, name, path=None, target=None):
        if name == "urbanln.cli.program":
            print("importing", flush=True)
            time.sleep(3600)

sys.meta_path.insert(0, StandsStill())
from urbanln.cli.app import main
main()
"""

# Two processes of a pool that never end; the one in charge waits for them.
_POOL = """
import os, signal, sys
from urbanln.base.processes import worker_pool
from urbanln.cli import program
from urbanln.cli.app import main

def run(arguments):
    with worker_pool(2) as pool:
        for _ in range(2):
            pool.submit(os.write, 1, b"").result()
        left = [pool.submit(signal.pause) for _ in range(2)]
        print("working", flush=True)
        left[0].result()

program.run = run
if __name__ == "__main__":
    main()
"""


@BOTH
@pytest.mark.parametrize("code", [_IMPORTING, _POOL], ids=["during imports", "with processes of its own"])
def test_a_program_that_is_stopped_leaves_nothing_behind(code: str, number: int) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, text=True, start_new_session=True, **pipes) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        os.killpg(process.pid, number)  # as a terminal and timeout do it
        # Returns when its processes are gone too: they hold the same pipes.
        _, complaint = process.communicate(timeout=300)
    assert said in ("importing\n", "working\n"), complaint
    assert (process.returncode, complaint) == (128 + number, SENTENCE + "\n")


def test_a_stop_of_the_one_in_charge_alone_ends_its_processes() -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _POOL], text=True, **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, complaint = process.communicate(timeout=300)
    assert (process.returncode, complaint) == (143, SENTENCE + "\n")
