"""Pictures out of GeoTIFFs: the right ground, the right brightness, in any system and of any kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from PIL import Image, TiffImagePlugin, TiffTags
from tests.gather.rasters import write_tif
from tests.gather.world import saved

from urbanln.base.errors import InputError, StorageError
from urbanln.base.files import read_table
from urbanln.city.store import City
from urbanln.gather import run
from urbanln.gather.grids import open_grid
from urbanln.gather.rasters.picture import as_picture, pixels
from urbanln.gather.tiles.picture import frame_of

SOMEWHERE = shapely.box(24.92, 60.16, 24.95, 60.18)
SYSTEMS = ("EPSG:4326", "EPSG:3857", "EPSG:32635", "ESRI:54009")
AROUND = {
    crs: pyproj.Transformer.from_crs(4326, crs, always_xy=True).transform_bounds(24.90, 60.15, 24.97, 60.19)
    for crs in SYSTEMS
}
RECIPE = """
[place]
name = "Somewhere"
bbox = [24.92, 60.16, 24.95, 60.18]

[regions]
by = "h3:9"
keep = "inside"

[rasters.ortho]
files = ["ortho.tif"]
gsd_m = 12
licence = "CC BY 4.0"
attribution = "City of Somewhere"
"""


def _recipe(folder: Path, *changes: tuple[str, str]) -> Path:
    return saved(folder, RECIPE, *changes)


def _field(lon: Any, lat: Any) -> np.ndarray:
    """What the ground looks like, 0 to 1 in three bands: smooth, and different everywhere."""
    x, y = (np.asarray(lon) - 24.9) / 0.07, (np.asarray(lat) - 60.15) / 0.04
    return np.clip(np.stack([0.1 + 0.8 * x, 0.1 + 0.8 * y, 0.5 + 0.3 * np.sin(5 * (x + y))]), 0, 1)


def _ground(crs: str, edge: int = 260) -> np.ndarray:
    """The field as a raster in some system: (3, edge, edge), rows from the north."""
    west, south, east, north = AROUND[crs]
    x = west + (np.arange(edge) + 0.5) * (east - west) / edge
    y = north - (np.arange(edge) + 0.5) * (north - south) / edge
    return _field(*pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(*np.meshgrid(x, y)))


def _seen(bounds: tuple[float, float, float, float], width: int, height: int) -> np.ndarray:
    """What a picture of a box in degrees has to show: its pixels are even in Web-Mercator."""
    to_metres = pyproj.Transformer.from_crs(4326, 3857, always_xy=True)
    (west, east), (south, north) = to_metres.transform([bounds[0], bounds[2]], [bounds[1], bounds[3]])
    x = west + (np.arange(width) + 0.5) * (east - west) / width
    y = north - (np.arange(height) + 0.5) * (north - south) / height
    return _field(*to_metres.transform(*np.meshgrid(x, y), direction="INVERSE"))


@pytest.mark.parametrize("crs", SYSTEMS)
@pytest.mark.parametrize(("gsd_m", "upside_down"), [(4.0, False), (60.0, True), (150.0, False)])
def test_a_picture_shows_the_ground_in_any_system(
    tmp_path: Path, crs: str, gsd_m: float, upside_down: bool
) -> None:
    stored = (_ground(crs) * 10_000).astype(np.uint16)
    path = write_tif(tmp_path / "a.tif", stored, AROUND[crs], crs, upside_down=upside_down)
    frame = frame_of(SOMEWHERE.bounds, 0, gsd_m, "r")
    with open_grid(path) as grid:
        values = pixels(grid, frame, [1, 2, 3])
    assert values is not None
    seen = _seen(SOMEWHERE.bounds, frame.width, frame.height)
    a_third = np.abs(np.diff(seen, axis=2)).max() / 3  # of a pixel, or of the raster's
    np.testing.assert_allclose(values / 10_000, seen, atol=max(a_third, 0.002))


def test_a_city_of_pictures_is_stretched_as_it_says(tmp_path: Path) -> None:
    stored = (_ground("EPSG:32635") * 3_000 + 200).astype(np.uint16)
    stored[:, :4] = 0
    write_tif(tmp_path / "ortho.tif", stored, AROUND["EPSG:32635"], "EPSG:32635", nodata=0)
    run.gather(
        _recipe(tmp_path, ("gsd_m", 'stretch = [200, 3200]\ncaptured = "2023"\ngsd_m')), tmp_path / "city"
    )
    city = City.open(tmp_path / "city")
    assert len(city.images) == len(city.regions) > 3
    shapes = city.regions.set_index("region_id").geometry
    for row in city.images.itertuples():
        with Image.open(tmp_path / "city" / row.path) as picture:
            seen = np.asarray(picture, dtype=float) / 255
        expected = np.moveaxis(_seen(shapes[row.region_id].bounds, *seen.shape[1::-1]), 0, -1)
        assert np.abs(seen - expected).mean() < 0.01
        assert (row.captured, row.source, row.licence) == ("2023", "ortho", "CC BY 4.0")
    assert city.meta.sources[0].attribution == "City of Somewhere"


def test_the_first_file_that_has_a_pixel_gives_it(tmp_path: Path) -> None:
    crs = "EPSG:32635"
    field = (_ground(crs) * 254).astype(np.uint8) + 1
    first = field.copy()
    first[:, :, 130:] = 0
    first[:, 120:125] = 0
    write_tif(tmp_path / "a.tif", first, AROUND[crs], crs, nodata=0)
    write_tif(tmp_path / "b.tif", 255 - field, AROUND[crs], crs)
    states = run.gather(_recipe(tmp_path, ("ortho.tif", "*.tif")), tmp_path / "city").coverage["ortho"]
    assert set(states) == {"picture"}
    with pytest.raises(InputError, match="nothing covers this place") as caught:
        run.gather(
            _recipe(tmp_path, ("ortho.tif", "a.tif"), ('by = "h3:9"', 'by = "h3:6"'), ("inside", "meets")),
            tmp_path / "x",
        )
    assert "in part only" in str(caught.value.value)
    city = City.open(tmp_path / "city")
    lon = city.images.set_index("region_id")["lon"]
    row = city.images.set_index("region_id").loc[lon.idxmax()]
    with Image.open(tmp_path / "city" / row["path"]) as picture:
        seen = np.asarray(picture, dtype=float).mean(axis=(0, 1)) / 255
    bounds = city.regions.set_index("region_id").geometry[lon.idxmax()].bounds
    east = 1 - _seen(bounds, 20, 20).mean(axis=(1, 2))
    assert np.abs(seen - east).max() < 0.02


def test_what_is_not_there_is_white_partial_blank_or_absent(tmp_path: Path) -> None:
    crs = "EPSG:4326"
    field = (_ground(crs) * 254).astype(np.uint8) + 1
    field[:, :, :130] = 0
    west, south, _, north = AROUND[crs]
    field = field[:, :, :150]
    bounds = (west, south, west + 0.07 * 150 / 260, north)
    write_tif(tmp_path / "ortho.tif", field, bounds, crs, nodata=0)
    low = _recipe(tmp_path, ("gsd_m", "min_cover = 0.3\ngsd_m"), ("h3:9", "h3:10"))
    report = run.gather(low, tmp_path / "city")
    states = report.coverage["ortho"]
    assert {"picture", "partial", "absent"} == set(states)
    covered = read_table(tmp_path / "city" / "coverage.parquet", kind="coverage")
    shares = covered.set_index("region_id")["ortho_cover"]
    assert (shares[states == "picture"] >= 0.3).all()
    assert shares[states == "partial"].between(0, 0.3, inclusive="neither").all()
    assert (shares[states == "absent"] == 0).all()
    values = np.full((3, 4, 4), 100, np.float32)
    values[1, 2, 2] = np.nan
    assert as_picture(values, []).getpixel((2, 2)) == (255, 255, 255)
    assert as_picture(values, [(0, 200)]).getpixel((0, 0)) == (128, 128, 128)
    assert as_picture(values, [(0, 200), (100, 200), (0, 100)]).getpixel((0, 0)) == (128, 0, 255)
    write_tif(tmp_path / "ortho.tif", np.full((3, 20, 20), 7, np.uint8), AROUND[crs], crs)
    with pytest.raises(InputError, match="nothing covers this place") as caught:
        run.gather(_recipe(tmp_path), tmp_path / "flat")
    assert "no imagery" in str(caught.value.value)


@pytest.mark.parametrize(
    ("file", "more", "told", "remedy"),
    [
        ("sixteen", "", "numbers of type uint16 are no brightness", "stretch = ["),
        ("float", "", "numbers of type float32 are no brightness", "stretch = ["),
        ("four", "", "has 4 bands: which are red", "bands = [1, 2, 3]"),
        ("four", "bands = [4, 3, 9]", "no such band", "give a number from 1"),
        ("four", "bands = [4, 3]", "three bands, or one for grey", ""),
        ("sixteen", "stretch = [30, 10]", "darkest, brightest", ""),
        ("palette", "", "numbers of a palette", "expand rgb"),
        ("far", "", "does not cover the place", "take the file of this place"),
        ("none", "", "no such file", "relative to the recipe"),
        ("bare", "", "names no CRS", "crs ="),
        ("sixteen", "stretch = [0, 9]\nkey = \"MAP_KEY\"", "need no key", ""),
        ("fine", "gsd_m = 0.01", "more than 4,096 pixels", "gsd_m"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_picture_is_one_clear_error(
    tmp_path: Path, file: str, more: str, told: str, remedy: str
) -> None:
    box = AROUND["EPSG:4326"]
    plain = (_ground("EPSG:4326", 40) * 255).astype(np.uint8)
    shapes: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "sixteen": (plain.astype(np.uint16), {}), "float": (plain.astype(np.float32), {}),
        "four": (np.concatenate([plain, plain[:1]]), {"photometric": "MINISBLACK"}), "fine": (plain, {}),
        "far": (plain, {"bounds": (0.0, 0.0, 1.0, 1.0)}), "bare": (plain, {"crs": None}),
        "palette": (plain[:1], {"palette": True}),
    }  # fmt: skip
    if file in shapes:
        values, options = shapes[file]
        _write(tmp_path / "ortho.tif", values, **{"bounds": box, **options})
    change = ("gsd_m = 12", more if "gsd_m" in more else f"{more}\ngsd_m = 12")
    with pytest.raises(InputError, match=told) as caught:
        run.prepare(_recipe(tmp_path, change))
    assert "recipe.toml" in str(caught.value.where)
    assert remedy in caught.value.remedy


def _write(path: Path, values: np.ndarray, *, palette: bool = False, **options: Any) -> None:
    write_tif(path, values, **options)
    if palette:
        import rasterio

        with rasterio.open(path, "r+") as file:
            file.write_colormap(1, {n: (n, 0, 0, 255) for n in range(256)})


def test_transparent_pixels_are_missing_and_one_band_is_grey(tmp_path: Path) -> None:
    crs = "EPSG:4326"
    field = (_ground(crs, 100) * 255).astype(np.uint8)
    alpha = np.full((1, 100, 100), 255, np.uint8)
    alpha[:, :, :60] = 0
    write_tif(
        tmp_path / "ortho.tif",
        np.concatenate([field, alpha]),
        AROUND[crs],
        crs,
        photometric="RGB",
        alpha="YES",
    )
    states = run.gather(_recipe(tmp_path), tmp_path / "city").coverage["ortho"]
    assert {"picture", "absent"} <= set(states)
    write_tif(tmp_path / "ortho.tif", field[:1], AROUND[crs], crs)
    run.gather(_recipe(tmp_path), tmp_path / "grey")
    city = City.open(tmp_path / "grey")
    with Image.open(tmp_path / "grey" / city.images["path"].iloc[0]) as picture:
        assert np.ptp(np.asarray(picture, dtype=int), axis=-1).max() <= 2


def test_bands_that_are_separate_images_are_refused(tmp_path: Path) -> None:
    """As tifffile writes an array of (bands, rows, columns): GDAL opens the first image, one band.

    A smaller image beside the first is a preview, and no band.
    """
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[33550], tags[33922] = (0.1, 0.1, 0.0), (0.0, 0.0, 0.0, 10.0, 50.0, 0.0)
    tags[34735] = (1, 1, 0, 3, 1024, 0, 1, 2, 1025, 0, 1, 1, 2048, 0, 1, 4326)
    tags.tagtype[33550] = tags.tagtype[33922] = TiffTags.DOUBLE
    tags.tagtype[34735] = TiffTags.SHORT
    for name, more in (("bands", [(30, 20)] * 63), ("preview", [(15, 10)])):
        images = [Image.fromarray(np.full((height, width), 7, dtype=np.float32)) for width, height in more]
        first = Image.fromarray(np.full((20, 30), 7, dtype=np.float32))
        first.save(tmp_path / f"{name}.tif", tiffinfo=tags, save_all=True, append_images=images)
    with pytest.raises(InputError, match="separate images") as error, open_grid(tmp_path / "bands.tif"):
        pass
    assert error.value.value == "64 images"
    with open_grid(tmp_path / "preview.tif") as grid:
        np.testing.assert_array_equal(grid.read([1], 0, 0, 30, 20), np.full((1, 20, 30), 7))


def test_a_cut_file_is_told(tmp_path: Path) -> None:
    crs = "EPSG:4326"
    path = write_tif(tmp_path / "ortho.tif", (_ground(crs) * 255).astype(np.uint8), AROUND[crs], crs)
    path.write_bytes(path.read_bytes()[:90_000])
    with pytest.raises((StorageError, InputError), match="cannot be"):
        run.gather(_recipe(tmp_path), tmp_path / "city")
