"""Street views whose server fails: addresses expire, hosts go, tokens are wrong, pictures broken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.gather.streets import (
    Streets,
    along,
    picture,
    pictures,
    searches,
    street_recipe,
    view,
)
from tests.gather.world import Handler, TileServer, files_of

from urbanln.base.errors import InputError, StorageError
from urbanln.city.store import City
from urbanln.gather import run


def test_what_has_expired_is_asked_anew(tmp_path: Path, server: TileServer) -> None:
    streets = Streets(along(30))

    def expiring(handler: Handler, place: object) -> bool:
        if "/pictures/" in handler.path and not streets.age:
            streets.age = 1  # all addresses of the searches, from the first picture on
        return streets(handler, place)

    server.behave = expiring
    run.gather(street_recipe(tmp_path, server), tmp_path / "city")
    images = City.open(tmp_path / "city").images
    again = [path for path in server.asked if path[1:5].isdigit()]
    assert len(images) > 8
    assert {path[1:5] for path in again} <= {one.rpartition("_")[2] for one in images["image_id"]}
    assert again

    asked = len(server.asked)
    streets.age = 7  # other addresses for what is kept: nothing is asked at all
    run.gather(tmp_path / "recipe.toml", tmp_path / "again")
    assert len(server.asked) == asked
    assert files_of(tmp_path / "again") == files_of(tmp_path / "city")


def test_pictures_whose_host_is_gone_are_asked_for_anew(tmp_path: Path, server: TileServer) -> None:
    streets = Streets(along(40))

    def moved(handler: Handler, place: object) -> bool:
        if not handler.path.startswith("/images?"):
            return streets(handler, place)
        answers = [b""]
        handler.answer = lambda body, *_: answers.append(body) or True  # type: ignore[method-assign]
        streets(handler, place)
        del handler.answer
        return handler.answer(re.sub(rb"http://localhost:\d+", b"http://localhost:1", answers[-1]))

    server.behave = moved
    run.gather(street_recipe(tmp_path, server), tmp_path / "city")
    assert (
        len(City.open(tmp_path / "city").images) == len(pictures(server)) > 10
    )  # more than a host is down after


@pytest.mark.parametrize("body", [b'{"error": {"message": "unknown"}}', b"[]", b""])
def test_what_is_no_answer_to_a_search_is_asked_for_again(
    tmp_path: Path, server: TileServer, body: bytes
) -> None:
    server.behave = lambda handler, place: handler.answer(body, 200 if body else 204)
    with pytest.raises(InputError, match="no answer to a search for views"):
        run.gather(street_recipe(tmp_path, server), tmp_path / "city")
    server.behave = Streets(along(20))
    run.gather(street_recipe(tmp_path, server), tmp_path / "city")
    assert len(City.open(tmp_path / "city").images) > 8


def test_cut_off_and_gone_on_it_is_the_same_city(tmp_path: Path, server: TileServer) -> None:
    streets = Streets(along(60), page=6)

    def down(handler: Handler, place: object) -> bool:
        late = len(pictures(server)) > 5 and "/pictures/" in handler.path
        return handler.answer(b"", 500) if late else streets(handler, place)

    server.behave = down
    path = street_recipe(tmp_path, server)
    with pytest.raises(StorageError, match=r"requests have no answer: .*HTTP 500"):
        run.gather(path, tmp_path / "city")
    server.behave, streets.age = streets, 3  # in the meantime all addresses have expired
    run.gather(path, tmp_path / "city")
    assert max(server.counts[one] for one in searches(server)) == 1
    assert len(set(pictures(server))) == len(City.open(tmp_path / "city").images) > 8
    run.gather(path, tmp_path / "whole", cache=tmp_path / "other")
    assert files_of(tmp_path / "whole") == files_of(tmp_path / "city")


@pytest.mark.parametrize("status", [400, 401])
def test_a_wrong_token_is_one_clear_error(tmp_path: Path, server: TileServer, status: int) -> None:
    server.behave = Streets(along(9), token="MLY|another", refuses=status)
    with pytest.raises(StorageError) as caught:
        run.gather(street_recipe(tmp_path, server), tmp_path / "city")
    assert f"HTTP {status}: the key in MAPILLARY_TOKEN is wrong or has expired" in str(caught.value)
    assert "4711" not in str(caught.value)
    assert len(server.asked) <= 4  # as many as were under way


def test_a_busy_server_is_waited_for(tmp_path: Path, server: TileServer) -> None:
    streets, busy = Streets(along(20)), set[str]()

    def behave(handler: Handler, place: object) -> bool:
        path = handler.path
        if path not in busy:
            busy.add(path)
            return handler.answer(b"", 429, Retry_After="0")
        return streets(handler, place)

    server.behave = behave
    run.gather(street_recipe(tmp_path, server), tmp_path / "city")
    assert len(City.open(tmp_path / "city").images) > 8
    assert set(server.counts.values()) == {2}


def test_pictures_that_are_none_are_counted(tmp_path: Path, server: TileServer) -> None:
    broken = picture("1")[:200]
    server.behave = Streets(
        [view(1, 24.91, 60.171), view(2, 24.93, 60.171), view(3, 24.95, 60.171)],
        odd={"1": (broken, 200), "2": (b"", 404)},
    )
    report = run.gather(street_recipe(tmp_path, server), tmp_path / "city")
    assert len(City.open(tmp_path / "city").images) == 1
    counts = report.coverage["streets"].value_counts()
    assert (counts["broken"], counts["picture"]) == (1, 1)


def test_what_is_broken_gives_its_place_to_the_next_best(tmp_path: Path, server: TileServer) -> None:
    views = along(200)
    server.behave = Streets(views)
    run.gather(street_recipe(tmp_path, server, "per_region = 9"), tmp_path / "sound")
    sound = City.open(tmp_path / "sound").images
    names = sound["image_id"].str.rpartition("_")[2]
    first = list(names[sound["region_id"] == sound["region_id"].iloc[0]])
    bad = {first[0]: (picture(first[0])[:200], 200), first[2]: (b"", 404), first[3]: (b"", 410)}
    server.behave = streets = Streets(views, odd=bad)
    path = street_recipe(tmp_path, server, "per_region = 4")
    report = run.gather(path, tmp_path / "city", cache=tmp_path / "a")
    city = City.open(tmp_path / "city").images
    shown = list(city["image_id"].str.rpartition("_")[2][city["region_id"] == sound["region_id"].iloc[0]])
    assert shown == [first[1], first[4], first[5], first[6]]  # as if the broken ones had never been chosen
    assert "streets: 3 of the chosen pictures are not there or broken" in report.said
    assert "streets: 3 views stand in for these, the next best of their regions" in report.said
    assert max(server.counts[one] for one in searches(server)) == 2  # of two caches
    asked = len(server.asked)
    run.gather(path, tmp_path / "again", cache=tmp_path / "a")
    assert len(server.asked) == asked
    assert files_of(tmp_path / "again") == files_of(tmp_path / "city")
    streets.odd = {one["id"]: (b"", 404) for one in views}
    with pytest.raises(InputError, match="nothing covers this place"):
        run.gather(path, tmp_path / "none", cache=tmp_path / "b")
    del server.asked[:asked]
    assert len(set(pictures(server))) == 2 * 4 * len(set(sound["region_id"]))  # twice as many are tried


@pytest.mark.parametrize("status", [400, 404])
def test_a_view_that_is_no_more_is_left_out(tmp_path: Path, server: TileServer, status: int) -> None:
    streets = Streets([view(1, 24.91, 60.171), view(2, 24.93, 60.171)])

    def gone(handler: Handler, place: object) -> bool:
        if handler.path.startswith("/pictures/1"):
            return handler.answer(b"", 403)
        return handler.answer(b"", status) if handler.path.startswith("/1?") else streets(handler, place)

    server.behave = gone
    run.gather(street_recipe(tmp_path, server), tmp_path / "city")
    assert len(City.open(tmp_path / "city").images) == 1
