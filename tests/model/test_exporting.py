"""Other tools open what is exported, and give the vectors that the model gives here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from PIL import Image
from sentence_transformers import SentenceTransformer
from tests.model.other_bases import make_siglip, make_two_towers, picture
from torch import Tensor
from transformers import AutoModel, AutoProcessor

from urbanln.base.errors import InputError
from urbanln.model.clip import LongClip, load_clip
from urbanln.model.formats.exporting import export_model
from urbanln.model.formats.importing import import_checkpoint

TEXTS = ["a park beside a river", "grey roofs, " * 60, "x"]


@pytest.fixture(scope="module")
def model() -> LongClip:
    return load_clip("tiny")


def _vectors(model: LongClip, pixels: Tensor) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        return model.encode_image(pixels), model.encode_text(model.tokenize(TEXTS))


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_what_goes_out_to_open_clip_comes_back_bit_for_bit(
    activation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_clip("tiny")
    model.clip.config.vision_config.hidden_act = model.clip.config.text_config.hidden_act = activation
    folder = export_model(model, "open_clip", tmp_path / "out")
    facts = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    assert facts["quick_gelu"] == (activation == "quick_gelu")
    assert facts["text_cfg"]["context_length"] == model.context
    # The way back knows CLIP's vocabulary only; this model's is its own, and lies in the folder.
    monkeypatch.setattr("urbanln.model.formats.importing.clip_tokenizer", lambda context: model.tokenizer)
    again = import_checkpoint(folder)
    assert again.activation == activation
    theirs, ours = again.model.clip.state_dict(), model.clip.state_dict()
    assert sorted(theirs) == sorted(ours)
    for name in set(ours) - {name for name in ours if "position_embedding" in name}:
        assert torch.equal(theirs[name], ours[name]), name


def test_sentence_transformers_reads_texts_and_pictures(model: LongClip, tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (96, 96, 3), dtype=np.uint8))
    theirs = SentenceTransformer(
        str(export_model(model, "sentence-transformers", tmp_path / "out")), device="cpu"
    )
    images, texts = _vectors(model, model.preprocess(picture)[None])
    np.testing.assert_allclose(theirs.encode(TEXTS), texts.numpy(), atol=1e-5)
    np.testing.assert_allclose(theirs.encode([picture]), images.numpy(), atol=1e-5)


def test_onnxruntime_takes_any_batch_and_length(model: LongClip, tmp_path: Path) -> None:
    folder = export_model(model, "onnx", tmp_path / "out")
    facts = json.loads((folder / "facts.json").read_text())
    assert (facts["context"], facts["dimensions"]) == (model.context, model.dim)
    assert "library_name: onnx" in (folder / "README.md").read_text()
    vision, text = (InferenceSession(folder / f"{name}.onnx") for name in ("vision", "text"))
    for count in (1, 5):
        pixels = torch.randn(count, 3, model.image_size, model.image_size)
        (found,) = vision.run(None, {"pixel_values": pixels.numpy()})
        np.testing.assert_allclose(found, _vectors(model, pixels)[0].numpy(), atol=1e-4)
    expected = _vectors(model, pixels)[1].numpy()
    (found,) = text.run(None, {"input_ids": model.tokenize(TEXTS).numpy()})
    np.testing.assert_allclose(found, expected, atol=1e-4)
    for row, wanted in zip(TEXTS, expected, strict=True):  # each at its own length
        (found,) = text.run(None, {"input_ids": model.tokenize([row]).numpy()})
        np.testing.assert_allclose(found[0], wanted, atol=1e-4)


@pytest.fixture(scope="module", params=["siglip", "bert"])
def another(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LongClip:
    """A model that is no CLIP: read with its padding, or with a mask."""
    folder = tmp_path_factory.mktemp("another")
    if request.param == "siglip":
        return load_clip(make_siglip(folder / "siglip", layers=1))
    return load_clip(make_two_towers(folder / "bert", rows=32, layers=1))


def test_other_kinds_open_in_sentence_transformers_and_by_their_processor(
    another: LongClip, tmp_path: Path
) -> None:
    one, folder = picture(40, 18), export_model(another, "sentence-transformers", tmp_path / "out")
    images, texts = _vectors(another, another.preprocess(one)[None])
    theirs = SentenceTransformer(str(folder), device="cpu")
    np.testing.assert_allclose(theirs.encode(TEXTS), texts.numpy(), atol=1e-5)
    np.testing.assert_allclose(theirs.encode([one]), images.numpy(), atol=1e-5)
    given = AutoProcessor.from_pretrained(folder)(
        text=TEXTS, images=[one], padding="max_length", truncation=True, return_tensors="pt"
    )
    with torch.no_grad():
        found = AutoModel.from_pretrained(folder)(**given)
    torch.testing.assert_close(found.text_embeds, texts, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.image_embeds, images, rtol=0, atol=1e-5)


def test_other_kinds_run_in_onnxruntime(another: LongClip, tmp_path: Path) -> None:
    folder = export_model(another, "onnx", tmp_path / "out")
    facts = json.loads((folder / "facts.json").read_text())
    assert facts["padded_to"] == (196 if another.family.reading == "full" else None)
    vision, text = (InferenceSession(folder / f"{name}.onnx") for name in ("vision", "text"))
    pixels = torch.randn(3, 3, another.image_size, another.image_size)
    images, texts = _vectors(another, pixels)
    (found,) = vision.run(None, {"pixel_values": pixels.numpy()})
    np.testing.assert_allclose(found, images.numpy(), atol=1e-4)
    for rows, wanted in ((TEXTS, texts), (TEXTS[2:], texts[2:])):
        (found,) = text.run(None, {"input_ids": another.tokenize(rows).numpy()})
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_open_clip_is_for_clip_alone(another: LongClip, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder of it can be made") as refused:
        export_model(another, "open_clip", tmp_path / "out")
    assert "onnx" in str(refused.value.remedy)


def test_what_open_clip_has_no_name_for_is_refused(tmp_path: Path) -> None:
    model = load_clip("tiny")
    model.clip.config.vision_config.hidden_act = "relu"
    with pytest.raises(InputError, match="one activation for both") as refused:
        export_model(model, "open_clip", tmp_path / "out")
    assert "onnx" in str(refused.value.remedy)
    assert not (tmp_path / "out").exists()
