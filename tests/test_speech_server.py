"""The speech service of the tests: good manners through the real OpenAI client, bad ones byte by byte."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx2
import openai
import pytest

from tests.support.encoding import WavKind, WavSizes, decode, encode, wav
from tests.support.speech_server import (
    Accept,
    Behaviour,
    Content,
    Cut,
    Length,
    Route,
    SpeechServer,
    closed_port,
    due,
    parse_behaviour,
)
from tests.support.voice import hear, hear_text, speak, words
from voicemode.clock import monotonic
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.speech import AudioFormat

TEXT = "Hello there, this is the sound of a server."
LIMIT_S = 10.0
SPOKEN = speak(TEXT)


@pytest.fixture(scope="module")
def running() -> Iterator[SpeechServer]:
    with SpeechServer() as server:
        yield server


@pytest.fixture
def server(running: SpeechServer) -> SpeechServer:
    """A good server, whatever the test before made of it."""
    for route in Route:
        running.behave(Behaviour(), route)
    return running


@pytest.fixture
def client(server: SpeechServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.base_url, api_key="none", max_retries=0, timeout=LIMIT_S) as client:
        yield client


@pytest.fixture
def http(server: SpeechServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.origin, timeout=LIMIT_S) as client:
        yield client


def ask(
    http: httpx2.Client, behaviour: Behaviour, server: SpeechServer, form: str = "pcm"
) -> httpx2.Response:
    server.then(behaviour)
    return http.post("/v1/audio/speech", json=_question(form))


def _question(form: str = "pcm") -> dict[str, str]:
    return {"model": "tts-1", "voice": "nova", "input": TEXT, "response_format": form}


def received(
    http: httpx2.Client, behaviour: Behaviour, server: SpeechServer
) -> tuple[bytes, list[tuple[float, int]]]:
    """What came until the end or the break, and (seconds since asking, bytes) of every piece."""
    server.then(behaviour)
    body, pieces, start = b"", [], monotonic()
    try:
        with http.stream("POST", "/v1/audio/speech", json=_question()) as reply:
            for chunk in reply.iter_raw():
                body += chunk
                pieces.append((monotonic() - start, len(chunk)))
    except httpx2.TransportError:
        pieces.append((monotonic() - start, -1))
    return body, pieces


@pytest.mark.parametrize("form", AudioFormat)
def test_the_openai_client_hears_every_word_in_every_format(
    server: SpeechServer, client: openai.OpenAI, form: AudioFormat
) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="nova", input=TEXT, response_format=form.value, instructions="kindly", speed=1.1
    ) as reply:
        body = reply.read()
    sound = body if form is AudioFormat.PCM else decode(body).data
    assert hear(sound, 24_000) == words(TEXT)
    seen = server.wait_until(lambda seen: seen[-1].over)[-1]
    assert (seen.text, seen.voice, seen.model, seen.format) == (TEXT, "nova", "tts-1", form.value)
    assert (seen.instructions, seen.speed, seen.bytes_sent) == ("kindly", 1.1, len(body))


@pytest.mark.parametrize("form", [form for form in AudioFormat if form is not AudioFormat.PCM])
def test_a_transcript_is_what_the_upload_says(
    server: SpeechServer, client: openai.OpenAI, form: AudioFormat
) -> None:
    file = encode(Frame(data=speak("what did I say", 16_000), format=PcmFormat(rate=16_000)), form)
    told = client.audio.transcriptions.create(
        model="whisper-1", file=(f"a.{form.value}", file), language="en", prompt="Names: Ada"
    )
    seen = server.requests[-1]
    assert told.text == seen.transcript == "what did i say"
    assert (seen.language, seen.prompt, seen.filename) == ("en", "Names: Ada", f"a.{form.value}")
    assert seen.recording is not None
    assert hear_text(seen.recording.data, seen.recording.format.rate) == told.text


def test_the_uploaded_recording_is_kept_sample_for_sample(
    server: SpeechServer, client: openai.OpenAI
) -> None:
    frame = Frame(data=speak("sample", 16_000), format=PcmFormat(rate=16_000))
    client.audio.transcriptions.create(model="whisper-1", file=("a.wav", wav(frame)))
    assert server.requests[-1].recording == frame
    client.audio.transcriptions.create(model="whisper-1", file=("a.pcm", frame.data))
    assert server.requests[-1].recording == frame


def test_transcripts_come_as_text_and_verbose_too(server: SpeechServer, client: openai.OpenAI) -> None:
    file = ("a.wav", wav(Frame(data=speak("two words"), format=SPEECH)))
    plain = client.audio.transcriptions.create(model="whisper-1", file=file, response_format="text")
    assert str(plain).strip() == "two words"
    verbose = client.audio.transcriptions.create(model="whisper-1", file=file, response_format="verbose_json")
    assert (verbose.text, verbose.language) == ("two words", "english")
    assert verbose.duration == pytest.approx(len(speak("two words")) / 48_000)


def test_a_fixed_transcript_is_given_whatever_was_said(server: SpeechServer, client: openai.OpenAI) -> None:
    server.then(Behaviour(transcript="something else"), route=Route.TRANSCRIPTIONS)
    file = ("a.wav", wav(Frame(data=SPOKEN, format=SPEECH)))
    assert client.audio.transcriptions.create(model="whisper-1", file=file).text == "something else"
    assert client.audio.transcriptions.create(model="whisper-1", file=file).text == " ".join(words(TEXT))


def test_models_voices_and_health_are_listed(
    server: SpeechServer, client: openai.OpenAI, http: httpx2.Client
) -> None:
    assert {model.id for model in client.models.list()} == set(server.models)
    assert http.get("/v1/audio/voices").json() == {"voices": list(server.voices)}
    assert http.get("/health").json() == {"status": "healthy"}
    assert http.get("/nowhere").status_code == 404


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"voice": "nobody"}, "voice"),
        ({"model": "nothing"}, "model"),
        ({"input": ""}, "input"),
        ({"response_format": "ogg"}, "response_format"),
        ({"speed": 9}, "speed"),
        ({"input": 5}, "input"),
    ],
)
def test_what_it_does_not_know_is_refused_in_openais_words(
    server: SpeechServer, http: httpx2.Client, change: dict[str, object], param: str
) -> None:
    reply = http.post("/v1/audio/speech", json=_question() | change)
    error = reply.json()["error"]
    assert (reply.status_code, error["type"], error["param"]) == (400, "invalid_request_error", param)


def test_an_unknown_voice_is_a_bad_request_for_the_client(
    server: SpeechServer, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match="nobody"):
        client.audio.speech.create(model="tts-1", voice="nobody", input="hello")


def test_an_upload_that_is_no_sound_is_a_bad_request(server: SpeechServer, client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFFnothing"))


def test_a_key_is_asked_for_where_there_is_one() -> None:
    with SpeechServer(key="secret") as server, httpx2.Client(base_url=server.origin, timeout=LIMIT_S) as http:
        assert http.get("/v1/models").status_code == 401
        assert http.get("/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_one_connection_carries_many_requests(server: SpeechServer, http: httpx2.Client) -> None:
    for _ in range(3):
        assert ask(http, Behaviour(), server).content == SPOKEN
    assert len({seen.connection for seen in server.requests[-3:]}) == 1


@pytest.mark.alone
def test_the_first_byte_waits_and_the_head_need_not(server: SpeechServer, http: httpx2.Client) -> None:
    for at_once in (True, False):
        server.then(Behaviour(time_to_first_byte_s=0.15, headers_at_once=at_once))
        start = monotonic()
        with http.stream("POST", "/v1/audio/speech", json=_question()) as reply:
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
    body = json.dumps(_question()).encode()
    with socket.create_connection((server.host, server.port), LIMIT_S) as raw:
        raw.sendall(b"POST /v1/audio/speech HTTP/1.1\r\nConnection: close\r\n")
        raw.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        came = raw.makefile("rb").read()
    assert came.partition(b"\r\n\r\n")[2].startswith(b"3e9\r\n" + SPOKEN[:1001] + b"\r\n3e9\r\n")
    assert came.endswith(b"\r\n0\r\n\r\n")
    assert came.count(b"\r\n3e9\r\n") == len(SPOKEN) // 1001


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


def test_wav_comes_in_the_shape_asked_for(server: SpeechServer, http: httpx2.Client) -> None:
    shape = Behaviour(sound_rate=44_100, sound_channels=2, wav_kind=WavKind.F32, wav_sizes=WavSizes.EXACT)
    frame = decode(ask(http, shape, server, "wav").content, None)
    assert (frame.format, hear(frame.data, 44_100, 2)) == (PcmFormat(rate=44_100, channels=2), words(TEXT))
    streaming = ask(http, Behaviour(), server, "wav").content
    assert (streaming[4:8], streaming[40:44]) == (b"\xff" * 4, b"\xff" * 4)


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
        http.post("/v1/audio/speech", json=_question(), follow_redirects=True)


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
        http.post("/v1/audio/speech", json=_question())
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
    with http.stream("POST", "/v1/audio/speech", json=_question()) as reply:
        for chunk in reply.iter_raw():
            got += chunk
            if len(got) > 3 * len(SPOKEN):
                break
    assert got.startswith(SPOKEN * 3)
    assert server.wait_until(lambda seen: seen[-1].over)[-1].aborted_at is not None


def test_each_route_has_its_own_behaviour_and_queue(server: SpeechServer, http: httpx2.Client) -> None:
    server.behave(Behaviour(status=503), Route.TRANSCRIPTIONS)
    server.then(Behaviour(status=500), Behaviour(status=429))
    answers = [http.post("/v1/audio/speech", json=_question()).status_code for _ in range(3)]
    assert answers == [500, 429, 200]
    file = {"file": ("a.wav", wav(Frame(data=SPOKEN, format=SPEECH)))}
    assert http.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=file).status_code == 503
    assert http.get("/v1/models").status_code == 200


def test_an_upload_may_come_in_chunks(server: SpeechServer, http: httpx2.Client) -> None:
    body = json.dumps(_question()).encode()
    reply = http.post("/v1/audio/speech", content=iter([body[:10], body[10:]]))
    assert reply.content == SPOKEN


def test_it_ends_at_once_with_requests_open() -> None:
    with SpeechServer(Behaviour(accept=Accept.NEVER)) as server:
        with httpx2.Client(base_url=server.origin, timeout=0.1) as http, pytest.raises(httpx2.ReadTimeout):
            http.post("/v1/audio/speech", json=_question())
        open_stream = socket.create_connection((server.host, server.port), LIMIT_S)
        open_stream.sendall(b"GET /v1/models HTTP/1.1\r\n")
        server.behave(Behaviour(stall_after_bytes=1), Route.LISTS)
        stalled = socket.create_connection((server.host, server.port), LIMIT_S)
        stalled.sendall(b"GET /v1/models HTTP/1.1\r\n\r\n")
        server.wait_until(lambda seen: seen[-1].bytes_sent == 1)
    with open_stream, stalled:
        assert stalled.makefile("rb").read().endswith(b"\r\n1\r\n{\r\n")
        assert open_stream.recv(1) == b""


def test_waiting_for_what_never_comes_ends_with_the_log(server: SpeechServer) -> None:
    with pytest.raises(TimeoutError, match="has seen"):
        server.wait_until(lambda seen: False, limit_s=0.01)


@pytest.mark.parametrize(
    "given", [{"pase": 1}, {"pace": "fast"}, {"cut": "gently"}, {"endless": 3}, {"status": None}]
)
def test_a_knob_that_does_not_exist_or_fit_is_named(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"pase|fast|gently|endless|status"):
        parse_behaviour(given)


def test_it_runs_in_a_process_of_its_own_and_is_steered_over_http() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.support.speech_server",
        "--ttfb",
        "0.05",
        "--pace",
        "50",
        "--key",
        "k",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            origin = json.loads(process.stdout.readline())["origin"]
            with httpx2.Client(
                base_url=origin, timeout=LIMIT_S, headers={"Authorization": "Bearer k"}
            ) as http:
                assert http.post("/v1/audio/speech", json=_question()).content == SPOKEN
                order = {
                    "route": "speech",
                    "default": {"status": 503},
                    "queue": [{"status": 418}, {"pace": None}],
                }
                assert http.put("/_behaviour", json=order).status_code == 200
                answers = [http.post("/v1/audio/speech", json=_question()).status_code for _ in range(3)]
                assert answers == [418, 200, 503]
                refused = http.put("/_behaviour", json={"default": {"pase": 1}})
                assert (refused.status_code, "pase" in refused.text) == (400, True)
                file = {"file": ("a.wav", wav(Frame(data=SPOKEN, format=SPEECH)))}
                http.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=file)
                seen = http.get("/_requests").json()
                assert [one["status"] for one in seen] == [200, 418, 200, 503, 200]
                assert seen[0]["first_byte_sent_at"] - seen[0]["received_at"] >= 0.05
                assert (seen[4]["transcript"], seen[4]["recording"]["rate"]) == (
                    " ".join(words(TEXT)),
                    24_000,
                )
                assert http.delete("/_requests").status_code == 200
                assert http.get("/_requests").json() == []
        finally:
            process.terminate()
        assert process.wait(LIMIT_S) == 0
