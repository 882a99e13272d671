"""Run every block of code of the tutorials, and hold what they print beside what the pages say they print.

    python tools/run_tutorials.py                        # all; say what differs
    python tools/run_tutorials.py your-table --write     # one; put what was printed into the page

Blocks of a page are run in their order, in one new folder: ``bash`` and ``python`` are run, a block with a
title is written to the file of that name, and ``text`` after a block is what that block prints. There `…`
stands for anything, and a number for one near it, as another processor rounds differently.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PAGES = Path(__file__).resolve().parent.parent / "docs" / "tutorials"
_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])[-−+]?(?:\d[\d,]*)?\.?\d+(?![\w])")
_PROGRESS = re.compile(r"[^:]+: [\d,]+/[\d,]+, ")
_NEAR, _SHARE = 0.03, 0.03
_PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        kind: Its language.
        title: The file it is, or empty.
        text: What stands in it.
        start: Where that begins in the page.
        end: Where it ends.
    """

    kind: str
    title: str
    text: str
    start: int
    end: int


def blocks_of(page: str) -> list[Block]:
    """The blocks of a page, in order."""
    return [
        Block(found[1], found[2] or "", found[3], found.start(3), found.end(3))
        for found in _BLOCK.finditer(page)
    ]


def agrees(said: str, printed: str) -> bool:
    """Whether a page says what was printed."""
    said_lines, printed_lines = said.rstrip().splitlines(), printed.rstrip().splitlines()
    pattern = "\n".join(said_lines)
    words, found = _NUMBER.sub("0", pattern), _NUMBER.sub("0", "\n".join(printed_lines))
    shape = ".*".join(re.escape(part) for part in words.split("…"))
    if not re.fullmatch(shape, found, re.DOTALL):
        return False
    if "…" in pattern:
        return True
    pairs = zip(_NUMBER.findall(pattern), _NUMBER.findall("\n".join(printed_lines)), strict=True)
    return all(
        math.isclose(_value(one), _value(other), rel_tol=_SHARE, abs_tol=_NEAR) for one, other in pairs
    )


def _value(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


def run(page: Path, write: bool = False) -> list[str]:
    """Run the blocks of a page.

    Args:
        page: The page.
        write: Put what was printed into it.

    Returns:
        What went wrong or differs, a line or some each.
    """
    text, wrong, printed = page.read_text(encoding="utf-8"), [], ""
    new, at = [], 0
    with tempfile.TemporaryDirectory(prefix="tutorial-") as folder:
        for number, block in enumerate(blocks_of(text), 1):
            if block.kind == "text" and not block.title:
                if not agrees(block.text, printed):
                    wrong.append(f"{page.name}, block {number} says\n{block.text}and it printed\n{printed}")
                    new += [text[at : block.start], printed.rstrip() + "\n"]
                    at = block.end
                continue
            if block.title:
                file = Path(folder) / block.title
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text, encoding="utf-8")
            if block.kind in ("bash", "python") and not block.title:
                code, printed = _execute(block, Path(folder))
                if code:
                    return [*wrong, f"{page.name}, block {number} ended with {code}\n{block.text}{printed}"]
    if write and new:
        page.write_text("".join([*new, text[at:]]), encoding="utf-8")
    return wrong


def _execute(block: Block, folder: Path) -> tuple[int, str]:
    command = ["bash", "-euo", "pipefail", "-c"] if block.kind == "bash" else [sys.executable, "-c"]
    own = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}  # of this installation
    done = subprocess.run(
        [*command, block.text],
        cwd=folder,
        env={**os.environ, **own, "URBANLN_CACHE": str(folder / ".cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_PATIENCE_SECONDS,
    )
    # How far something is, said while it takes long, depends on the machine.
    lines = [line.rstrip() for line in done.stdout.splitlines() if not _PROGRESS.match(line)]
    return done.returncode, "\n".join(lines)


def main() -> None:
    """Run the pages that are named, or all.

    Raises:
        SystemExit: Something went wrong, or differs.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("pages", nargs="*", help="names of tutorials; all when left out")
    parser.add_argument("--write", action="store_true", help="put what was printed into the pages")
    given = parser.parse_args()
    wrong = []
    for page in sorted(PAGES.glob("*.md")):
        if given.pages and page.stem not in given.pages:
            continue
        start = time.perf_counter()
        found = run(page, given.write)
        print(f"{page.name}: {'as written' if not found else 'differs'}, {time.perf_counter() - start:.0f} s")
        wrong += found
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
