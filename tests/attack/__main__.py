"""``python -m tests.attack``: run the campaign, print a table per part, exit 1 if anything was lost."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.attack.judge import KINDS
from tests.attack.parts import PARTS

_LIMIT = 400.0


def main() -> int:
    """Exit code: 1 if an attack found a fault."""
    arguments = _arguments()
    if os.environ.get("OMP_NUM_THREADS") != "1":  # read when libraries are loaded
        os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["HF_HUB_OFFLINE"] = "1"
    from tests.attack.forks import preload

    start = time.monotonic()
    preload()
    from tests.attack.part_places import small_disk
    from tests.attack.parts import attacks
    from tests.attack.world import make_world

    chosen = [a for a in attacks(arguments.seed) if not arguments.only or _wanted(a.full, arguments.only)]
    chosen = chosen[:: arguments.every]
    if arguments.list:
        print("\n".join(attack.full for attack in chosen))
        return 0
    base = Path(tempfile.mkdtemp(prefix="urbanln-attack-"))
    base.chmod(0o755)
    try:
        world = make_world(base / "world")
        print(f"a small disk is {small_disk()}")
        print(f"{len(chosen)} attacks, seed {arguments.seed}; ready after {time.monotonic() - start:.0f} s")
        found = _do(chosen, base, world, arguments)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    _print(chosen, found, time.monotonic() - start)
    if arguments.report is not None:
        arguments.report.write_text(json.dumps(found, indent=1))
    return int(any(result["faults"] for result in found.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="attacks at once")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other tampering and other kills")
    parser.add_argument(
        "--only", nargs="*", default=[], help="only attacks whose part/name holds one of these"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each N-th, for a quick look")
    parser.add_argument("--list", action="store_true", help="name the attacks, and start none")
    parser.add_argument("--verbose", action="store_true", help="what every command said")
    parser.add_argument("--report", type=Path, help="JSON file to write, with all that was said")
    return parser.parse_args()


def _wanted(name: str, only: Sequence[str]) -> bool:
    return any(part in name for part in only)


def _do(chosen: Sequence, base: Path, world: Path, arguments: argparse.Namespace) -> dict[str, dict]:
    """Each attack in a process of its own, so many at once; what was found by its name."""
    from tests.attack.case import work

    waiting, running, found = list(enumerate(chosen)), {}, {}
    while waiting or running:
        while waiting and len(running) < arguments.jobs:
            number, attack = waiting.pop(0)
            report = base / f"{number}.json"
            pid = os.fork()
            if pid == 0:
                work(attack, base / f"{number}", world, arguments.seed, report)
                os._exit(0)
            running[pid] = (number, attack, report)
        pid, _ = os.waitpid(-1, 0)
        if pid not in running:
            continue
        number, attack, report = running.pop(pid)
        lost = {"faults": [["traceback", "the attack's own process died"]], "said": []}
        found[attack.full] = json.loads(report.read_text()) if report.exists() else lost
        shutil.rmtree(base / f"{number}", ignore_errors=True)
        _tell(attack.full, found[attack.full], arguments.verbose)
    return found


def _tell(name: str, result: dict, verbose: bool) -> None:
    for kind, what in result["faults"]:
        print(f"{kind.upper()} {name}: {what}\n", flush=True)
    if verbose:
        print(f"--- {name}", *result["said"], sep="\n", flush=True)


def _print(chosen: Sequence, found: dict[str, dict], seconds: float) -> None:
    print(f"{'part':<10}{'attacks':>9}{'commands':>10}" + "".join(f"{kind:>11}" for kind in KINDS))
    rows = {part: [a.full for a in chosen if a.part == part] for part in PARTS}
    for part, names in [*rows.items(), ("all", [a.full for a in chosen])]:
        if not names:
            continue
        commands = sum(len(found[name]["said"]) for name in names)
        # An attack counts once for each kind of fault, however often it shows.
        kinds = Counter(kind for name in names for kind in {kind for kind, _ in found[name]["faults"]})
        print(f"{part:<10}{len(names):>9}{commands:>10}" + "".join(f"{kinds[kind]:>11}" for kind in KINDS))
    print(f"{seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
