"""Run quick tests with the oldest version of every package that ``pyproject.toml`` allows.

    make floors                # the core and rasters, without torch
    make floors EXTRAS=train   # the model, with torch and transformers (gigabytes where torch brings CUDA)

Each set of extras has an environment of its own, made anew when a floor changes. A floor is ``>=`` a version
that exists: pip is asked for exactly that one. Floors are those of the oldest Python, which has to run this.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = (3, 11)
# Of the extra ``dev``, what runs tests.
TOOLS = ("pytest", "pytest-xdist", "pytest-timeout", "hypothesis", "trustme")
CORE = ("base", "city", "tables", "gather", "probe", "report", "explore", "cityrep", "captions/asking")
# Small extras, which the core's tests need.
SMALL = ("raster", "postgres")
WITH = {"train": ("model",)}
# What a test of the core cannot import here.
NETWORK = re.compile(
    r"^(import|from) (torch|transformers|urbanln\.(model|train|embed)|tests\.(model|embed)"
    r"|tests\.captions\.asking\.ledger_client)\b",
    re.MULTILINE,
)
# What tests of an extra need beside it, whose floors are not tested.
OTHERS = re.compile(r"^(import|from) (onnxruntime|peft|sentence_transformers)\b", re.MULTILINE)
_FLOOR = re.compile(r"([A-Za-z0-9._-]+(?:\[[^]]*\])?)\s*(?:>=|==)\s*([0-9][^,;\s]*)")


def pinned(requirement: str) -> str:
    """``"pandas>=3.0"`` as ``"pandas==3.0"``."""
    found = _FLOOR.match(requirement)
    if found is None:
        sys.exit(f"{requirement!r} in pyproject.toml names no floor, as in 'package>=1.2'")
    return f"{found[1]}=={found[2]}"


def floors(extras: list[str]) -> list[str]:
    """All packages at their floors: the core's, the extras' and those that run tests."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    tools = [one for one in optional["dev"] if re.split(r"[>=\[]", one)[0] in TOOLS]
    wanted = [
        *project["dependencies"],
        *tools,
        *(one for extra in (*SMALL, *extras) for one in optional[extra]),
    ]
    return sorted({pinned(one) for one in wanted})


def environment(extras: list[str]) -> Path:
    """The Python of an environment with these packages; made where there is none for exactly these."""
    folder = ROOT / "-".join([".venv-floors", *extras])
    packages, python, ready = floors(extras), folder / "bin" / "python", folder / "ready"
    key = hashlib.sha256("\n".join([sys.version, *packages]).encode()).hexdigest()
    if ready.is_file() and ready.read_text() == key:
        return python
    print(f"setting up {folder.name} with {len(packages)} packages at their floors", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True
    )
    ready.write_text(key)
    return python


def tests(extras: list[str]) -> list[str]:
    """The test files that these packages suffice for."""
    rooms, foreign = (
        ([room for extra in extras for room in WITH[extra]], OTHERS) if extras else (CORE, NETWORK)
    )
    files = (file for room in rooms for file in sorted((ROOT / "tests" / room).rglob("test_*.py")))
    return [
        str(file.relative_to(ROOT)) for file in files if not foreign.search(file.read_text(encoding="utf-8"))
    ]


def main() -> int:
    """Set up and test; pytest's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("extras", nargs="*", help=f"with these extras too: {', '.join(WITH)}")
    extras = sorted(set(parser.parse_args().extras))
    if unknown := set(extras) - set(WITH):
        parser.error(f"no tests are known for {', '.join(sorted(unknown))}")
    if sys.version_info[:2] != PYTHON:
        sys.exit(f"floors are those of Python {'.'.join(map(str, PYTHON))}; this is {sys.version.split()[0]}")
    paths = [str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    how = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [environment(extras), "-m", "pytest", "-q", "-n", "2", "-m", "not slow", *tests(extras)]
    return subprocess.run(command, cwd=ROOT, env=os.environ | how, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
