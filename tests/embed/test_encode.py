"""From pictures to region vectors: means over views, flags, and what happens to what is not there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tests.train.fake_city import make_city, tiny_settings

from urbanln.base.errors import ArtefactError, InputError
from urbanln.base.files import hash_file
from urbanln.city.store import City
from urbanln.embed import encode
from urbanln.embed.encode import embed_regions
from urbanln.embed.networks import model_hashes
from urbanln.model.clip import LongClip, load_clip
from urbanln.tables.vectors import matrix, read_embeddings, write_embeddings
from urbanln.train.loop import pretrain


@pytest.fixture(scope="session")
def clip(clip_folder: Path) -> LongClip:
    return load_clip(clip_folder, context=None)


def regions_of(model: LongClip | Path, city: City, **options: Any) -> gpd.GeoDataFrame:
    """In fp32, whatever this machine multiplies fast: what comes out is compared to the last digits."""
    return embed_regions(model, city, **{"precision": "fp32", **options})


def _vector(clip: LongClip, city: City, name: str) -> np.ndarray:
    pixels = clip.preprocess(Image.open(city.folder / "pictures" / name))
    with torch.no_grad():
        return clip.encode_image(pixels[None], normalize=False)[0].numpy()


def test_a_region_is_the_mean_of_its_views(city: City, clip: LongClip) -> None:
    frame = regions_of(clip, city, view="street").set_index("region_id")
    views = [_vector(clip, city, f"street-5-{k}.png") for k in (1, 2)]
    np.testing.assert_allclose(frame.loc["r005", "vector"], np.mean(views, axis=0), atol=1e-5)
    assert frame.loc["r005", "n_images"] == 2
    scaled = regions_of(clip, city, view="street", normalize=True).set_index("region_id")
    unit = [v / np.linalg.norm(v) for v in views]
    np.testing.assert_allclose(scaled.loc["r005", "vector"], np.mean(unit, axis=0), atol=1e-5)


def test_a_region_without_pictures_is_left_out_and_counted(city: City, clip: LongClip) -> None:
    frame = regions_of(clip, city, view="street")
    assert list(frame["region_id"]) == [f"r{i:03d}" for i in range(1, 24)]
    assert frame.attrs["regions_without_pictures"] == 1
    assert (frame.geometry.to_numpy() == city.regions.geometry.to_numpy()[1:]).all()


def test_both_views_side_by_side_with_a_flag(city: City, clip: LongClip) -> None:
    both = matrix(regions_of(clip, city, view="both"))
    satellite = matrix(regions_of(clip, city, view="satellite"))
    street = matrix(regions_of(clip, city, view="street"))
    assert both.shape == (24, 33)
    np.testing.assert_allclose(both[:, :16], satellite, atol=1e-5)
    np.testing.assert_allclose(both[1:, 16:32], street, atol=1e-5)
    assert (both[0, 16:] == 0).all()
    assert (both[1:, 32] == 1).all()


def test_the_size_of_a_batch_does_not_matter(city: City, clip: LongClip) -> None:
    first, *others = (
        matrix(regions_of(clip, city, view="both", batch_size=size, workers=workers))
        for size, workers in ((64, 2), (1, 1), (7, 0))
    )
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-5)


def test_bf16_turns_a_vector_by_less_than_a_degree_whatever_the_batch(city: City, clip: LongClip) -> None:
    exact = matrix(regions_of(clip, city, view="street"))
    narrow = [regions_of(clip, city, view="street", precision="bf16", batch_size=size) for size in (1, 7, 64)]
    assert [frame.attrs["precision"] for frame in narrow] == ["bf16"] * 3
    for vectors in map(matrix, narrow):
        assert vectors.dtype == np.float32
        cosine = (vectors * exact).sum(axis=1)
        cosine /= np.linalg.norm(vectors, axis=1) * np.linalg.norm(exact, axis=1)
        assert cosine.min() > np.cos(np.radians(1))
        np.testing.assert_allclose(vectors, matrix(narrow[0]), atol=0.02)
    assert np.abs(matrix(narrow[0]) - exact).max() > 1e-5  # it was computed in another precision indeed


def test_corrupt_pictures_are_reported_and_left_out(
    city: City, clip: LongClip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(city.folder, tmp_path / "city")
    (tmp_path / "city" / "pictures" / "street-5-1.png").write_text("no picture")
    (tmp_path / "city" / "pictures" / "satellite-6-0.png").write_bytes(b"")
    damaged = City.open(tmp_path / "city")
    frame = regions_of(clip, damaged, view="street").set_index("region_id")
    np.testing.assert_allclose(frame.loc["r005", "vector"], _vector(clip, city, "street-5-2.png"), atol=1e-5)
    assert frame.loc["r005", "n_images"] == 1
    assert "street-5-1.png" in capsys.readouterr().err
    satellite = regions_of(clip, damaged)
    assert "r006" not in set(satellite["region_id"])
    assert (satellite.attrs["pictures_unreadable"], satellite.attrs["regions_without_pictures"]) == (1, 1)


def test_a_run_gives_its_student_or_its_teacher(city: City, clip_folder: Path, tmp_path: Path) -> None:
    run = pretrain(city, tiny_settings(clip_folder, fit="letterbox", epochs=1), tmp_path / "run")
    for encoder, part in (("student", "model"), ("teacher", "teacher")):
        found = regions_of(run, city, encoder=encoder)
        direct = regions_of(load_clip(run / part, context=None), city, fit="letterbox")
        assert (matrix(found) == matrix(direct)).all()
        assert model_hashes(run, encoder) == {"model": hash_file(run / part / "model.safetensors")}  # type: ignore[arg-type]
    student, teacher = (matrix(regions_of(run, city, encoder=e)) for e in ("student", "teacher"))
    assert np.abs(student - teacher).max() > 1e-3
    shutil.rmtree(run / "teacher")
    with pytest.raises(ArtefactError, match="no model yet"):
        regions_of(run, city, encoder="teacher")


def test_a_model_handed_over_is_left_as_it_was(city: City, clip: LongClip) -> None:
    clip.train()
    regions_of(clip, city)
    assert clip.training
    clip.eval()


def test_vectors_reach_the_disk_and_come_back(city: City, clip: LongClip, tmp_path: Path) -> None:
    frame = regions_of(clip, city, view="both")
    write_embeddings(tmp_path / "e.parquet", frame, city.fingerprint(), view="both")
    back = read_embeddings(tmp_path / "e.parquet")
    assert (matrix(back) == matrix(frame)).all()
    pd.testing.assert_series_equal(back["n_images"], frame["n_images"])


def test_no_picture_of_the_view_is_one_clear_error(clip: LongClip, tmp_path: Path) -> None:
    city = make_city(tmp_path / "city", regions=2)
    with pytest.raises(InputError, match="no picture of this view"):
        regions_of(clip, city, view="street")
    for path in (city.folder / "pictures").iterdir():
        path.write_bytes(b"")
    with pytest.raises(InputError, match="none of the pictures"):
        regions_of(clip, city)


@pytest.mark.parametrize("flag", [False, True])
def test_means_of_some_regions_at_a_time_are_those_of_all(
    flag: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    kinds = 1 + flag
    counts = rng.integers(0, 3, (23, kinds))
    sums = rng.normal(size=(23 * kinds, 5)) * (counts.reshape(-1, 1) > 0)
    all_means = (sums / np.maximum(counts.reshape(-1, 1), 1)).reshape(23, -1)
    if flag:
        all_means = np.hstack([all_means, counts[:, 1:] > 0])
    monkeypatch.setattr(encode, "_ROWS", 4)
    found = encode._means(sums, counts, flag=flag)
    assert found.dtype == np.float32
    assert np.array_equal(found, all_means[counts.sum(axis=1) > 0].astype(np.float32))
