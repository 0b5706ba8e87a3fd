"""The speech service of the tests: its bad manners, byte by byte."""

from __future__ import annotations

import socket

import httpx2
import pytest

from tests.speech_server.asking import LIMIT_S, SPOKEN, ask, question, received
from tests.support.speech_server import (
    Accept,
    Behaviour,
    Content,
    Cut,
    Length,
    Route,
    SpeechServer,
    closed_port,
)
from tests.support.voice import hear


@pytest.mark.parametrize("cut", Cut)
@pytest.mark.parametrize("after", [0, 1, 10_001])
def test_a_cut_stream_breaks_at_that_byte(
    server: SpeechServer, http: httpx2.Client, cut: Cut, after: int
) -> None:
    body, pieces = received(http, Behaviour(cut_after_bytes=after, cut=cut), server)
    assert (body, pieces[-1][1]) == (SPOKEN[:after], -1)
    seen = server.wait_until(lambda seen: seen[-1].over)[-1]
    assert (seen.finished_at is not None, seen.bytes_sent) == (True, after)


def test_a_stall_for_ever_ends_when_the_client_leaves(server: SpeechServer) -> None:
    with httpx2.Client(base_url=server.origin, timeout=0.2) as http:
        body, pieces = received(http, Behaviour(stall_after_bytes=5_000), server)
    assert (body, pieces[-1][1]) == (SPOKEN[:5_000], -1)
    seen = server.wait_until(lambda seen: seen[-1].over)[-1]
    assert seen.aborted_at is not None


def test_a_length_may_promise_too_much_too_little_or_nothing(
    server: SpeechServer, http: httpx2.Client
) -> None:
    true, _ = received(http, Behaviour(length=Length.STATED), server)
    until_close, _ = received(http, Behaviour(length=Length.CLOSE), server)
    too_much, pieces = received(http, Behaviour(length=Length.STATED, length_error=1000), server)
    assert (true, until_close, too_much, pieces[-1][1]) == (SPOKEN, SPOKEN, SPOKEN, -1)
    too_little, _ = received(http, Behaviour(length=Length.STATED, length_error=-1000), server)
    assert too_little == SPOKEN[:-1000]


def test_a_body_without_its_last_chunk_is_a_broken_one(server: SpeechServer, http: httpx2.Client) -> None:
    body, pieces = received(http, Behaviour(last_chunk=False), server)
    assert (body, pieces[-1][1]) == (SPOKEN, -1)


@pytest.mark.parametrize(
    ("content", "kind", "begins"),
    [
        (Content.HTML, "text/html", b"<!doctype html>"),
        (Content.JSON, "application/json", b"{"),
        (Content.EMPTY, "", b""),
    ],
)
def test_status_200_may_carry_something_else(
    server: SpeechServer, http: httpx2.Client, content: Content, kind: str, begins: bytes
) -> None:
    reply = ask(http, Behaviour(content=content), server)
    assert (reply.status_code, reply.content.startswith(begins)) == (200, True)
    assert reply.headers["content-type"] == (kind or "audio/pcm")
    assert hear(reply.content, 24_000) == []
    lie = ask(http, Behaviour(content=content, content_type="audio/mpeg"), server)
    assert (lie.headers["content-type"], lie.content) == ("audio/mpeg", reply.content)


def test_sound_may_be_odd_noise_or_flipped(server: SpeechServer, http: httpx2.Client) -> None:
    assert ask(http, Behaviour(content=Content.ODD), server).content == SPOKEN + b"\0"
    noise = ask(http, Behaviour(content=Content.NOISE), server).content
    assert (len(noise), hear(noise, 24_000)) == (len(SPOKEN), [])
    flipped = ask(http, Behaviour(flip_every_bytes=1000), server).content
    wrong = [place for place, (is_, was) in enumerate(zip(flipped, SPOKEN, strict=True)) if is_ != was]
    assert wrong == list(range(1000, len(SPOKEN), 1000))
    holed = ask(http, Behaviour(hole_every_bytes=1000), server).content
    assert holed[:2000] == SPOKEN[:1000] + SPOKEN[1064:2064]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_status_comes_with_openais_error_and_retry_after(
    server: SpeechServer, http: httpx2.Client, status: int
) -> None:
    reply = ask(http, Behaviour(status=status, retry_after="3"), server)
    assert (reply.status_code, reply.headers["retry-after"]) == (status, "3")
    assert str(status) in reply.json()["error"]["message"]
    assert ask(http, Behaviour(status=status, body="go away"), server).text == "go away"
    assert ask(http, Behaviour(), server).content == SPOKEN


def test_redirects_lead_elsewhere_or_in_a_loop(server: SpeechServer, http: httpx2.Client) -> None:
    elsewhere = ask(http, Behaviour(status=307, location="http://elsewhere.invalid/"), server)
    assert (elsewhere.status_code, elsewhere.headers["location"]) == (307, "http://elsewhere.invalid/")
    server.behave(Behaviour(status=307, location="self"))
    with pytest.raises(httpx2.TooManyRedirects):
        http.post("/v1/audio/speech", json=question(), follow_redirects=True)


@pytest.mark.parametrize("accept", [Accept.NEVER, Accept.CLOSE, Accept.RESET, Accept.JUNK])
def test_it_may_take_a_request_and_not_answer(server: SpeechServer, accept: Accept) -> None:
    server.then(Behaviour(accept=accept))
    expected = {
        Accept.NEVER: httpx2.ReadTimeout,
        Accept.CLOSE: httpx2.RemoteProtocolError,
        Accept.RESET: httpx2.ReadError,
        Accept.JUNK: httpx2.RemoteProtocolError,
    }
    with httpx2.Client(base_url=server.origin, timeout=0.2) as http, pytest.raises(expected[accept]):
        http.post("/v1/audio/speech", json=question())
    seen = server.wait_until(lambda seen: seen[-1].over)[-1]
    assert (seen.aborted_at is not None) is (accept is Accept.NEVER)


def test_a_closed_port_refuses_connections() -> None:
    with closed_port() as url, pytest.raises(httpx2.ConnectError):
        httpx2.get(url, timeout=LIMIT_S)


def test_gzip_that_is_none_and_headers_that_are_too_big(server: SpeechServer, http: httpx2.Client) -> None:
    with pytest.raises(httpx2.DecodingError):
        ask(http, Behaviour(bad_gzip=True), server)
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(http, Behaviour(huge_headers_bytes=1_000_000), server)


def test_an_endless_stream_repeats_until_the_client_leaves(server: SpeechServer, http: httpx2.Client) -> None:
    server.then(Behaviour(endless=True))
    got = b""
    with http.stream("POST", "/v1/audio/speech", json=question()) as reply:
        for chunk in reply.iter_raw():
            got += chunk
            if len(got) > 3 * len(SPOKEN):
                break
    assert got.startswith(SPOKEN * 3)
    assert server.wait_until(lambda seen: seen[-1].over)[-1].aborted_at is not None


def test_it_ends_at_once_with_requests_open() -> None:
    with SpeechServer(Behaviour(accept=Accept.NEVER)) as server:
        with httpx2.Client(base_url=server.origin, timeout=0.1) as http, pytest.raises(httpx2.ReadTimeout):
            http.post("/v1/audio/speech", json=question())
        open_stream = socket.create_connection((server.host, server.port), LIMIT_S)
        open_stream.sendall(b"GET /v1/models HTTP/1.1\r\n")
        server.behave(Behaviour(stall_after_bytes=1), Route.LISTS)
        stalled = socket.create_connection((server.host, server.port), LIMIT_S)
        stalled.sendall(b"GET /v1/models HTTP/1.1\r\n\r\n")
        server.wait_until(lambda seen: seen[-1].bytes_sent == 1)
    with open_stream, stalled:
        assert stalled.makefile("rb").read().endswith(b"\r\n1\r\n{\r\n")
        assert open_stream.recv(1) == b""
