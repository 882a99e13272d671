"""Graphs to JSON and back, phrases, the cache, and parsing on several processes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from urbanln.base.errors import InputError
from urbanln.captions.facts import MemoryFacts
from urbanln.captions.parsing import parse
from urbanln.captions.parsing.parse import _Worker, load_parser, parse_all, share_out
from urbanln.captions.scene_graph import SceneGraph, graph_from_json, graph_to_json, phrases

names = st.text(min_size=1, max_size=8)
graphs = st.builds(
    SceneGraph,
    objects=st.lists(names, unique=True).map(lambda found: tuple(sorted(found))),
    attributes=st.dictionaries(names, st.lists(names, min_size=1).map(tuple)),
    relations=st.lists(st.tuples(names, names, names)).map(tuple),
    absent=st.lists(names, unique=True).map(lambda found: tuple(sorted(found))),
    places=st.dictionaries(names, st.lists(names, min_size=1).map(tuple)),
)


class Counting:
    """A parser that counts what it is asked, one word an object."""

    def __init__(self, version: str = "1") -> None:
        self.version = version
        self.asked: list[str] = []

    def parse(self, texts: Sequence[str]) -> list[SceneGraph]:
        self.asked += texts
        return [SceneGraph(objects=tuple(sorted(set(text.split())))) for text in texts]


@given(graphs)
def test_graphs_survive_json(graph: SceneGraph) -> None:
    assert graph_from_json(json.loads(json.dumps(graph_to_json(graph)))) == graph


def test_graphs_of_parsers_that_know_no_denials_are_read() -> None:
    value = {"objects": ["car"], "attributes": {}, "relations": []}
    assert graph_from_json(value) == SceneGraph(("car",))


def test_phrases() -> None:
    graph = SceneGraph(
        objects=("house", "road", "roof"),
        attributes={"house": ("several", "tall", "two"), "road": ("three",), "roof": ("flat", "red")},
    )
    assert phrases(graph, attributes=True) == ["tall house", "road", "flat roof", "red roof"]
    assert phrases(graph, attributes=False) == ["house", "road", "roof"]


def test_each_distinct_text_is_parsed_once_and_kept() -> None:
    facts, parser = MemoryFacts(), Counting()
    texts = ["a b", "c", "a b", "", "c"]
    found = parse_all(texts, parser, facts=facts)
    assert [graph.objects for graph in found] == [("a", "b"), ("c",), ("a", "b"), (), ("c",)]
    assert sorted(parser.asked) == ["", "a b", "c"]
    assert parse_all([*texts, "d"], parser, facts=facts)[:5] == found
    assert sorted(parser.asked) == ["", "a b", "c", "d"]
    other = Counting("2")
    parse_all(["c"], other, facts=facts)
    assert other.asked == ["c"]


def test_memory_keeps_the_last_used_facts() -> None:
    facts = MemoryFacts(most=2)
    facts.put_facts("kind", {"a": ["é", 1], "b": 2})
    assert facts.get_facts("kind", ["a", "z"]) == {"a": ["é", 1]}
    facts.put_facts("kind", {"a": 0, "c": 3})
    assert facts.get_facts("kind", ["a", "b", "c"]) == {"a": ["é", 1], "c": 3}


def test_batches_are_handed_over_and_kept_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "BATCH", 4)

    class Failing(Counting):
        def parse(self, texts: Sequence[str]) -> list[SceneGraph]:
            assert len(texts) <= 4
            if len(self.asked) >= 8:
                raise RuntimeError("stop")
            return super().parse(texts)

    facts, texts = MemoryFacts(), [str(number) for number in range(20)]
    with pytest.raises(RuntimeError):
        parse_all(texts, Failing(), facts=facts)
    rest = Counting()
    assert [g.objects[0] for g in parse_all(texts, rest, facts=facts)] == texts
    assert len(rest.asked) == 12


def test_no_texts_and_no_processes() -> None:
    assert parse_all([], Counting()) == []
    with pytest.raises(InputError):
        parse_all(["a"], Counting(), processes=-1)


def test_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parse, "BATCH", 8)
    monkeypatch.setattr(parse, "_SMALL", 0)
    parser = load_parser("spacy")
    texts = [f"A wide road with {n} cars \ud800 runs past a tall “building”.\n" for n in range(30)]
    assert parse_all(texts, parser, processes=2) == parse_all(texts, parser, processes=1)


def test_a_file_in_the_current_folder_is_not_taken_for_a_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise RuntimeError('not this one')")
    monkeypatch.chdir(tmp_path)
    worker = _Worker("")
    ((number, found),) = share_out([["A tree."]], [worker])
    worker.stop()
    assert (number, found[0]["objects"]) == (0, ["tree"])


def test_a_process_that_fails_or_dies_gives_one_clear_error() -> None:
    with pytest.raises(InputError, match=r"failed\n.*no spaCy pipeline"):
        list(share_out([["a"], ["b"]], [_Worker("no_such_pipeline"), _Worker("no_such_pipeline")]))
    worker = _Worker("")
    worker._process.kill()
    with pytest.raises(InputError, match=r"died\n.*-9\n.*\n.*fewer processes"):
        worker.parse(["a"])
    worker.stop()


def test_a_process_under_way_is_ended_with_the_caller() -> None:
    worker = _Worker("")
    started = share_out([["A tree."]] * 4, [worker])
    assert next(started)[1][0]["objects"] == ["tree"]
    started.close()  # returns: neither threads nor processes are waited for
    assert worker._process.poll() is not None
