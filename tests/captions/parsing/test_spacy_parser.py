"""The parser as a whole: hostile texts, determinism, version, missing models."""

from __future__ import annotations

import importlib.util
import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urbanln.base.errors import InputError, MissingExtraError
from urbanln.captions.parsing.parse import load_parser
from urbanln.captions.parsing.spacy_parser import MOST_CHARACTERS, SpacyParser, tidy
from urbanln.captions.scene_graph import SceneGraph

SALAD = [
    "a",
    "the",
    "red",
    "two",
    "house",
    "roof",
    "of",
    "with",
    "no",
    "and",
    ",",
    ".",
    "-",
    "is",
    "park",
    "by",
]
SENTENCE = "Two tall houses with red roofs stand next to a park. "


@pytest.fixture(scope="module")
def parser() -> SpacyParser:
    found = SpacyParser()
    found.parse(["warm"])
    return found


HOSTILE = {
    "megabyte": SENTENCE * 20_000,
    "commas": "houses" + "," * 10_000 + " and trees",
    "spaced commas": "a house , " + ", " * 10_000,
    "long list": ", ".join(["house", "tree", "road"] * 500) + " in " + ", ".join(["park", "lot"] * 500),
    "nested": "a house on " * 700,
    "of": "the roof of " * 700,
    "that": "that " * 1_600,
    "endless word": "x" * 100_000,
    "open tags": "<" * 100_000,
    "markup": "<script>alert('x')</script><b>trees</b> &amp; <a href='http://x/" + "y" * 500 + "'>houses</a>",
    "control": "".join(map(chr, range(160))) * 20,
    "hyphens": "-".join(["red"] * 3_000),
    "emoji": "🏠🌳" * 2_000,
    "surrogates": "a house \ud800 and trees \udfff",
    "empty": "",
    "blank": " \n\t ",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_harm_nothing(parser: SpacyParser, name: str) -> None:
    start = time.process_time()
    graph = parser.parse([HOSTILE[name]])[0]
    assert time.process_time() - start < 20  # each takes less than one second
    assert isinstance(graph, SceneGraph)
    words = [*graph.objects, *(a for found in graph.attributes.values() for a in found)]
    assert all(word.isprintable() and "<" not in word for word in words)


def test_hostile_texts_say_what_they_say(parser: SpacyParser) -> None:
    graphs = dict(zip(HOSTILE, parser.parse(list(HOSTILE.values())), strict=True))
    assert graphs["megabyte"].objects == ("house", "park", "roof")
    assert {"tree", "house"} <= set(graphs["markup"].objects)
    assert {"house", "tree"} <= set(graphs["surrogates"].objects)
    for name in ("endless word", "emoji", "empty", "blank"):
        assert graphs[name] == SceneGraph()


@given(st.text(max_size=300))
@settings(max_examples=60, deadline=None)
def test_tidied_text_is_printable_bounded_and_stays_so(text: str) -> None:
    tidied = tidy(text)
    assert tidied.isprintable()
    assert len(tidied) <= MOST_CHARACTERS
    assert "  " not in tidied
    assert max(map(len, tidied.split()), default=0) <= 60


@given(st.lists(st.sampled_from(SALAD)))
@settings(max_examples=60, deadline=None)
def test_word_salad_gives_whole_graphs(words: list[str]) -> None:
    graph = _shared().parse([" ".join(words)])[0]
    ends = {end for subject, _, thing in graph.relations for end in (subject, thing)}
    assert ends | set(graph.attributes) <= set(graph.objects)
    assert all(all(relation) for relation in graph.relations)
    assert list(graph.objects) == sorted(set(graph.objects))


@cache
def _shared() -> SpacyParser:
    """Loaded once for all examples."""
    return SpacyParser()


def test_a_text_is_parsed_alike_alone_and_among_others(parser: SpacyParser) -> None:
    things = ["road", "park", "car", "tall building", "river", "parking lot", "old bridge", "tree"]
    rng = random.Random(0)
    texts = [
        f"A {rng.choice(things)} lies near the {rng.choice(things)}, with a {rng.choice(things)} beside it."
        * rng.randint(1, 4)
        for _ in range(60)
    ]
    alone = [parser.parse([text])[0] for text in texts]
    assert parser.parse(texts) == alone
    assert parser.parse(texts[::-1]) == alone[::-1]


def test_version_tells_model_and_rules(parser: SpacyParser, tmp_path: Path) -> None:
    package = importlib.util.find_spec(parser.model)
    assert package is not None
    assert package.submodule_search_locations
    root = Path(package.submodule_search_locations[0])
    data = next(path.parent for path in root.rglob("config.cfg"))
    shutil.copytree(data, tmp_path / "pipeline")
    copied = SpacyParser(str(tmp_path / "pipeline"))
    assert copied.version == parser.version == SpacyParser(parser.model).version
    assert copied.parse([SENTENCE]) == parser.parse([SENTENCE])
    meta = tmp_path / "pipeline" / "meta.json"
    meta.write_text(meta.read_text().replace('"version":"3.8.0"', '"version":"3.9.9"'))
    assert SpacyParser(str(tmp_path / "pipeline")).version != parser.version


def test_missing_parts_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no spaCy pipeline of that name"):
        SpacyParser("no_such_pipeline")
    with pytest.raises(InputError, match="no such parser"):
        load_parser("no such")
    find = importlib.util.find_spec

    def hide(hidden: str) -> None:
        def found(name: str, *args: Any) -> Any:
            return None if name.startswith(hidden) else find(name, *args)

        monkeypatch.setattr(importlib.util, "find_spec", found)

    for hidden in ("en_core", "spacy"):
        hide(hidden)
        with pytest.raises(MissingExtraError, match=r"urbanln\[nlp\]"):
            SpacyParser()


def test_several_threads_may_share_a_parser() -> None:
    parser = SpacyParser()
    texts = [f"{n} red cars stand beside a tall building and a small park." for n in range(2, 40)]
    alone = [parser.parse([text])[0] for text in texts]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda text: parser.parse([text])[0], texts * 4))
    assert together == alone * 4
