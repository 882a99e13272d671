"""The simulated server: real HTTP, true scenes, faults at their rates, and an end with whoever started it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from urbanln.base.errors import InputError, UrbanLNError
from urbanln.captions.asking.prompts import Prompts
from urbanln.captions.captioners.base import Answer, Ask, Box, PassingFault, Picture, Stage, pictures_of
from urbanln.captions.captioners.openai_server import ServerCaptioner
from urbanln.captions.settings import CaptionerSettings
from urbanln.captions.simulation.scene_captioner import SceneCaptioner
from urbanln.captions.simulation.server import KINDS, REFUSAL, Faults, SimulatedServer, serve
from urbanln.captions.simulation.simulated import SIMULATED
from urbanln.city.store import City
from urbanln.city.synthetic import make_synthetic_city


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return make_synthetic_city(tmp_path_factory.mktemp("served") / "city", regions=8, seed=9, workers=1)


@pytest.fixture
def start(city: City) -> Iterator:
    """Starts servers in this process; each is stopped in the end."""
    running: list[SimulatedServer] = []

    def one(faults: Faults | None = None) -> SimulatedServer:
        running.append(SimulatedServer(city, faults or Faults()))
        threading.Thread(target=running[-1].serve_forever, args=(0.01,), daemon=True).start()
        return running[-1]

    yield one
    for server in running:
        server.shutdown()
        server.server_close()


def _request(picture: bytes, model: str = "simulated-a", text: str = "Describe.", **more: object) -> dict:
    url = f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
    content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
    return {"model": model, "messages": [{"role": "user", "content": content}], **more}


def _tag(picture: Picture, stage: Stage = "describe", box: Box | None = None) -> dict[str, str]:
    return {"X-Urbanln-Tag": json.dumps({"picture": picture.sha256, "stage": stage, "box": box})}


def _call(
    server: SimulatedServer | str, body: object, headers: dict[str, str] | None = None, timeout: float = 60
) -> tuple[int, dict[str, str], bytes]:
    base = server if isinstance(server, str) else server.base_url
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=timeout)
    try:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.request("POST", "/v1/chat/completions", raw, headers or {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def _get(base_url: str, path: str) -> dict:
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())


def _served(server: SimulatedServer, name: str, ask: Ask, **settings: object) -> Answer:
    """What the package's own client gets."""
    made = CaptionerSettings(model=name, base_url=server.base_url, tag_requests=True, **settings)

    async def one() -> Answer:
        captioner = ServerCaptioner(name, made)
        try:
            return await captioner.answer(ask)
        finally:
            await captioner.close()

    return asyncio.run(one())


def test_the_server_answers_as_the_captioner_does_in_this_process(start, city: City) -> None:
    server, prompts, picture = start(), Prompts(), pictures_of(city)[0]
    here = SceneCaptioner(SIMULATED[2])
    local = Ask(picture, "local", prompts.render("local", picture.view), (0.1, 0.2, 0.7, 0.9), 64)
    merge = prompts.render("merge", picture.view, description="A park.", notes="- a bus", rejected="tree")
    repair = prompts.render("repair", picture.view, description="A park. A bus.", rejected="bus")
    for ask in (Ask(picture), local, Ask(picture, "merge", merge), Ask(picture, "repair", repair)):
        answer = _served(server, "simulated-c", ask)
        assert answer.text == asyncio.run(here.answer(ask)).text
        assert answer.finish == "stop"
        assert answer.tokens_out == pytest.approx(1.3 * len(answer.text.split()), abs=1)
        assert answer.tokens_in > 1.3 * len(ask.prompt.text.split()) + 20
    assert sorted(server.log.to_json()["asked"].values()) == [1, 1, 1, 1]


def test_whole_pictures_are_known_without_a_tag(start, city: City) -> None:
    server, pictures = start(), pictures_of(city)
    status, _, raw = _call(server, _request(pictures[1].read()))
    told = json.loads(raw)["choices"][0]["message"]["content"]
    assert status == 200
    assert told == asyncio.run(SceneCaptioner(SIMULATED[0]).answer(Ask(pictures[1]))).text
    status, _, raw = _call(server, _request(pictures[1].read(), max_tokens=13))
    choice = json.loads(raw)["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"]["content"] == " ".join(told.split()[:10])


def test_models_are_listed_and_unknown_pages_are_not_there(start) -> None:
    server = start()
    assert [m["id"] for m in _get(server.base_url, "/v1/models")["data"]] == [one.name for one in SIMULATED]
    assert _get(server.base_url, "/elsewhere")["error"]["code"] == "not_found"


def test_what_cannot_be_answered_is_refused_with_its_reason(start, city: City) -> None:
    server, picture = start(), pictures_of(city)[0]
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    whole = picture.read()
    no_picture = {"model": "simulated-a", "messages": [{"role": "user", "content": "Describe."}]}
    far = _request(whole)
    far["messages"][0]["content"][1]["image_url"]["url"] = "http://example.com/x.jpg"
    for body, tag, status, code in (
        (b"{", {}, 400, "invalid_request"),
        (b"[" * 100_000, {}, 400, "invalid_request"),
        ([], {}, 400, "invalid_request"),
        ({"model": "simulated-a", "messages": [{"content": [1]}]}, {}, 400, "invalid_request"),
        (_request(whole, max_tokens=float("inf")), {}, 400, "invalid_request"),
        (_request(whole, text="half a pair: \ud800"), {}, 400, "invalid_request"),
        (_request(whole, model="gpt"), {}, 404, "model_not_found"),
        (no_picture, {}, 400, "invalid_image"),
        (far, {}, 400, "invalid_image"),
        (_request(whole[:2000]), _tag(picture), 400, "invalid_image"),
        (_request(b"no picture"), _tag(picture), 400, "invalid_image"),
        (_request(buffer.getvalue()), {}, 400, "unknown_image"),
        (_request(whole), {"X-Urbanln-Tag": "[1]"}, 400, "invalid_image"),
        (_request(whole), {"X-Urbanln-Tag": '{"stage": "sing"}'}, 400, "invalid_tag"),
        (_request(whole), {"X-Urbanln-Tag": '{"box": [0, 1]}'}, 400, "invalid_tag"),
        (_request(whole), {"X-Urbanln-Tag": f'{{"box": [0, 0, 1, 1{"0" * 400}]}}'}, 400, "invalid_tag"),
        (_request(whole), {"X-Urbanln-Tag": '{"box": [0, 0, 1, NaN]}'}, 400, "invalid_tag"),
        (_request(whole), _tag(picture, "merge"), 400, "bad_prompt"),
    ):
        got, _, raw = _call(server, body, tag)
        assert (got, json.loads(raw)["error"]["code"]) == (status, code)
    assert server.log.to_json()["answered"] == {}


def test_a_body_without_length_or_too_long_is_refused(start) -> None:
    server = start()
    for length, status in ((None, 411), ("many", 411), (str(2**40), 413)):
        connection = http.client.HTTPConnection(urlsplit(server.base_url).netloc, timeout=60)
        connection.putrequest("POST", "/v1/chat/completions")
        if length:
            connection.putheader("Content-Length", length)
        connection.endheaders()
        assert connection.getresponse().status == status
        connection.close()


def test_each_fault_shows_as_it_should(start, city: City) -> None:
    picture = pictures_of(city)[0]
    body, tag = _request(picture.read()), _tag(picture)
    whole = json.loads(_call(start(), body, tag)[2])["choices"][0]["message"]["content"]
    status, headers, _ = _call(start(Faults(too_many=1, retry_after_s=0.25)), body, tag)
    assert (status, headers["retry-after"]) == (429, "0.25")
    assert _call(start(Faults(server_error=1)), body, tag)[0] == 500
    status, _, raw = _call(start(Faults(broken_json=1)), body, tag)
    assert status == 200
    with pytest.raises(json.JSONDecodeError):
        json.loads(raw)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        _call(start(Faults(drop=1)), body, tag)
    cut = json.loads(_call(start(Faults(cut=1)), body, tag)[2])["choices"][0]
    assert cut["finish_reason"] == "length"
    assert whole.startswith(cut["message"]["content"])
    assert len(cut["message"]["content"]) < len(whole)
    refused = json.loads(_call(start(Faults(refusal=1)), body, tag)[2])["choices"][0]
    assert refused["message"]["content"] == REFUSAL
    hanging = start(Faults(hang=1, hang_s=60))
    before = time.monotonic()
    with pytest.raises(TimeoutError):
        _call(hanging, body, tag, timeout=0.3)
    assert 0.25 < time.monotonic() - before < 50
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        _call(start(Faults(hang=1, hang_s=0.2)), body, tag)


@pytest.mark.parametrize("kind", ["too_many", "server_error", "drop", "broken_json", "hang"])
def test_the_packages_client_takes_faults_for_passing_ones(start, city: City, kind: str) -> None:
    server = start(Faults(**{kind: 1}, retry_after_s=0.25))
    with pytest.raises(PassingFault) as caught:
        # Only a hanging server needs a client that gives up soon.
        _served(server, "simulated-b", Ask(pictures_of(city)[0]), timeout_s=5 if kind == "hang" else 60)
    assert caught.value.retry_after == (0.25 if kind == "too_many" else None)
    assert server.log.to_json()["faults"] == {kind: 1}


def test_faults_come_at_their_rate_and_the_same_again_for_the_same_seed() -> None:
    faults = Faults.spread(0.35, seed=4)
    drawn = [faults.draw(f"question {k}", attempt) for k in range(3000) for attempt in range(2)]
    assert drawn == [faults.draw(f"question {k}", attempt) for k in range(3000) for attempt in range(2)]
    for kind in KINDS:
        assert drawn.count(kind) / len(drawn) == pytest.approx(0.05, abs=0.012)
    other = Faults.spread(0.35, seed=5)
    assert [other.draw(f"question {k}", 0) for k in range(3000)] != drawn[::2]
    with pytest.raises(InputError, match="more than 1"):
        Faults(hang=0.6, drop=0.6)
    with pytest.raises(InputError):
        Faults(cut=-0.1)


def test_the_log_proves_what_was_asked_how_often(start, city: City) -> None:
    server, pictures = start(Faults(server_error=0.5)), pictures_of(city)[:6]
    tries = {}
    for picture in pictures:
        for attempt in range(40):
            if _call(server, _request(picture.read()), _tag(picture))[0] == 200:
                tries[f"simulated-a|describe|{picture.sha256}|"] = attempt + 1
                break
    log = _get(server.base_url, "/log")
    assert log["asked"] == tries
    assert log["answered"] == dict.fromkeys(tries, 1)
    assert log["faults"] == {"server_error": sum(tries.values()) - len(tries)}
    assert max(tries.values()) > 1
    _call(server, _request(pictures[0].read()), _tag(pictures[0], "local", (0.0, 0.25, 1.0, 1.0)))
    key = f"simulated-a|local|{pictures[0].sha256}|0.0000,0.2500,1.0000,1.0000"
    assert _get(server.base_url, "/log")["asked"][key] == 1


def test_a_served_city_is_gone_after_the_block(city: City) -> None:
    with serve(city.folder, Faults(refusal=1)) as base_url:
        assert base_url.startswith("http://127.0.0.1:")
        picture = pictures_of(city)[0]
        assert REFUSAL in _call(base_url, _request(picture.read()))[2].decode()
        with pytest.raises(ValueError, match="inside"):
            raise ValueError("inside")
    with pytest.raises(OSError):
        _get(base_url, "/log")


def test_a_folder_that_is_no_city_stops_the_start(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UrbanLNError, match="did not start"), serve(tmp_path):
        pass
    assert str(tmp_path) in capfd.readouterr().err


def test_a_port_that_is_taken_is_told_without_a_traceback(start, city: City) -> None:
    port = urlsplit(start().base_url).port
    for wanted in (port, 70_000):
        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "urbanln.captions.simulation.server",
                str(city.folder),
                "--port",
                f"{wanted}",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 1
        assert str(wanted) in ended.stderr
        assert "Traceback" not in ended.stderr


PARENT = """
import sys, time
from urbanln.captions.simulation.server import serve
with serve(sys.argv[1]) as url:
    print(url, flush=True)
    time.sleep(3600)
"""


def test_the_server_ends_when_its_parent_is_killed(city: City) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(city.folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    base_url = parent.stdout.readline().strip()
    assert _get(base_url, "/log")["asked"] == {}
    os.kill(parent.pid, signal.SIGKILL)
    parent.communicate()  # returns when nobody holds its stderr any more, the server included
    with pytest.raises(OSError):
        _get(base_url, "/log")


def test_the_command_prints_its_address_first_and_ends_when_told(city: City) -> None:
    command = [sys.executable, "-m", "urbanln.captions.simulation.server", str(city.folder)]
    process = subprocess.Popen(
        [*command, "--faults", "1", "--seed", "3"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    base_url = process.stdout.readline().strip()
    picture = pictures_of(city)[0]
    with contextlib.suppress(http.client.HTTPException, OSError):
        _call(base_url, _request(picture.read()), _tag(picture))
    assert sum(_get(base_url, "/log")["faults"].values()) == 1
    process.terminate()
    assert process.wait() == 0
    process.stdout.close()
