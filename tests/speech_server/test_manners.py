"""The speech service of the tests: its good manners, through the real OpenAI client."""

from __future__ import annotations

import json
import subprocess
import sys

import httpx2
import openai
import pytest

from tests.speech_server.asking import LIMIT_S, SPOKEN, TEXT, ask, question
from tests.support.encoding import WavKind, WavSizes, decode, encode, wav
from tests.support.speech_server import (
    Behaviour,
    Route,
    SpeechServer,
    parse_behaviour,
)
from tests.support.voice import hear, hear_text, speak, words
from voicemode.pcm import SPEECH, Frame, PcmFormat
from voicemode.speech import AudioFormat


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
    reply = http.post("/v1/audio/speech", json=question() | change)
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


def test_wav_comes_in_the_shape_asked_for(server: SpeechServer, http: httpx2.Client) -> None:
    shape = Behaviour(sound_rate=44_100, sound_channels=2, wav_kind=WavKind.F32, wav_sizes=WavSizes.EXACT)
    frame = decode(ask(http, shape, server, "wav").content, None)
    assert (frame.format, hear(frame.data, 44_100, 2)) == (PcmFormat(rate=44_100, channels=2), words(TEXT))
    streaming = ask(http, Behaviour(), server, "wav").content
    assert (streaming[4:8], streaming[40:44]) == (b"\xff" * 4, b"\xff" * 4)


def test_each_route_has_its_own_behaviour_and_queue(server: SpeechServer, http: httpx2.Client) -> None:
    server.behave(Behaviour(status=503), Route.TRANSCRIPTIONS)
    server.then(Behaviour(status=500), Behaviour(status=429))
    answers = [http.post("/v1/audio/speech", json=question()).status_code for _ in range(3)]
    assert answers == [500, 429, 200]
    file = {"file": ("a.wav", wav(Frame(data=SPOKEN, format=SPEECH)))}
    assert http.post("/v1/audio/transcriptions", data={"model": "whisper-1"}, files=file).status_code == 503
    assert http.get("/v1/models").status_code == 200


def test_an_upload_may_come_in_chunks(server: SpeechServer, http: httpx2.Client) -> None:
    body = json.dumps(question()).encode()
    reply = http.post("/v1/audio/speech", content=iter([body[:10], body[10:]]))
    assert reply.content == SPOKEN


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
                assert http.post("/v1/audio/speech", json=question()).content == SPOKEN
                order = {
                    "route": "speech",
                    "default": {"status": 503},
                    "queue": [{"status": 418}, {"pace": None}],
                }
                assert http.put("/_behaviour", json=order).status_code == 200
                answers = [http.post("/v1/audio/speech", json=question()).status_code for _ in range(3)]
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
