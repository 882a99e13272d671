"""Which engine is meant, and how a cluster is shared out: what can be seen without Ray."""

from __future__ import annotations

import socket
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from urbanln.base.config import Settings
from urbanln.base.errors import InputError, MissingExtraError, UrbanLNError
from urbanln.city.store import City
from urbanln.embed import engine_ray
from urbanln.embed.engine_ray import LOCAL, RayEngine, parse_engine
from urbanln.embed.parts import PartFolder
from urbanln.stages.embed import embed_cities


def test_engines_are_read() -> None:
    assert parse_engine("ray") == LOCAL
    assert parse_engine(" ray:auto ") == "auto"
    assert parse_engine("ray:10.0.0.7:6379") == "10.0.0.7:6379"
    assert parse_engine("ray:[::1]:6379") == "[::1]:6379"


@pytest.mark.parametrize(
    "text", ["", "dask", "ray:", "ray:host", "rays", "ray:ray://host:10001", "ray:h:999999"]
)
def test_an_engine_that_is_none_is_one_clear_error(text: str) -> None:
    with pytest.raises(InputError, match="ray, ray:auto or ray:HOST:PORT") as caught:
        parse_engine(text)
    assert caught.value.value == text


@pytest.mark.parametrize(
    ("more", "what"),
    [({"model": "pixels"}, "only a network"), ({"part": "1/2"}, "shares the work by itself")],
)
def test_an_engine_with_nothing_to_share_is_refused(
    city: City, tmp_path: Path, more: dict[str, Any], what: str
) -> None:
    how = {"model": "tiny", **more}
    with pytest.raises(InputError, match=what):
        embed_cities([city], how.pop("model"), str(tmp_path / "v.parquet"), Settings(), engine="ray", **how)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed, so it is not missing")
def test_without_ray_its_extra_is_named_before_any_work(city: City, tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError) as caught:
        embed_cities([city], "tiny", str(tmp_path / "v.parquet"), Settings(), engine="ray")
    assert "urbanln[ray]" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_an_address_where_nobody_answers_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_ray, "require", lambda module: None)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        with pytest.raises(InputError, match="no Ray cluster at this address"):
            RayEngine(f"127.0.0.1:{unused.getsockname()[1]}").__enter__()


def _node(cpu: float = 0, gpu: float = 0, alive: bool = True) -> dict[str, Any]:
    return {"Alive": alive, "Resources": {"memory": 1e9, "CPU": cpu, "GPU": gpu}}


@pytest.mark.parametrize(
    ("nodes", "parts", "wanted"),
    [
        ([_node(cpu=8)], 100, (4, 0, 2)),  # as many cores each as torch takes here
        ([_node(cpu=8), _node(cpu=3)], 100, (3, 0, 3)),  # but no more than any node has
        ([_node(), _node(cpu=8), _node(cpu=8, alive=False)], 100, (4, 0, 2)),  # a head that only leads
        ([_node(cpu=8)], 1, (4, 0, 1)),
        ([_node(cpu=64), _node(cpu=16, gpu=4), _node(cpu=16, gpu=2)], 100, (4, 1, 6)),
        ([_node(cpu=1, gpu=4)], 100, (1, 1, 1)),
    ],
)
def test_a_cluster_is_shared_out(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, Any]], parts: int, wanted: tuple[int, int, int]
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert engine_ray._share_out(nodes, parts) == wanted


def test_a_cluster_without_cores_is_refused() -> None:
    with pytest.raises(InputError, match="no core to work with"):
        engine_ray._share_out([_node(), _node(cpu=4, alive=False)], 3)


@pytest.fixture
def worker(city: City, clip_folder: Path, tmp_path: Path) -> engine_ray._Worker:
    how = {"view": "satellite", "precision": "fp32", "workers": 1}
    return engine_ray._Worker(clip_folder, city.folder, tmp_path / "v.parts", how, 1, "run")


def test_a_node_without_the_folder_says_so_and_makes_none(worker: engine_ray._Worker, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not see the folder") as caught:
        worker({"part": np.array([0])})
    assert f"node {socket.gethostname()}, " in str(caught.value.where)
    assert list(tmp_path.iterdir()) == []


def test_a_node_that_would_make_something_else_says_what(worker: engine_ray._Worker, tmp_path: Path) -> None:
    PartFolder(tmp_path / "v.parts", 24, {"model": "another"}).open(shared=True)
    with pytest.raises(InputError, match="made from something else") as caught:
        worker({"part": np.array([0])})
    assert "model: there another" in str(caught.value)


def test_a_part_over_which_workers_die_is_given_up(
    worker: engine_ray._Worker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = worker._given[2]
    work = engine_ray.lay_out(worker._given[0], City.open(worker._given[1]), **worker._given[3])
    work.folder(folder).open(shared=True)

    def die(*_: object) -> None:
        raise KeyboardInterrupt  # as a process that ends: nothing after it is done

    with monkeypatch.context() as patched:
        patched.setattr(engine_ray, "embed_parts", die)
        for _ in range(4):
            with pytest.raises(KeyboardInterrupt):
                worker({"part": np.array([0])})
    with pytest.raises(UrbanLNError, match="4 workers died over one part") as caught:
        worker({"part": np.array([0])})
    assert caught.value.value == "part 0, pictures 0 and on"
    worker._run = "another"  # which begins to count anew
    made = worker({"part": np.array([0])})
    assert {name: column.tolist() for name, column in made.items()} == {"part": [0], "tries": [1]}
    assert sorted(path.name for path in folder.iterdir()) == [
        "part-00000.safetensors", "parts.json", "tried-run-00000",
    ]  # fmt: skip
