from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessorPil,
    Owlv2Processor,
    PreTrainedTokenizerFast,
)

from urbanln.base.errors import InputError
from urbanln.captions.captioners.base import Picture
from urbanln.captions.networks import owlv2
from urbanln.captions.networks.owlv2 import Owlv2Grounder

WORDS = ["!", "<s>", "</s>", "<unk>", "tree", "red", "bus", "house", "a", "of"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random OWLv2 of the real class for pictures of 64 pixels, with a tokenizer of whole words."""
    path = tmp_path_factory.mktemp("owlv2")
    torch.manual_seed(1)
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**tower, "vocab_size": len(WORDS), "max_position_embeddings": 16, "pad_token_id": 0}
    config = Owlv2Config(
        text_config={**text, "bos_token_id": 1, "eos_token_id": 2},
        vision_config={**tower, "image_size": 64, "patch_size": 8},
        projection_dim=16,
    )
    Owlv2ForObjectDetection(config).save_pretrained(path)
    raw = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="!"
    ).save_pretrained(path)
    Owlv2ImageProcessorPil(size={"height": 64, "width": 64}).save_pretrained(path)
    return path


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def picture(size: tuple[int, int] = (50, 50), sha256: str = "") -> Picture:
    file = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(file, "PNG")
    return Picture("p", "satellite", "p.png", sha256 or str(size), file.getvalue)


def test_scores_are_those_of_the_whole_model(folder: Path) -> None:
    phrases = ["tree", "red bus", "a house"]
    found = Owlv2Grounder(str(folder)).ground(picture(), [], phrases)
    grounder = Owlv2Grounder(str(folder))
    processor = Owlv2Processor(grounder._processor, grounder._tokenizer)
    inputs = processor(
        text=[phrases], images=picture().load(), return_tensors="pt", max_length=16, truncation=True
    )
    with torch.no_grad():
        outputs = Owlv2ForObjectDetection.from_pretrained(folder).eval()(**inputs)
    whole = outputs.logits[0].sigmoid().max(dim=0).values.tolist()
    assert found == pytest.approx(whole, abs=1e-6)
    assert len(set(found)) == 3
    assert "torchvision" not in sys.modules


def test_neither_batch_nor_company_changes_a_score(folder: Path) -> None:
    one, many = Owlv2Grounder(str(folder), batch=1), Owlv2Grounder(str(folder), batch=64)
    phrases = ["tree", "bus", "tree", "a red house of a tree"]
    assert one.ground(picture(), [], phrases) == pytest.approx(many.ground(picture(), [], phrases), abs=1e-6)
    assert many.ground(picture(), [], ["bus"]) == pytest.approx(
        many.ground(picture(), [], phrases)[1:2], abs=1e-6
    )
    assert many.ground(picture(), [], []) == []


def test_detections_in_the_padding_do_not_count(folder: Path) -> None:
    grounder = Owlv2Grounder(str(folder))
    assert grounder._features(picture((50, 50))).shape[1] == 64
    assert grounder._features(picture((80, 40))).shape[1] == 32
    assert grounder._features(picture((40, 80))).shape[1] == 32
    # Of a very flat picture one row of patches is left.
    assert grounder._features(picture((400, 40))).shape[1] == 8
    assert grounder._features(picture((400, 2))).shape[1] == 8
    assert grounder._features(picture((2, 400))).shape[1] == 8


def test_long_phrases_are_cut_and_counted(folder: Path) -> None:
    grounder = Owlv2Grounder(str(folder))
    long = " ".join(["tree"] * 14)
    assert grounder.ground(picture(), [], [long])[0] > 0
    assert grounder.cut == 0
    longer, longest = grounder.ground(picture(), [], [long + " bus", long + " bus house"])
    assert grounder.cut == 2
    assert longer == pytest.approx(longest, abs=1e-6)


def test_few_pictures_are_remembered_and_none_is_mistaken(folder: Path) -> None:
    grounder = Owlv2Grounder(str(folder))
    sizes = [(50, 10 * n) for n in range(1, 7)]
    first = [grounder.ground(picture(size), [], ["tree"]) for size in sizes]
    assert len(grounder._seen) <= 4
    assert [grounder.ground(picture(size), [], ["tree"]) for size in sizes] == first
    nameless = picture()
    nameless = Picture("q", "satellite", "q.png", "", nameless.read)
    assert grounder.ground(nameless, [], ["tree"]) == grounder.ground(picture(), [], ["tree"])


def test_weights_in_half_precision_are_taken(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "half")
    Owlv2ForObjectDetection.from_pretrained(folder).half().save_pretrained(tmp_path / "half")
    grounder = Owlv2Grounder(str(tmp_path / "half"))
    assert grounder.ground(picture(), [], ["tree"]) == pytest.approx(
        Owlv2Grounder(str(folder)).ground(picture(), [], ["tree"]), abs=2e-3
    )
    assert {tensor.dtype for tensor in grounder._model.parameters()} == {torch.float32}


def test_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no OWLv2 model"):
        Owlv2Grounder(str(tmp_path))


def test_a_thin_picture_is_not_padded_to_gigabytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grounder = Owlv2Grounder(str(folder))
    padded: list[int] = []
    processor = grounder._processor

    def watched(image: Image.Image, **options: object) -> object:
        padded.append(max(image.size) ** 2)
        return processor(image, **options)

    grounder._processor = watched
    monkeypatch.setattr(owlv2, "_THIN_EDGE", 512)
    assert len(grounder.ground(picture((10, 60_000)), [], ["tree", "red bus"])) == 2
    assert padded == [512**2], "60,000² would take 40 GB"
    grounder.ground(picture((400, 300)), [], ["tree"])
    assert padded[1] == 400**2, "others stay as they are"
