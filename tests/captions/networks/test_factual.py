"""The FACTUAL parser on a tiny random T5 of the real class, and the reading of its answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from urbanln.base.errors import InputError
from urbanln.captions.networks.factual import FactualParser, read_linear_graph
from urbanln.captions.parsing.parse import load_parser, parse_all
from urbanln.captions.scene_graph import SceneGraph

WORDS = "generate scene graph: the red roof of a house , is on in road ( ) ; and with cars trees 2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T5 of two narrow layers and a byte-level tokenizer, saved as the hub's are."""
    folder = tmp_path_factory.mktemp("t5")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<pad>", "</s>", "<unk>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        [WORDS] * 3,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
        ),
    )
    bpe.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=400, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder


@pytest.fixture
def parser(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FactualParser:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return FactualParser(folder, beams=2, max_input=40, max_output=24)


def test_random_weights_are_loaded_by_path_and_parse_alike(parser: FactualParser, folder: Path) -> None:
    texts = ["The red roof of a house. Cars on the road!", "", "trees; " * 60, "\x1b[2J<b>house</b>"]
    found = parse_all(texts, parser)
    assert [type(graph) for graph in found] == [SceneGraph] * 4
    assert found[1] == SceneGraph()
    again = FactualParser(folder, beams=2, max_input=40, max_output=24)
    assert again.parse(texts) == found
    assert again.version == parser.version


def test_version_changes_with_weights_and_settings(
    parser: FactualParser, folder: Path, tmp_path: Path
) -> None:
    assert FactualParser(folder, beams=3, max_input=40, max_output=24).version != parser.version
    network = T5ForConditionalGeneration.from_pretrained(folder)
    with torch.no_grad():
        network.shared.weight[5, 3] += 0.5
    network.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert FactualParser(tmp_path, beams=2, max_input=40, max_output=24).version != parser.version


def test_every_word_of_a_long_sentence_is_asked(parser: FactualParser) -> None:
    long = "the red roof of a house; cars on the road, and trees with a house, while the cars is in the road"
    pieces = parser.fit(long)
    assert len(pieces) > 1
    assert " ".join(pieces) == long
    assert all(parser._length(piece) <= 40 for piece in pieces)
    assert pieces[0] == "the red roof of a house;" or pieces[0].endswith(",")
    assert (parser.split, parser.hard_splits) == (1, 0)
    run_on = "red roof road cars trees house " * 12
    assert " ".join(parser.fit(run_on)).split() == run_on.split()
    assert (parser.split, parser.hard_splits) == (2, 1)
    assert parser.fit("a road.") == ["a road."]


def test_a_model_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="could not be loaded"):
        load_parser("factual", str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("answers", "graph"),
    [
        (
            ["( houses , is , 2 ) , ( houses , is , tall ) , ( houses , have , red roofs )"],
            SceneGraph(
                ("house", "red roof"), {"house": ("tall", "two")}, (("house", "have", "red roof"),)
            ),
        ),
        (["(bench,is,wooden),(bench,v:face,sea:1)"],
         SceneGraph(("bench", "sea"), {"bench": ("wooden",)}, (("bench", "face", "sea"),))),
        (["( bench , is , wooden ) , ( bench , fac"], SceneGraph(("bench",), {"bench": ("wooden",)})),
        (["( bench , is , woo"], SceneGraph(("bench",))),
        (["( trees )"], SceneGraph(("tree",))),
        (["( people , is , group of ) , ( people , on , road )"],
         SceneGraph(("person", "road"), {}, (("person", "on", "road"),))),
        (["( image , is , aerial ) , ( road , in , image )"], SceneGraph(("road",))),
        (["( car , on , road )", "( roads , is , wet )"],
         SceneGraph(("car", "road"), {"road": ("wet",)}, (("car", "on", "road"),))),
        ([""], SceneGraph()),
        ([")))((( , , ,"], SceneGraph()),
        (["( a , b )( , , ) , ( c , d , )"], SceneGraph()),
    ],
)  # fmt: skip
def test_answers_are_read(answers: list[str], graph: SceneGraph) -> None:
    assert read_linear_graph(answers) == graph
