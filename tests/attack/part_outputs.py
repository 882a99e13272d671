"""Outputs that are inputs, links, devices, folders, files of others, or no names at all."""

from __future__ import annotations

import os
import random
import socket
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.attack.case import Attack, Case
from tests.attack.judge import Expected
from tests.attack.world import VERBS, expected, verb

PART = "outputs"
OUTPUTS: dict[str, tuple[str, str]] = {
    # verb: the option's value that is replaced, its suffix; a folder has none
    "synthetic": ("c0", ""), "ingest": ("k", ""), "ingest-table": ("kt", ""), "gather": ("g", ""),
    "ingest-corpus": ("kc", ""), "retrieve": ("rec.json", ".json"),
    "export": ("ledger.parquet", ".parquet"), "show": ("show.html", ".html"), "vote": ("voted.csv", ".csv"),
    "audit": ("a.json", ".json"), "audit-page": ("a.html", ".html"), "pretrain": ("run", ""),
    "embed": ("v.parquet", ".parquet"), "embed-pixels": ("px.parquet", ".parquet"),
    "embed-text": ("tx.parquet", ".parquet"), "probe": ("s", ""), "report": ("r.html", ".html"),
    "study": ("st", ""), "explore": ("page", ""),
}  # fmt: skip
_SENT = 255  # of half as many more: another seed sends to others
_MINE = "What I wrote myself.\n"


@dataclass(frozen=True)
class Target:
    """Where an output is sent to.

    Attributes:
        name: Of the target.
        make: Makes it and gives the word for the command, which ends in this suffix.
        expect: How the command should end.
        files: Whether it makes sense for outputs that are files.
        folders: And for folders.
    """

    name: str
    make: Callable[[Case, str], str]
    expect: Expected = "refused"
    files: bool = True
    folders: bool = True


def _mine(case: Case, suffix: str) -> str:
    (case.root / f"mine{suffix}").write_text(_MINE)
    return f"mine{suffix}"


def _folder(case: Case, suffix: str) -> str:
    folder = case.root / f"theirs{suffix}"
    folder.mkdir()
    (folder / "diary.txt").write_text(_MINE)
    (folder / "truth.parquet").write_text(_MINE)
    return folder.name


def _link(case: Case, suffix: str) -> str:
    _mine(case, suffix)
    (case.root / f"link{suffix}").symlink_to(f"mine{suffix}")
    return f"link{suffix}"


def _link_to_input(case: Case, suffix: str) -> str:
    inputs = sorted(p for p in case.root.rglob("*") if p.is_file())
    target = inputs[case.rng.randrange(len(inputs))] if inputs else case.root / _mine(case, "")
    (case.root / f"link{suffix}").symlink_to(target)
    return f"link{suffix}"


def _hard_link_to_input(case: Case, suffix: str) -> str:
    inputs = sorted(p for p in case.root.rglob(f"*{suffix}") if p.is_file())
    target = inputs[case.rng.randrange(len(inputs))] if inputs else case.root / _mine(case, "")
    (case.root / f"hard{suffix}").hardlink_to(target)
    return f"hard{suffix}"


def _dangling(case: Case, suffix: str) -> str:
    (case.root / f"nowhere{suffix}").symlink_to(f"not-there{suffix}")
    return f"nowhere{suffix}"


def _loop(case: Case, suffix: str) -> str:
    (case.root / f"loop{suffix}").symlink_to(f"loop{suffix}")
    return f"loop{suffix}"


def _link_to_folder(case: Case, suffix: str) -> str:
    _folder(case, "")
    (case.root / "way").symlink_to("theirs")
    return "way"


def _pipe(case: Case, suffix: str) -> str:
    os.mkfifo(case.root / f"pipe{suffix}")
    return f"pipe{suffix}"


def _socket(case: Case, suffix: str) -> str:
    before = Path.cwd()
    os.chdir(case.root)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(f"sock{suffix}")
    os.chdir(before)
    return f"sock{suffix}"


def _device(case: Case, suffix: str) -> str:
    return _mine(case, suffix)  # the system says it is one: see _lie


def _lie(path: Path) -> Callable[[], None]:
    """A system on which this file is a device."""
    name = str(path)

    def setup() -> None:
        def lying(true: Callable[..., os.stat_result]) -> Callable[..., Any]:
            def told(path: Any, *args: Any, **kwargs: Any) -> os.stat_result:
                found = true(path, *args, **kwargs)
                if isinstance(path, str | os.PathLike) and Path(path).absolute() == Path(name):
                    mode = stat.S_IFCHR | 0o666
                    return os.stat_result((mode, *found[1:]))
                return found

            return told

        os.stat, os.lstat = lying(os.stat), lying(os.lstat)

    return setup


def _parent_is_file(case: Case, suffix: str) -> str:
    _mine(case, "")
    return f"mine/deeper{suffix}"


TARGETS = (
    Target("mine", _mine),
    Target("empty-file", lambda case, suffix: _touch(case, f"mine{suffix}"), files=False),
    Target("theirs", _folder, "told"),
    Target("link", _link, files=True, folders=True),
    Target("link-to-input", _link_to_input),
    Target("hard-link-to-input", _hard_link_to_input, "told", folders=False),
    Target("dangling-link", _dangling, "told"),
    Target("loop", _loop),
    Target("link-to-folder", _link_to_folder, "told", files=False),
    Target("pipe", _pipe),
    Target("socket", _socket),
    Target("device", _device),
    Target("below-a-file", _parent_is_file),
    Target("too-long", lambda case, suffix: "x" * 300 + suffix),
    Target("nul", lambda case, suffix: f"a\0b{suffix}"),
    Target("empty", lambda case, suffix: _mine(case, "")[:0]),
    Target("here", lambda case, suffix: _mine(case, "")[:0] + ".", "told"),
    Target("blank", lambda case, suffix: " ", "told"),
    Target("escape", lambda case, suffix: f"a\x1b[2Jb{suffix}", "told"),
    Target("newline", lambda case, suffix: f"a\nb{suffix}", "told"),
    Target("surrogate", lambda case, suffix: f"a\udce9b{suffix}", "told"),
    Target("long-path", lambda case, suffix: "/".join(["d" * 200] * 25) + f"/x{suffix}"),
    Target("wrong-suffix", lambda case, suffix: "out.xyz", folders=False),
    Target("no-suffix", lambda case, suffix: "out", folders=False),
    Target("other-suffix", lambda case, suffix: ".hidden", folders=False),
)


_FOLDERS = ("theirs", "link-to-folder", "here")


def _touch(case: Case, name: str) -> str:
    (case.root / name).touch()
    return name


# An input of the command, under its own name: what this destroys was somebody's work.
_INPUTS = {
    "audit": ("c/city.toml", "c/regions.parquet", "c"),
    "audit-page": ("c/city.toml", "a.json"),
    "embed": ("c/regions.parquet", "c/captions.parquet", "run/run.toml", "run/model/config.json", "run"),
    "embed-pixels": ("c/images.parquet", "c/indicators.parquet"),
    "embed-text": ("c/captions.parquet", "c"),
    "vote": ("many.csv",),
    "export": ("c/captions.parquet", "c/captions.sqlite", "c/regions.parquet"),
    "show": ("c/city.toml", "c/captions.sqlite"),
    "report": ("s/scores.json", "s/predictions.parquet", "c", "s"),
    "probe": ("c", "v.parquet", "c/images"),
    "pretrain": ("c", "base", "c/images"),
    "study": ("c",),
    "explore": ("c", "s", "run", "v.parquet", "c/city.toml"),
    "ingest": ("pics", "t.csv"),
    "ingest-table": ("t.csv",),
    "ingest-corpus": ("t.csv", "pics"),
    "retrieve": ("c/city.toml", "run/run.toml"),
    "gather": ("recipe.toml", "t.csv", "tiles"),
    "synthetic": ("c", "run", "s"),
}


def attacks(rng: random.Random) -> Sequence[Attack]:
    """Every output with every target, and every input that could be taken for an output."""
    found = [Attack(PART, f"again-{name}", _again(name)) for name in VERBS]
    sent = []
    for name, (_, suffix) in OUTPUTS.items():
        for target in TARGETS:
            if target.files if suffix else target.folders:
                sent.append(Attack(PART, f"{name}-to-{target.name}", _sent(name, target)))
        for place in _INPUTS[name]:
            label = place.replace("/", "-").replace(".", "-") or "here"
            found.append(Attack(PART, f"{name}-onto-{label}", _onto(name, place)))
    return [*found, *rng.sample(sent, _SENT)]


def _argv(case: Case, name: str, word: str) -> list[str]:
    old, _ = OUTPUTS[name]
    chosen = verb(name.removesuffix("-page"), case.world)
    return [word if part == old else part for part in chosen.argv]


def _sent(name: str, target: Target) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        plain = name.removesuffix("-page")
        case.take(*verb(plain, case.world).needs)
        word = target.make(case, OUTPUTS[name][1])
        argv = _argv(case, name, word)
        other = {"audit": ["a.html"], "audit-page": ["a.json"]}.get(name, [])
        setup = _lie(case.root / word) if target.name == "device" else None
        changes = []
        if target.name in _FOLDERS:  # what others keep there stays as it is
            changes = [f"{word}/+", "theirs/+"]
        elif target.expect == "told":
            # A link that leads nowhere may be followed or replaced; a name that is odd is still a name.
            changes = [word, f"{word}.parts", f"not-there{OUTPUTS[name][1]}"]
        case.run(*argv, expect=target.expect, changes=[*other, *changes], setup=setup, limit=60)

    return do


def _onto(name: str, place: str) -> Callable[[Case], None]:
    def do(case: Case) -> None:
        plain = name.removesuffix("-page")
        needs = [*verb(plain, case.world).needs, place.split("/", 1)[0]]
        case.take(*[need for need in needs if need != "."])
        other = {"audit": ["a.html"], "audit-page": ["a.json"]}.get(name, [])
        other = [word for word in other if word != place]
        # A folder of pictures may get company, as any folder may.
        added = place == "c/images"
        changes = [*other, f"{place}/+"] if added else other
        case.run(*_argv(case, name, place), expect="told" if added else "refused", changes=changes, limit=60)

    return do


def _again(name: str) -> Callable[[Case], None]:
    """The same command twice over: the second is refused or gives the same."""

    def do(case: Case) -> None:
        chosen = verb(name, case.world)
        case.take(*chosen.needs)
        for _ in range(2):
            case.run(*chosen.argv, expect="told", changes=chosen.changes, limit=200)
            for made, theirs in expected(name, case.world):
                case.same(made, theirs)

    return do
