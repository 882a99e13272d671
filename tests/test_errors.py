"""Every error says what, where and what to do: a walk over all places that make one."""

from __future__ import annotations

import ast
import multiprocessing
import pickle
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import urbanln
from urbanln.base.errors import InputError, UrbanLNError, placed
from urbanln.captions.captioners.base import CaptionerFault, LastingFault, PassingFault

PACKAGE = Path(urbanln.__file__).parent
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
# A remedy names something to do; these alone do not.
EMPTY_WORDS = {"fix it", "mend it", "check it", "correct it", "try again", "see above", "unknown", "none", ""}


def _kinds() -> dict[str, str]:
    """Name and module of every class of errors, found in the code and not in what happens to be loaded."""
    found, size = {"UrbanLNError": "urbanln.base.errors"}, 0
    while len(found) > size:
        size = len(found)
        for path, tree in TREES.items():
            module = ".".join(("urbanln", *path.relative_to(PACKAGE).with_suffix("").parts))
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                    if bases & found.keys():
                        found[node.name] = module
    return found


KINDS = _kinds()


def _made(tree: ast.Module) -> Iterator[ast.Call]:
    """Calls that make an error, also through a name like ``fault`` or ``kinds[…]`` that holds its class."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", None)
        given = {keyword.arg for keyword in node.keywords}
        if name in KINDS or "remedy" in given:
            yield node


def _fault(call: ast.Call) -> str | None:
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    if None in given:  # **details, of classes and helpers whose own callers are held to it
        return None
    for name in ("where", "remedy"):
        value = given.get(name)
        if value is None:
            return f"no {name}"
        if isinstance(value, ast.Constant) and (value.value is None or not str(value.value).strip()):
            return f"an empty {name}"
        if isinstance(value, ast.Constant) and str(value.value).strip().lower().rstrip(".") in EMPTY_WORDS:
            return f"a {name} that says nothing"
    return None


def test_every_error_says_where_and_what_to_do() -> None:
    faults, seen = [], 0
    for path, tree in TREES.items():
        for call in _made(tree):
            name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
            if name in KINDS:
                seen += 1
                if (fault := _fault(call)) is not None:
                    faults.append(f"{path.relative_to(PACKAGE)}:{call.lineno}: {fault}")
    assert seen > 450
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "call",
    [
        'InputError("x", remedy="take it out")',
        'InputError("x", where="row 3")',
        'InputError("x", where="row 3", remedy=None)',
        'InputError("x", where="", remedy="take it out")',
        'InputError("x", where="row 3", remedy="Fix it.")',
    ],
)
def test_the_walk_finds_what_is_missing(call: str) -> None:
    (found,) = _made(ast.parse(call))
    assert _fault(found) is not None


def test_none_can_be_made_without() -> None:
    with pytest.raises(TypeError, match="where"):
        InputError("x", remedy="take it out")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="remedy"):
        InputError("x", where="row 3")  # type: ignore[call-arg]


@pytest.mark.parametrize("kind", [PassingFault, LastingFault])
def test_a_captioner_of_somebody_elses_may_say_what_alone(kind: type[CaptionerFault]) -> None:
    error = kind("busy")
    assert error.where == "captioner"
    assert "run the same command again" in error.remedy
    assert error.line() == "busy"


def test_a_caller_adds_the_place_it_knows() -> None:
    with pytest.raises(InputError) as caught, placed("study.toml"), placed("[study]"):
        raise InputError("no such key", value="sed", where="seed", remedy="leave it out")
    assert str(caught.value) == (
        "no such key\n  value:   sed\n  where:   study.toml, [study], seed\n  remedy:  leave it out"
    )


@pytest.mark.parametrize("name", sorted(KINDS))
def test_errors_come_back_whole_from_other_processes(name: str) -> None:
    kind = getattr(import_module(KINDS[name]), name)
    error = kind("bad", value=(1, 2), where=Path("a/b"), remedy="take it out")
    error.cost_usd = 0.5
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert str(back) == str(error)
    assert back.args == error.args
    assert (back.value, back.where, back.cost_usd) == ((1, 2), Path("a/b"), 0.5)


def _refuse(_: int) -> None:
    raise InputError("bad", where="here", remedy="take it out")


def test_a_pool_hands_on_an_error_and_does_not_hang() -> None:
    with multiprocessing.get_context("fork").Pool(1) as pool, pytest.raises(UrbanLNError, match="bad"):
        pool.apply_async(_refuse, (1,)).get(timeout=60)
