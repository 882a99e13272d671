"""Build a release and try it as a stranger would: from the wheel, in empty environments. ``make release``.

    python tools/release.py                   # all steps, in this order; half an hour, 3 GB of disk at a time
    python tools/release.py build size core   # some of them

    build    wheel and sdist, the wheel made from the sdist; both say one version and hold what they must
    size     what the core downloads, and its limit
    core     the wheel alone: imports, doctor, a table scored, no torch
    extras   each extra alone: it installs, is importable, and doctor says so
    others   the core's quick tests from the wheel under newer Pythons, as many as there are
    demo     urbanln[train,nlp,caption] and the demo, in small
    tests    the quick tests from the wheel with all extras
    pages    the tutorials, from the same environment

Each environment is made anew and removed; packages are those of constraints.txt, as tested.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from floors import CORE, NETWORK, TOOLS

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
NEWER = ("3.12", "3.13", "3.14")
# Tests of the source tree itself: its layout, its floors, what it says of itself.
OF_THE_TREE = ("tests/test_contract.py", "tests/attack")
SMALL = ("--out", "demo", "--regions", "144", "--seeds", "1", "--set", "train.epochs=2")
_HELD = {
    "wheel": ("urbanln/py.typed", "urbanln/model/tiny/README.md", "urbanln/model/tiny/model.safetensors"),
    "sdist": (
        "CHANGELOG.md",
        "CITATION.cff",
        "LICENSE",
        "docs/cards.md",
        "recipes/helsinki.toml",
        "tests/conftest.py",
    ),
}
TABLE = """
import numpy, pandas, sys, urbanln
from urbanln.probe.score import probe
rng = numpy.random.default_rng(0)
xy, hidden = rng.uniform(0, .2, (200, 2)), rng.normal(size=200)
scores = probe(numpy.c_[hidden, rng.normal(size=(200, 3))], hidden + .3 * rng.normal(size=200),
               lonlat=xy, split="block", edge_km=5.0, buffer_km=0.5)
assert scores.r2 > .7, scores.r2
assert "torch" not in sys.modules
print(f"a table scored: R² {scores.r2:.2f}")
"""


def built(kind: str) -> Path:
    """The wheel, or the sdist, that was built last.

    Raises:
        SystemExit: There is none.
    """
    found = sorted(
        DIST.glob("*.whl" if kind == "wheel" else "*.tar.gz"), key=lambda file: file.stat().st_mtime
    )
    return found[-1] if found else sys.exit(f"no {kind} in dist: python tools/release.py build")


@contextmanager
def environment(wanted: list[str], python: str = sys.executable) -> Iterator[Path]:
    """An empty environment with these packages, removed afterwards; its Python."""
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        there = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "venv", folder], check=True)
        if wanted:
            command = [there, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*command, "--constraint", ROOT / "constraints.txt", *wanted], check=True)
        yield there


def run(python: Path, *words: str | Path, cwd: Path | None = None) -> str:
    """Run that Python on its own: nothing of this tree is on its path, and no hub is asked."""
    own = {
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | own
    done = subprocess.run(
        [python, *words], cwd=cwd or python.parent, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{words}\n{done.stdout[-6000:]}{done.stderr[-4000:]}\nended with {done.returncode}")
    return done.stdout


def build() -> None:
    """Wheel and sdist, from one another, of one version."""
    shutil.rmtree(DIST, ignore_errors=True)
    with environment(["build"]) as python:
        run(python, "-m", "build", "--outdir", DIST, ROOT)
    version = built("wheel").name.split("-")[1]
    for name, pattern in (
        ("CITATION.cff", rf"^version: {version}$"),
        ("CHANGELOG.md", rf"^## \[{version}\]"),
    ):
        if not re.search(pattern, (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE):
            sys.exit(f"{name} does not speak of {version}")
    with zipfile.ZipFile(built("wheel")) as wheel, tarfile.open(built("sdist")) as sdist:
        names = {"wheel": set(wheel.namelist()), "sdist": {one.partition("/")[2] for one in sdist.getnames()}}
    for kind, wanted in _HELD.items():
        if lacking := set(wanted) - names[kind]:
            sys.exit(f"the {kind} lacks {', '.join(sorted(lacking))}")
        print(f"{built(kind).name}: {built(kind).stat().st_size / 1e6:.1f} MB, {len(names[kind])} files")


def size() -> None:
    """What the core downloads."""
    command = [sys.executable, ROOT / "tools" / "download_size.py", "--wheel", built("wheel")]
    subprocess.run(command, check=True)


def core() -> None:
    """The wheel alone."""
    with environment([str(built("wheel"))]) as python:
        print(run(python, "-c", TABLE).strip())
        told = run(python, "-m", "urbanln", "doctor")
        if "train       missing" not in told or "pip install 'urbanln[train" not in told:
            sys.exit(f"doctor does not say that torch is missing\n{told}")


def extras() -> None:
    """Each extra alone."""
    sys.path.insert(0, str(ROOT / "src"))
    from urbanln.base.extras import EXTRAS

    for name, extra in EXTRAS.items():
        with environment([f"{built('wheel')}[{name}]"]) as python:
            run(python, "-c", "".join(f"import {module}\n" for module in extra.modules))
            told = run(python, "-m", "urbanln", "doctor")
            if not re.search(rf"^  {name} +installed", told, re.MULTILINE):
                sys.exit(f"doctor does not find {name}\n{told}")
        print(f"[{name}] installs alone: {extra.adds}", flush=True)


def _unpacked(folder: Path) -> Path:
    """The sdist without its source: tests can only meet the wheel."""
    with tarfile.open(built("sdist")) as sdist:
        sdist.extractall(folder, filter="data")
    (there,) = folder.iterdir()
    shutil.rmtree(there / "src")
    return there


def _tested(python: Path, chosen: Callable[[Path], list[str]]) -> None:
    """Run quick tests of the sdist's tree, which ``chosen`` names."""
    with tempfile.TemporaryDirectory(prefix="release-tests-") as folder:
        tree = _unpacked(Path(folder))
        said = run(python, "-m", "pytest", "-q", "-n", "2", "-m", "not slow", *chosen(tree), cwd=tree)
    print(said.strip().splitlines()[-1], flush=True)


def _of_core(tree: Path) -> list[str]:
    """Test files that the core suffices for."""
    files = (file for room in CORE for file in sorted((tree / "tests" / room).rglob("test_*.py")))
    return [str(file) for file in files if not NETWORK.search(file.read_text(encoding="utf-8"))]


def _of_all(_: Path) -> list[str]:
    return ["tests", *(f"--ignore={one}" for one in OF_THE_TREE)]


def others() -> None:
    """Newer Pythons, as many as are here."""
    for version in NEWER:
        python = shutil.which(f"python{version}")
        if python is None or subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode:
            print(f"Python {version} is not here")
            continue
        with environment([f"{built('wheel')}[raster]", *TOOLS], python) as there:
            print(f"Python {version}: ", end="", flush=True)
            _tested(there, _of_core)


def demo() -> None:
    """What the README promises of an installation, in small."""
    with (
        environment([f"{built('wheel')}[train,nlp,caption]"]) as python,
        tempfile.TemporaryDirectory() as folder,
    ):
        start = time.perf_counter()
        run(python, "-m", "urbanln", "demo", *SMALL, cwd=Path(folder))
        if not (Path(folder) / "demo" / "report.html").is_file():
            sys.exit("the demo wrote no report")
        print(f"the demo from the wheel, in small: {time.perf_counter() - start:.0f} s", flush=True)


def tests() -> None:
    """All quick tests but those of the tree."""
    with environment([f"{built('wheel')}[dev,all]"]) as python:
        _tested(python, _of_all)


def pages() -> None:
    """The tutorials, word for word."""
    with environment([f"{built('wheel')}[all]"]) as python:
        print(run(python, ROOT / "tools" / "run_tutorials.py"))


STEPS = {step.__name__: step for step in (build, size, core, extras, others, demo, tests, pages)}


def main() -> None:
    """Run the steps that are named, or all."""
    named = sys.argv[1:] or list(STEPS)
    if unknown := set(named) - set(STEPS):
        sys.exit(f"no such step: {', '.join(sorted(unknown))}\n{__doc__}")
    for name in named:
        print(f"{name}:", flush=True)
        STEPS[name]()


if __name__ == "__main__":
    main()
