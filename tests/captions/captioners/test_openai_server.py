"""The captioner behind a server, over real connections: what is sent, what comes, what a fault means."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import logging
import random
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo
from tests.captions.asking.fault_server import FaultServer, completion, serving

from urbanln.base.errors import InputError
from urbanln.captions.asking.desk import Desk
from urbanln.captions.asking.ledger import Ledger
from urbanln.captions.captioners.answers import NothingSaid
from urbanln.captions.captioners.base import (
    Answer,
    Ask,
    Captioner,
    CaptionerFault,
    LastingFault,
    PassingFault,
    Picture,
    Prompt,
)
from urbanln.captions.captioners.openai_server import MOST_BYTES, ServerCaptioner, parse_server_spec
from urbanln.captions.captioners.sending import data_url, is_near
from urbanln.captions.captioners.server_faults import fault_of_status, quoted, retry_after_s
from urbanln.captions.settings import CaptionerSettings

KEY = "sk-test-0123456789abcdefSECRET"


def _picture(size: tuple[int, int] = (40, 30), kind: str = "PNG", mode: str = "RGB", **save: Any) -> Picture:
    noise = random.Random(1).randbytes(size[0] * size[1] * 3)
    buffer = io.BytesIO()
    Image.frombytes("RGB", size, noise).convert(mode).save(buffer, format=kind, **save)
    data = buffer.getvalue()
    return Picture("i", "street", "p", hashlib.sha256(data).hexdigest(), lambda: data)


def _captioner(url: str, env: Mapping[str, str] | None = None, **settings: Any) -> ServerCaptioner:
    chosen = {"base_url": url, "model": "org/m", "timeout_s": 60.0, **settings}
    return ServerCaptioner("m", CaptionerSettings.model_validate(chosen), env or {})


def _once(captioner: Captioner, ask: Ask) -> Answer | None:
    async def answer() -> Answer | None:
        try:
            return await captioner.answer(ask)
        finally:
            await captioner.close()

    return asyncio.run(answer())


def _fault(captioner: Captioner) -> CaptionerFault:
    with pytest.raises(CaptionerFault) as caught:
        _once(captioner, Ask(_picture(), prompt=Prompt("Say.")))
    return caught.value


def _replying(status: int, body: bytes, headers: dict[str, str] | None = None) -> FaultServer:
    server = FaultServer(lambda: None)
    server.reply = lambda _: (status, headers or {}, body)
    return server


def _decoded(url: str) -> tuple[str, bytes]:
    head, _, data = url.partition(";base64,")
    return head, base64.b64decode(data)


def test_a_request_holds_the_picture_the_prompt_and_the_decoding_settings() -> None:
    picture = _picture()
    with serving(FaultServer(lambda: None)) as server:
        captioner = _captioner(
            server.url, temperature=0.7, top_p=0.9, seed=5, max_tokens=77, max_tokens_local=9,
            usd_per_million_in=2.0, usd_per_million_out=10.0, extra_body={"top_k": 3},
        )  # fmt: skip
        answer = _once(captioner, Ask(picture, prompt=Prompt("Say.")))
        local = Ask(picture, "local", Prompt("Part."), (0.0, 0.0, 0.5, 1.0), 60)
        _once(captioner, local)
        whole, part = server.bodies
    assert answer is not None
    assert answer.text.startswith("A picture")
    assert (answer.finish, answer.tokens_in, answer.tokens_out) == ("stop", 1000, 100)
    assert answer.cost_usd == pytest.approx(0.003)
    assert answer.seconds > 0
    shown, said = whole["messages"][0]["content"]
    assert said == {"type": "text", "text": "Say."}
    assert _decoded(shown["image_url"]["url"]) == ("data:image/png", picture.read())
    sent = {name: whole[name] for name in ("model", "temperature", "top_p", "seed", "max_tokens", "top_k")}
    assert sent == {
        "model": "org/m",
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 5,
        "max_tokens": 77,
        "top_k": 3,
    }
    assert part["max_tokens"] == 9
    kind, data = _decoded(part["messages"][0]["content"][0]["image_url"]["url"])
    with Image.open(io.BytesIO(data)) as image:
        assert (kind, image.format, min(image.size)) == ("data:image/jpeg", "JPEG", 60)


def test_the_tag_is_sent_only_when_asked_for_and_the_key_only_to_the_server() -> None:
    box = (0.0, 0.25, 0.5, 1.0)
    with serving(FaultServer(lambda: None)) as server:
        ask = Ask(_picture(), "local", Prompt("Part."), box)
        _once(_captioner(server.url, tag_requests=True), ask)
        _once(_captioner(server.url, {"MY_KEY": KEY + "\n"}, key_env="MY_KEY"), ask)
        tagged, keyed = server.headers
    expected = {"picture": ask.picture.sha256, "stage": "local", "box": list(box)}
    assert json.loads(tagged["x-urbanln-tag"]) == expected
    assert tagged["authorization"] == "Bearer none"
    assert "x-urbanln-tag" not in keyed
    assert keyed["authorization"] == f"Bearer {KEY}"


def test_the_limit_of_tokens_goes_by_the_name_the_server_wants() -> None:
    with serving(FaultServer(lambda: None)) as server:
        captioner = _captioner(server.url, max_tokens_field="max_completion_tokens", max_tokens=33)
        _once(captioner, Ask(_picture(), prompt=Prompt("Say.")))
        (body,) = server.bodies
    assert body["max_completion_tokens"] == 33
    assert "max_tokens" not in body


def test_fields_a_model_refuses_are_left_out_and_nothing_else_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-somebody")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(FaultServer(lambda: None)) as server:
        whole, part = _captioner(server.url), _captioner(server.url, omit=["temperature", "seed"])
        for captioner in (whole, part):
            _once(captioner, Ask(_picture(), prompt=Prompt("Say.")))
        all_fields, fewer = server.bodies
        sent = json.dumps(server.headers)
    assert {"temperature", "top_p", "seed"} <= all_fields.keys()
    assert fewer.keys() == all_fields.keys() - {"temperature", "seed"}
    assert whole.identity != part.identity
    assert "somebody" not in sent
    assert KEY not in sent


def test_small_plain_files_go_as_they_are_and_all_else_is_drawn_anew() -> None:
    plain = _picture(kind="JPEG", quality=70)
    assert _decoded(data_url(Ask(plain), 64)) == ("data:image/jpeg", plain.read())
    exif = Image.Exif()
    exif[0x010F] = "Camera of somebody"
    note = PngInfo()
    note.add_text("where", "52.1 N")
    for picture in (
        _picture((100, 50)),
        _picture(kind="JPEG", exif=exif),
        _picture(kind="JPEG", comment=b"52.1 N"),
        _picture(pnginfo=note),
        _picture(mode="RGBA"),
        _picture(kind="GIF"),
    ):
        kind, data = _decoded(data_url(Ask(picture), 64))
        assert kind == "data:image/jpeg"
        assert data != picture.read()
        assert b"52.1" not in data
        assert b"somebody" not in data
        with Image.open(io.BytesIO(data)) as image:
            assert max(image.size) <= 64
            assert image.mode == "RGB"
            assert not image.getexif()


def test_a_cut_off_picture_is_the_pictures_fault_and_never_sent() -> None:
    whole = _picture((60, 60)).read()
    with serving(FaultServer(lambda: None)) as server, pytest.raises(OSError, match="truncated"):
        _once(_captioner(server.url), Ask(Picture("i", "street", "p", "00", lambda: whole[:2000])))
    assert not server.requests


@pytest.mark.parametrize(
    ("status", "body", "kind", "whole", "match"),
    [
        (429, b'{"error": {"message": "slow down"}}', PassingFault, None, "429"),
        (429, b'{"error": {"code": "insufficient_quota"}}', LastingFault, True, "used up"),
        (408, b"", PassingFault, None, "408"),
        (409, b"", PassingFault, None, "409"),
        (500, b"<html>", PassingFault, None, "500"),
        (503, b"", PassingFault, None, "503"),
        (400, b'{"error": {"message": "bad picture"}}', LastingFault, False, "400"),
        (400, b'{"error": {"message": "The model `m` does not exist"}}', LastingFault, True, "no such model"),
        (413, b"", LastingFault, False, "413"),
        (422, b"", LastingFault, False, "422"),
        (401, b"", LastingFault, True, "key"),
        (403, b"", LastingFault, True, "key"),
        (404, b'{"error": {"code": "model_not_found"}}', LastingFault, True, "no such model"),
        (200, b'{"choices": [', PassingFault, None, "no chat completion"),
        (200, b'{"choices": []}', PassingFault, None, "no chat completion"),
        (200, b'{"choices": [{"message": null}]}', PassingFault, None, "no chat completion"),
        (200, b'{"choices": [{"message": {"content": 5}}]}', PassingFault, None, "no chat completion"),
        (200, b"[" * 100_000, PassingFault, None, "no chat completion"),
        (200, b"\xff\xfe", PassingFault, None, "no chat completion"),
        (200, b"", PassingFault, None, "no chat completion"),
        (402, b'{"error": {"message": "Insufficient credits"}}', LastingFault, True, "used up"),
        (403, b'{"error": {"message": "You exceeded your current quota"}}', LastingFault, True, "used up"),
        (
            500,
            b'{"error": {"message": "image input is not supported - mmproj"}}',
            LastingFault,
            True,
            "pictures",
        ),
        (
            400,
            b'{"message": "At most 0 image(s) may be provided in one prompt."}',
            LastingFault,
            True,
            "pictures",
        ),
        (
            404,
            b'{"error": {"message": "No endpoints found that support image input"}}',
            LastingFault,
            True,
            "pic",
        ),
        (
            400,
            b'{"detail": "This model does not support image formats such as WebP"}',
            LastingFault,
            False,
            "WebP",
        ),
        (400, b'{"error": {"message": "image type is not supported"}}', LastingFault, False, "type"),
    ],
)
def test_every_status_and_every_broken_answer_is_one_kind_of_fault(
    status: int, body: bytes, kind: type[CaptionerFault], whole: bool | None, match: str
) -> None:
    with serving(_replying(status, body)) as server:
        fault = _fault(_captioner(server.url))
    assert type(fault) is kind
    assert match in str(fault)
    assert getattr(fault, "whole", None) is whole


@pytest.mark.parametrize(
    ("error", "kind", "whole", "match"),
    [
        (
            {"message": "Vision add-on is not loaded, but images were provided"},
            LastingFault,
            True,
            "Vision add-on",
        ),
        ({"message": "No models loaded"}, PassingFault, None, "No models loaded"),
        ({"code": 502, "message": "upstream died"}, PassingFault, None, "502"),
        ({"code": 401, "message": "No auth credentials found"}, LastingFault, True, "key is missing"),
        ({"code": "model_not_found", "message": "no such thing"}, LastingFault, True, "no such model"),
        ({"message": "Overloaded", "type": "overloaded_error"}, PassingFault, None, "Overloaded"),
        ("The model `m` does not exist", LastingFault, True, "no such model"),
    ],
)
def test_an_error_in_place_of_an_answer_is_told_in_the_servers_words(
    error: object, kind: type[CaptionerFault], whole: bool | None, match: str
) -> None:
    whole_body = {"error": error, "choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}
    bodies = [{"error": error}, whole_body, *([error] if isinstance(error, dict) else [])]
    for body in bodies:
        with serving(_replying(200, json.dumps(body).encode())) as server:
            fault = _fault(_captioner(server.url))
        assert type(fault) is kind
    assert type(fault) is kind
    assert getattr(fault, "whole", None) is whole
    words = error["message"] if isinstance(error, dict) else str(error)
    assert match in fault.line()
    assert words in fault.line()
    assert "\n" not in fault.line()
    assert "127.0.0.1:" in fault.line()


@pytest.mark.parametrize(
    ("body", "kind", "match"),
    [
        (completion("A wide road", "error"), PassingFault, "ended with 'error'"),
        (completion("A wide road", "network_error"), PassingFault, "network_error"),
        (completion(None, "tool_calls", tool_calls=[{"id": "x"}]), PassingFault, "tool_calls"),
        (completion("", "stop"), NothingSaid, "empty"),
        (completion(None, "stop"), NothingSaid, "empty"),
        (completion("<|im_end|>", "stop"), NothingSaid, "empty"),
        (completion(None, "stop", reasoning_content="A road."), NothingSaid, "reasoning parser"),
        (completion(None, "length", reasoning="A road."), LastingFault, "raise max_tokens"),
        (completion("", "length"), LastingFault, "raise max_tokens"),
        (completion("<think>A road.", "length"), LastingFault, "raise max_tokens"),
    ],
)
def test_an_answer_that_is_none_is_a_fault_that_says_why(
    body: bytes, kind: type[CaptionerFault], match: str
) -> None:
    with serving(_replying(200, body)) as server:
        fault = _fault(_captioner(server.url, usd_per_million_in=2.0, usd_per_million_out=10.0))
    assert type(fault) is kind
    assert match in fault.line()
    assert fault.cost_usd == pytest.approx(0.003)


def test_an_answer_that_broke_off_on_the_way_is_told_in_the_gateways_words() -> None:
    choice = {"finish_reason": "error", "error": {"code": 502, "message": "upstream died"}}
    body = json.dumps({"choices": [{**choice, "message": {"content": "A wide road."}}]}).encode()
    with serving(_replying(200, body)) as server:
        fault = _fault(_captioner(server.url))
    assert isinstance(fault, PassingFault)
    assert "upstream died" in fault.line()


def test_a_body_without_an_end_is_not_read_on() -> None:
    whole = completion("A road. " * (MOST_BYTES // 8))
    assert len(whole) > MOST_BYTES
    with serving(_replying(200, whole)) as server:
        fault = _fault(_captioner(server.url))
    assert isinstance(fault, PassingFault)
    assert "4 MiB" in fault.line()
    with serving(_replying(500, b"oops " * 2_000_000)) as server:
        assert len(_fault(_captioner(server.url)).line()) < 500


def test_a_redirection_is_not_followed() -> None:
    with serving(FaultServer(lambda: None)) as target:
        with serving(_replying(307, b"", {"Location": target.url + "/chat/completions"})) as server:
            fault = _fault(_captioner(server.url))
        assert isinstance(fault, LastingFault)
        assert fault.whole
        assert not target.requests


@pytest.mark.parametrize("fault", ["drop", "half"])
def test_a_dropped_connection_may_pass(fault: str) -> None:
    with serving(FaultServer(lambda: fault)) as server:
        assert isinstance(_fault(_captioner(server.url)), PassingFault)


def test_nobody_listening_and_no_answer_in_time_may_pass() -> None:
    with serving(FaultServer(lambda: "hang")) as server:
        slow = _fault(_captioner(server.url, timeout_s=0.1))
        url = server.url
    assert isinstance(slow, PassingFault)
    assert "0.1 s" in str(slow)
    assert isinstance(_fault(_captioner(url)), PassingFault)


def test_retry_after_reaches_the_fault_as_seconds() -> None:
    with serving(_replying(429, b"", {"Retry-After": "2.5"})) as server:
        fault = _fault(_captioner(server.url))
    assert isinstance(fault, PassingFault)
    assert fault.retry_after == 2.5
    now = datetime(2025, 1, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after_s("Wed, 01 Jan 2025 12:01:30 GMT", now) == 90
    assert retry_after_s("Wed, 01 Jan 2025 11:00:00 GMT", now) == 0
    assert [retry_after_s(odd) for odd in (None, "", "soon", "nan", "inf")] == [None] * 5
    assert retry_after_s("-3") == 0


@pytest.mark.parametrize(
    ("body", "text", "finish"),
    [
        (completion("Cut he", "length"), "Cut he", "length"),
        (completion(None, "content_filter"), "", "content_filter"),
        (completion(None, "stop", refusal="I will not."), "I will not.", "refusal"),
        (completion([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), "ab", "stop"),  # type: ignore[arg-type]
    ],
)
def test_cut_filtered_and_refusing_answers_are_answers(body: bytes, text: str, finish: str) -> None:
    with serving(_replying(200, body)) as server:
        answer = _once(_captioner(server.url), Ask(_picture(), prompt=Prompt("Say.")))
    assert answer is not None
    assert (answer.text, answer.finish) == (text, finish)


def test_a_server_that_does_not_count_costs_an_unknown_amount() -> None:
    body = json.dumps({"choices": [{"message": {"content": "A road."}}], "usage": {"prompt_tokens": "x"}})
    with serving(_replying(200, body.encode())) as server:
        answer = _once(_captioner(server.url, usd_per_million_in=1.0), Ask(_picture()))
    assert answer is not None
    assert (answer.text, answer.finish, answer.tokens_in, answer.cost_usd) == ("A road.", "", None, None)


def test_the_key_is_in_no_error_no_log_and_not_in_the_ledger(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    echo = json.dumps(
        {"error": {"message": f"Incorrect API key provided: {KEY}. You sent {KEY[:8]}…{KEY[-4:]}"}}
    )
    for status in (401, 400, 500, 200):
        with serving(_replying(status, echo.encode())) as server, Ledger(tmp_path) as ledger:
            captioner = _captioner(server.url, {"MY_KEY": KEY}, key_env="MY_KEY", retries=0)
            desk = Desk(captioner, ledger)

            async def asked(desk: Desk = desk) -> str:
                try:
                    await desk.ask(Ask(_picture(), prompt=Prompt("Say.")))
                except Exception:
                    return traceback.format_exc()
                finally:
                    await desk.captioner.close()
                return ""

            said = asyncio.run(asked())
            assert "Fault" in said
            for secret in (KEY, KEY[:8], KEY[-4:]):
                assert secret not in said
            assert KEY not in repr(captioner) + repr(captioner.identity) + str(vars(captioner.identity))
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("captions.sqlite*"))
    assert b"API key provided" in kept
    assert KEY.encode() not in kept
    assert KEY not in caplog.text


def test_a_key_that_is_not_there_or_cannot_be_one_names_its_variable_only() -> None:
    captioner = _captioner("http://localhost:1/v1", {}, key_env="MY_KEY")
    with pytest.raises(InputError, match="MY_KEY"):
        captioner.prepare([])
    odd = _captioner("http://localhost:1/v1", {"MY_KEY": "sk-a\nb-secret"}, key_env="MY_KEY")
    with pytest.raises(InputError, match="MY_KEY") as caught:
        odd.prepare([])
    assert "secret" not in str(caught.value)
    assert _captioner("http://localhost:1/v1").prepare([]) == []


def test_identity_holds_what_changes_texts_and_nothing_else() -> None:
    base = _captioner("http://a:1/v1").identity
    for same in ({"timeout_s": 9.0}, {"concurrency": 1}, {"usd_per_million_in": 3.0}, {"retries": 0}):
        assert _captioner("http://b:2/v1", **same).identity == base
    for other in (
        {"temperature": 0.0}, {"top_p": 0.5}, {"seed": 1}, {"max_tokens": 5}, {"max_tokens_local": 5},
        {"max_edge": 100}, {"model": "x"}, {"extra_body": {"a": 1}}, {"revision": "2"},
    ):  # fmt: skip
        assert _captioner("http://a:1/v1", **other).identity != base


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("localhost", True), ("LOCALHOST.", True), ("127.0.0.1", True), ("127.9.9.9", True), ("[::1]", True),
        ("10.1.2.3", True), ("172.16.0.1", True), ("192.168.0.9", True), ("169.254.3.4", True),
        ("gpu-box", True), ("gpu.local", True), ("[fe80::1]", True), ("[fd00::5]", True), ("0.0.0.0", True),
        ("[::ffff:10.0.0.1]", True), ("api.example.com", False), ("8.8.8.8", False), ("172.32.0.1", False),
        ("[2606:4700::1]", False), ("[::ffff:8.8.8.8]", False), ("134744072", False), ("0x08080808", False),
        ("localhost.example.com", False), ("notlocal", True), ("evil-local.com", False),
        ("100.64.0.1", False),
    ],
)  # fmt: skip
def test_servers_beyond_this_network_are_told_from_near_ones(host: str, near: bool) -> None:
    url = f"http://{host}:8000/v1"
    assert _captioner(url).remote == (None if near else url)
    assert is_near(host.strip("[]")) is near


@pytest.mark.parametrize(
    "url", ["ftp://a/v1", "localhost:8000", "http://", "http://a:99999/v1", "http://[::1/v1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="not the address"):
        _captioner(url)


def test_passwords_in_addresses_are_refused_and_not_repeated() -> None:
    for url in ("http://me:hunter2@a/v1", "http://a/v1?key=hunter2"):
        with pytest.raises(InputError, match="password") as caught:
            _captioner(url)
        assert "hunter2" not in str(caught.value)


def test_a_server_is_given_in_one_word() -> None:
    name, settings = parse_server_spec("openai:org/Some-VL@7b@https://host.example/v1")
    assert (name, settings.model, settings.base_url) == (
        "Some-VL-7b",
        "org/Some-VL@7b",
        "https://host.example/v1",
    )
    name, settings = parse_server_spec("openai:m")
    assert (name, settings.base_url) == ("m", "http://localhost:8000/v1")
    for bad in ("openai:", "openai:@http://a/v1", "openai:/"):
        with pytest.raises(InputError, match="name of a model"):
            parse_server_spec(bad)


def test_what_a_server_says_is_quoted_short_and_harmless() -> None:
    said = quoted({"error": {"message": "\x1b[2J" + "x" * 5000}}, hide="none")
    assert len(said) < 320
    assert "\x1b" not in said
    assert quoted(None, hide="none") == ""
    assert str(fault_of_status(500, "", {}, "host")).count("\n") == 2


def test_an_absurd_count_of_tokens_is_no_count() -> None:
    usage = {"prompt_tokens": 10**30, "completion_tokens": 5}
    body = json.dumps({"choices": [{"message": {"content": "A road."}}], "usage": usage})
    with serving(_replying(200, body.encode())) as server:
        answer = _once(_captioner(server.url), Ask(_picture()))
    assert answer is not None
    assert (answer.tokens_in, answer.tokens_out) == (None, 5)


def test_segments_of_a_jpeg_that_pillow_does_not_report_do_not_go_out() -> None:
    plain = _picture(kind="JPEG").read()
    note = b"\xff\xec" + (2 + 6).to_bytes(2, "big") + b"52.1 N"
    noted = plain[:2] + note + plain[2:]
    _, data = _decoded(data_url(Ask(Picture("i", "street", "p", "00", lambda: noted)), 64))
    assert b"52.1" not in data


def test_a_key_given_as_the_name_of_its_variable_is_refused() -> None:
    with pytest.raises(ValueError, match="pattern"):
        _captioner("http://a/v1", key_env=KEY)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_server_is_shown_pictures_upright(orientation: int, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    quarters = Image.new("RGB", (40, 60))
    for place, colour in (((0, 0), (250, 0, 0)), ((20, 0), (0, 250, 0)), ((0, 30), (0, 0, 250))):
        quarters.paste(colour, (*place, place[0] + 20, place[1] + 30))
    buffer = io.BytesIO()
    quarters.save(buffer, kind, exif=exif)
    wanted = ImageOps.exif_transpose(Image.open(buffer)).convert("RGB")
    _, sent = _decoded(data_url(Ask(Picture("i", "street", "p", "00", buffer.getvalue)), 64))
    with Image.open(io.BytesIO(sent)) as shown:
        assert shown.size == wanted.size
        assert not shown.getexif()
        for at in ((5, 5), (shown.width - 5, 5), (5, shown.height - 5)):
            assert np.abs(np.subtract(shown.getpixel(at), wanted.getpixel(at))).max() < 60


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_a_server_is_shown_white_where_a_picture_is_transparent(mode: str) -> None:
    clear = Image.new("RGBA", (32, 32), (0, 0, 0, 0))  # black, and not to be seen
    clear = clear.quantize(2) if mode == "P" else clear.convert(mode)
    buffer = io.BytesIO()
    clear.save(buffer, "PNG")
    _, sent = _decoded(data_url(Ask(Picture("i", "street", "p", "00", buffer.getvalue)), 64))
    with Image.open(io.BytesIO(sent)) as shown:
        assert shown.convert("L").getextrema() == (255, 255)


def test_a_damaged_picture_is_not_sent() -> None:
    whole = _picture(kind="PNG").read()
    for damaged in (whole[:-40], whole[:-20] + b"\0" * 20, b""):
        with pytest.raises(InputError):
            data_url(Ask(Picture("i", "street", "p", "00", lambda data=damaged: data)), 64)


def test_a_part_of_a_thin_picture_is_not_enlarged_into_gigabytes() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 50_000)).save(buffer, "PNG")
    thin = Picture("i", "street", "p", "00", buffer.getvalue)
    assert max(Ask(thin, box=(0.0, 0.0, 1.0, 0.5), min_side=224).image().size) <= 25_000
    assert Ask(thin, box=(0.0, 0.0, 1.0, 0.001), min_side=224).image().size == (224, 1244)
