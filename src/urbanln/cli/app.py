"""The entrance: what is told to stop, even while it is still being imported, stops in order.

Imports nothing that takes time; the program itself is in ``program``.
"""

from __future__ import annotations

from urbanln.base.saying import say, settle_streams, speaks
from urbanln.base.stopping import SENTENCE, SIGNALS, orderly

# What typer makes of an interruption that is none of ours has the same number.
_STOPPED = {128 + number for number in SIGNALS}


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit codes: 0 done, 1 failed, 2 wrong usage or bad input, 130 and 143 stopped.

    Args:
        arguments: Of the command line; None: of this process, which ends with the command.
    """
    settle_streams()
    try:
        with orderly(last=arguments is None):
            from urbanln.cli.program import run

            run(arguments)
    except SystemExit as stop:
        if stop.code in _STOPPED and speaks():
            say(SENTENCE)
        raise


if __name__ == "__main__":
    main()
