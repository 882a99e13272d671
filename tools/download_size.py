"""What an installation downloads, package by package, as pip would choose it here; nothing is installed.

python tools/download_size.py                       # the core, package by package, and its limit
python tools/download_size.py --extras train nlp    # what each of these adds to the core
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from email.message import Message
from pathlib import Path
from urllib.request import Request, url2pathname, urlopen

ROOT = Path(__file__).resolve().parent.parent
LIMIT_MB = 230


def packages(wanted: str) -> dict[str, int]:
    """Bytes of each package that pip would fetch.

    Args:
        wanted: As in ``pip install``, from an environment that has nothing.

    Returns:
        By name, ours included.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--dry-run", "--ignore-installed", "--report", str(report), wanted]
        subprocess.run(command, check=True, cwd=ROOT)
        found = json.loads(report.read_text(encoding="utf-8"))
    return {one["metadata"]["name"]: _bytes(one["download_info"]["url"]) for one in found["install"]}


def _bytes(address: str) -> int:
    """Length of a file, on this disk or at an address; 0 for our own folder."""
    if address.startswith("file:"):
        path = Path(url2pathname(address.removeprefix("file://")))
        return path.stat().st_size if path.is_file() else 0
    with urlopen(Request(address, method="HEAD"), timeout=60) as answer:
        headers: Message = answer.headers
        return int(headers.get("Content-Length") or 0)


def told(sizes: dict[str, int]) -> list[str]:
    """Packages from the largest to the smallest, in MB and in shares of the whole."""
    whole = sum(sizes.values())
    rows = sorted(sizes.items(), key=lambda one: -one[1])
    return [f"{name:<32}{size / 1e6:8.1f} MB {size / whole:6.1%}" for name, size in rows]


def main() -> None:
    """Tell the core's packages, or what extras add.

    Raises:
        SystemExit: The core is larger than its limit.
    """
    parser = argparse.ArgumentParser(description="What an installation downloads, package by package.")
    parser.add_argument("--wheel", default=".", help="the wheel, or this folder")
    parser.add_argument("--extras", nargs="*", default=[], help="tell what each adds to the core")
    given = parser.parse_args()
    core = packages(given.wheel)
    whole = sum(core.values()) / 1e6
    print(*told(core), f"{'the core':<32}{whole:8.1f} MB, of {LIMIT_MB} at most", sep="\n")
    for extra in given.extras:
        more = {name: size for name, size in packages(f"{given.wheel}[{extra}]").items() if name not in core}
        print(f"\n[{extra}] adds {sum(more.values()) / 1e6:,.1f} MB", *told(more), sep="\n")
    if whole > LIMIT_MB:
        sys.exit(f"the core downloads {whole:.1f} MB, over {LIMIT_MB}")


if __name__ == "__main__":
    main()
