"""One node's process of a training on several: ``python -m tests.train.node SEEN DIES_AT COMMANDS``.

COMMANDS lists command lines of ``urbanln``, to run one after the other; how they ended is written to SEEN.
With DIES_AT, the last process's node is killed in that step of the last command.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from urbanln.cli.app import main
from urbanln.train import loop


def die_at(step: int) -> None:
    train_step = loop.train_step

    def killed(*args: Any) -> dict[str, float]:
        if args[4] == step and os.environ["RANK"] != "0":
            os.kill(os.getppid(), signal.SIGKILL)  # torchrun of this node
            os.kill(os.getpid(), signal.SIGKILL)
        return train_step(*args)

    loop.train_step = killed  # type: ignore[assignment]


if __name__ == "__main__":
    torch.set_num_threads(1)
    codes = []
    commands = json.loads(sys.argv[3])
    for number, command in enumerate(commands):
        if sys.argv[2] and number == len(commands) - 1:
            die_at(int(sys.argv[2]))
        try:
            main(command)
        except SystemExit as end:
            codes.append(end.code)
        else:
            codes.append(0)
        Path(sys.argv[1]).write_text(json.dumps(codes))
