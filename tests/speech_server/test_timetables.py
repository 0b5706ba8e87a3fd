"""The speech service of the tests: when it sends what."""

from __future__ import annotations

import json
import socket

import httpx2
import pytest

from tests.speech_server.asking import LIMIT_S, SPOKEN, question, received
from tests.support.speech_server import (
    Behaviour,
    SpeechServer,
    due,
)
from voicemode.clock import monotonic


@pytest.mark.timed
def test_the_first_byte_waits_and_the_head_need_not(server: SpeechServer, http: httpx2.Client) -> None:
    for at_once in (True, False):
        server.then(Behaviour(time_to_first_byte_s=0.15, headers_at_once=at_once))
        start = monotonic()
        with http.stream("POST", "/v1/audio/speech", json=question()) as reply:
            head = monotonic() - start
            assert reply.read() == SPOKEN
        assert (head < 0.15) is at_once
        seen = server.requests[-1]
        assert seen.first_byte_sent_at is not None
        assert seen.first_byte_sent_at - seen.received_at >= 0.15


def test_pace_holds_sound_back_to_its_own_speed(server: SpeechServer, http: httpx2.Client) -> None:
    body, pieces = received(http, Behaviour(pace=8.0, chunk_bytes=2400), server)
    assert body == SPOKEN
    at = 0
    for moment, size in pieces:
        assert moment >= at / 48_000 / 8.0 - 0.001
        at += size
    assert pieces[-1][0] >= (len(SPOKEN) - 2400) / 48_000 / 8.0


def test_bursts_and_hiccups_have_a_timetable() -> None:
    steady = Behaviour(pace=2.0)
    bursts = Behaviour(pace=2.0, burst_s=0.2)
    hiccup = Behaviour(pace=2.0, hiccup_after_s=1.0, hiccup_s=0.6)
    moments = (0.0, 0.1, 0.3, 0.9, 1.0, 2.0, 3.0)
    assert [due(at, steady) for at in moments] == [0.0, 0.05, 0.15, 0.45, 0.5, 1.0, 1.5]
    assert [round(due(at, bursts), 6) for at in moments[:4]] == [0.0, 0.0, 0.1, 0.4]
    assert [due(at, hiccup) for at in moments] == [0.0, 0.05, 0.15, 0.45, 1.1, 1.1, 1.5]


def test_bursts_come_no_sooner_than_their_timetable(server: SpeechServer, http: httpx2.Client) -> None:
    behaviour = Behaviour(pace=8.0, burst_s=0.8, chunk_bytes=2400)
    body, pieces = received(http, behaviour, server)
    assert body == SPOKEN
    at = 0
    for moment, size in pieces:
        assert moment >= due(at / 48_000, behaviour) - 0.001
        at += size


def test_a_hiccup_is_caught_up_and_a_stall_is_not(server: SpeechServer, http: httpx2.Client) -> None:
    paced = Behaviour(pace=8.0, chunk_bytes=2400)
    hiccup = Behaviour(pace=8.0, chunk_bytes=2400, hiccup_after_s=0.5, hiccup_s=0.1)
    stall = Behaviour(pace=8.0, chunk_bytes=2400, stall_after_bytes=24_000, stall_s=0.1)
    ends = []
    for behaviour in (paced, hiccup, stall):
        body, _ = received(http, behaviour, server)
        assert body == SPOKEN
        seen = server.wait_until(lambda seen: seen[-1].over)[-1]
        assert seen.first_byte_sent_at is not None
        assert seen.finished_at is not None
        ends.append(seen.finished_at - seen.first_byte_sent_at)
    own = (len(SPOKEN) - 2400) // 2400 * 2400 / 48_000 / 8.0
    assert min(ends) >= own - 0.01
    assert ends[2] >= own + 0.09


def test_chunks_have_the_size_asked_for(server: SpeechServer) -> None:
    server.then(Behaviour(chunk_bytes=1001))
    body = json.dumps(question()).encode()
    with socket.create_connection((server.host, server.port), LIMIT_S) as raw:
        raw.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nConnection: close\r\n")
        raw.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        came = raw.makefile("rb").read()
    assert came.partition(b"\r\n\r\n")[2].startswith(b"3e9\r\n" + SPOKEN[:1001] + b"\r\n3e9\r\n")
    assert came.endswith(b"\r\n0\r\n\r\n")
    assert came.count(b"\r\n3e9\r\n") == len(SPOKEN) // 1001
