"""SigLIP as a base: vectors of the plain class, its 64 positions stretched, its padding, folders, faults."""

from __future__ import annotations

import json
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from PIL import Image
from tests.model.other_bases import TEXTS, make_siglip, picture, pictures_of
from torch import Tensor
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from urbanln.base.errors import ArtefactError, InputError, UrbanLNError
from urbanln.model import checkpoint
from urbanln.model.clip import load_clip
from urbanln.model.context import settled_context
from urbanln.model.source import find_source
from urbanln.model.stretch import stretch_positions
from urbanln.model.tokens import load_tokenizer

logging.set_verbosity_error()
# One longer than 64 tokens, one that is nothing, one with what ends a text written out.
HARD = [*TEXTS, " and ".join(TEXTS), "", "a river </s> and <eos> a park"]


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_siglip(tmp_path_factory.mktemp("siglip") / "siglip-64")


@pytest.fixture(scope="module")
def siglip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_siglip(tmp_path_factory.mktemp("siglip2") / "siglip2-64", second=True)


@pytest.fixture(params=["siglip", "siglip2"])
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


def _theirs(folder: Path, texts: list[str], images: list[Image.Image]) -> tuple[Tensor, Tensor]:
    """Vectors as everybody has them who follows SigLIP's documentation."""
    network, length = AutoModel.from_pretrained(folder), load_clip(folder, context=None).context
    words = AutoTokenizer.from_pretrained(folder)(
        texts, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
    )
    pixels = pictures_of(folder)(images=images, return_tensors="pt")
    with torch.no_grad():
        text = network.get_text_features(input_ids=words["input_ids"]).pooler_output
        image = network.get_image_features(pixel_values=pixels["pixel_values"]).pooler_output
    return image, text


def test_unstretched_its_vectors_are_those_of_the_plain_class(folder: Path) -> None:
    model = load_clip(folder, context=None)
    texts, images = HARD[:-1], [picture(16, 16), picture(40, 18), picture(9, 33)]
    image, text = _theirs(folder, texts, images)
    with torch.no_grad():
        ours = model.encode_text(model.tokenize(texts), normalize=False)
        pixels = torch.stack([model.preprocess(one) for one in images])
        torch.testing.assert_close(ours, text, rtol=0, atol=1e-5)
        torch.testing.assert_close(model.encode_image(pixels, normalize=False), image, rtol=0, atol=1e-5)
    assert (model.context, model.dim) == (64, text.shape[1])


def test_its_64_positions_become_196(folder: Path) -> None:
    model, plain = load_clip(folder), load_clip(folder, context=None)
    place = "text_model.embeddings.position_embedding"
    table, base = (one.clip.get_submodule(place).weight for one in (model, plain))
    assert (model.context, model.keep, model.record.stretched_from) == (196, 20, 64)
    assert settled_context(find_source(folder)) == load_tokenizer(folder).context == 196
    assert torch.equal(table[:20], base[:20])
    assert torch.equal(table, stretch_positions(base, keep=20, ratio=4))
    ids = model.tokenize(["a park"])
    assert ids.shape == (1, 196)
    with torch.no_grad():  # read at the last position, which padding fills
        changed = ids.clone()
        changed[0, -1] = 5
        assert (model.encode_text(ids) - model.encode_text(changed)).abs().max() > 1e-3


def test_padding_stands_where_the_tokenizer_puts_it(siglip2: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    shutil.copytree(siglip2, left)
    file = left / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"padding_side": "left"}))
    ids = load_clip(left, context=None).tokenize(["a park"])
    theirs = AutoTokenizer.from_pretrained(left)(["a park"], padding="max_length", return_tensors="pt")
    assert torch.equal(ids, theirs["input_ids"])
    assert ids[0, 0] == 0
    assert load_clip(siglip2, context=None).tokenize(["a park"])[0, -1] == 0


def test_a_text_too_long_keeps_its_end_and_no_row_is_cut_there(siglip2: Path) -> None:
    model = load_clip(siglip2, context=None)
    ids = model.tokenize(HARD)
    assert ids.shape == (len(HARD), 64)
    assert model.count_tokens(HARD)[4] > 64
    assert ids[4, -1] == 1
    with pytest.raises(InputError, match="all its 64 positions"):
        model.encode_text(ids[:, :40])


def test_the_bias_stays_as_it_came_and_the_rest_trains(siglip: Path) -> None:
    model = load_clip(siglip)
    before = deepcopy(model.state_dict())
    model.train()
    model.patch_dropout = 0.5
    pixels = torch.stack([model.preprocess(picture(16, 16, seed)) for seed in range(3)])
    v, t = model(pixels, model.tokenize(TEXTS[:3]))
    loss = -((v * t).sum(1) * model.logit_scale.exp()).mean()
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-2)
    loss.backward()
    optimizer.step()
    still = {name for name, one in model.state_dict().items() if torch.equal(one, before[name])}
    assert still == {
        "clip.logit_bias", "clip.text_model.embeddings.position_embedding.head",
        # Softmax does not see what is added to all keys.
        *(name for name in before if name.endswith("k_proj.bias") and name in still),
    }  # fmt: skip


def test_all_of_it_moves_to_another_device_and_dropping_no_patch_changes_nothing(siglip: Path) -> None:
    model = load_clip(siglip)
    pixels = torch.randn(2, 3, 16, 16)
    every = torch.arange(4).expand(2, -1)
    with torch.no_grad():
        wanted, found = (model.family.image_features(model.clip, pixels, kept) for kept in (None, every))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
    model.to("meta").train()  # a device whose tensors meet no others
    model.patch_dropout = 0.5
    shapes = model.encode_image(pixels).shape, model.encode_text(model.tokenize(TEXTS)).shape
    assert shapes == ((2, 32), (len(TEXTS), 32))


def test_what_is_saved_opens_everywhere_with_equal_vectors(folder: Path, tmp_path: Path) -> None:
    model = load_clip(folder)
    out = model.save(tmp_path / "long")
    again, images = load_clip(out), [picture(40, 18)]
    assert (again.context, again.record, again.preprocessing) == (196, model.record, model.preprocessing)
    image, text = _theirs(out, HARD[:-1], images)
    with torch.no_grad():
        for one in (model, again):
            ours = one.encode_text(one.tokenize(HARD[:-1]), normalize=False)
            torch.testing.assert_close(ours, text, rtol=0, atol=1e-5)
            pixels = torch.stack([one.preprocess(images[0])])
            torch.testing.assert_close(one.encode_image(pixels, normalize=False), image, rtol=0, atol=1e-5)
    card = (out / "README.md").read_text()
    assert "# A SigLIP that reads long captions" in card
    assert "padding='max_length'" in card
    with pytest.raises(InputError, match="stretched once"):
        load_clip(out, context=300)
    with pytest.raises(InputError, match="would throw learnt rows away"):
        load_clip(folder, context=48)


def _broken(base: Path, folder: Path, how: str) -> Path:
    shutil.copytree(base, folder)
    config = json.loads((folder / "config.json").read_text())
    if how == "naflex":
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "siglip2"}))
    elif how == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    elif how == "pieces alone":
        (folder / "tokenizer.json").rename(folder / "spiece.model")
    elif how == "vocabulary":
        load_tokenizer("clip").tokenizer.save_pretrained(folder)
    elif how == "size":
        (folder / "preprocessor_config.json").write_text(
            '{"image_processor_type": "SiglipImageProcessor", "size": {"height": 24, "width": 24}}'
        )
    elif how == "one head":
        config["vision_config"]["vision_use_head"] = False
        (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("how", "kind", "word"),
    [
        ("naflex", InputError, "of fixed resolution"),
        ("no tokenizer", InputError, "this SigLIP folder has no tokenizer"),
        ("pieces alone", InputError, "pip install sentencepiece"),
        ("vocabulary", ArtefactError, "49408 tokens; the text tower has"),
        ("size", InputError, "takes 16 × 16 pixels"),
        ("one head", InputError, "both heads"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(
    siglip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    kind: type[UrbanLNError],
    word: str,
) -> None:
    monkeypatch.setattr(checkpoint, "find_spec", lambda name: None)  # as where it is not installed
    folder = _broken(siglip, tmp_path / "broken", how)
    with pytest.raises(kind, match=word) as caught:
        load_clip(folder)
    assert str(folder) in str(caught.value)


def test_what_a_folder_says_of_lengths_and_kinds_elsewhere_does_not_count(
    siglip: Path, tmp_path: Path
) -> None:
    folder = _broken(siglip, tmp_path / "odd", "none")
    for name, changed in (("tokenizer_config.json", {"model_max_length": "x"}), ("config.json", {})):
        facts = json.loads((folder / name).read_text()) | changed
        if name == "config.json":
            facts["text_config"]["model_type"] = "bert"
        (folder / name).write_text(json.dumps(facts))
    assert load_tokenizer(folder).count_tokens(TEXTS) == load_tokenizer(siglip).count_tokens(TEXTS)
    assert load_clip(folder).context == 196


def test_pictures_of_a_folder_that_does_not_say_become_squares(siglip: Path, tmp_path: Path) -> None:
    folder = _broken(siglip, tmp_path / "plain", "none")
    kept = load_clip(folder).preprocessing
    (folder / "preprocessor_config.json").unlink()
    assert load_clip(folder).preprocessing == kept
