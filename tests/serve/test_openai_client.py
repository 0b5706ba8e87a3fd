"""The `openai` package itself, as it is, against the speech server: all formats streamed, words, errors."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Literal

import httpx2
import openai
import pytest
from openai.types.audio import TranscriptionVerbose

from tests.serve.house import WordEar, WordVoice, house, words_in
from tests.support import voice
from tests.support.encoding import decode, encode, wav
from tests.support.fakes import until
from voicemode.codecs.ogg import Packet, Pages
from voicemode.codecs.relay import SILENT_PACKETS
from voicemode.engines.embedded.voice import EmbeddedVoice
from voicemode.engines.first import FirstTranscription
from voicemode.engines.http_endpoint import Endpoint
from voicemode.engines.openai_http import OpenAiSpeech
from voicemode.errors import EndpointUnreachable
from voicemode.events import SpeechServed, TranscriptServed
from voicemode.pcm import SPEECH, Frame
from voicemode.speech import AudioFormat, SpeechRequest, Transcript, TranscriptionRequest
from voicemode.speech_server.engines import STANDARD_VOICES
from voicemode.speech_server.utterance import READ_AT_ONCE, in_parts

pytestmark = pytest.mark.anyio

TEXT = "One two three four five. Then six and seven follow, and more words come after them. Eight is last."
FORMATS: tuple[Literal["pcm", "wav", "mp3", "opus", "aac", "flac"], ...] = (
    "pcm",
    "wav",
    "mp3",
    "opus",
    "aac",
    "flac",
)


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.spec("SRV-1")
async def test_every_format_arrives_whole_and_word_for_word(
    to: Literal["pcm", "wav", "mp3", "opus", "aac", "flac"],
) -> None:
    async with house() as server, server.client() as client:
        answer = await client.audio.speech.create(
            model="tts-1", voice="alloy", input=TEXT, response_format=to
        )
        sound = answer.content
    heard = sound if to == "pcm" else decode(sound).data
    assert words_in(heard) == voice.words(TEXT)


@pytest.mark.parametrize("to", FORMATS)
@pytest.mark.spec("SRV-2")
async def test_sound_is_sent_while_it_is_made(
    to: Literal["pcm", "wav", "mp3", "opus", "aac", "flac"],
) -> None:
    """The client holds the first of it while the engine has not made the rest."""
    gate = asyncio.Semaphore(0)
    engine = WordVoice(gate=gate)
    async with house(engine) as server, server.client() as client:
        for _ in range(20):
            gate.release()
        async with client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="ann", input=TEXT, response_format=to
        ) as answer:
            chunks = answer.iter_bytes()
            sound = await anext(chunks)
            assert engine.open
            for _ in range(1_000):
                gate.release()
            async for chunk in chunks:
                sound += chunk
    assert words_in(sound if to == "pcm" else decode(sound).data) == voice.words(TEXT)


@pytest.mark.parametrize("to", ["pcm", "opus"])
@pytest.mark.spec("SRV-49")
async def test_a_long_text_is_said_word_for_word_and_one_without_words_is_refused(
    to: Literal["pcm", "opus"],
) -> None:
    words = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf")
    text = " ".join(f"{words[at % 7]} {words[at % 5]} {words[at % 3]}." for at in range(60))
    async with house() as server, server.client() as client:
        say = client.audio.speech.create
        answer = await say(model="tts-1", voice="ann", input=text, response_format=to)
        heard = answer.content if to == "pcm" else decode(answer.content).data
        assert words_in(heard) == voice.words(text)
        with pytest.raises(openai.BadRequestError, match="nothing to say"):
            await say(model="tts-1", voice="ann", input="😀 " * 600, response_format=to)


@pytest.mark.spec("SRV-49")
async def test_others_run_while_a_long_text_is_read() -> None:
    """Reading goes on beside the first sound: a text of the longest length would hold up everybody for 0.6 s."""
    text = "A sentence of some length that is followed by others. " * 200
    read = 0
    async for part in in_parts(text):
        read += len(part)
        assert len(part) <= READ_AT_ONCE
    assert read == len(text)
    gate = asyncio.Semaphore(0)
    engine = WordVoice(gate=gate)
    async with house(engine) as server:
        body = {"input": text, "response_format": "pcm"}
        async with httpx2.AsyncClient(base_url=server.url) as http:
            asking = asyncio.create_task(http.post("/v1/audio/speech", json=body))
            await until(lambda: engine.open == 1)
            assert (await http.get("/health")).json()["active_streams"] == 1
            asking.cancel()
            await asyncio.wait({asking})
        await until(lambda: engine.open == 0)


@pytest.mark.spec("SRV-3")
async def test_sound_can_come_as_events() -> None:
    async with house() as server, server.client() as client:
        answer = await client.audio.speech.create(
            model="tts-1", voice="bob", input=TEXT, response_format="pcm", stream_format="sse"
        )
        assert answer.response.headers["content-type"].startswith("text/event-stream")
        events = [
            json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line.strip()
        ]
    sound = b"".join(base64.b64decode(event["audio"]) for event in events[:-1])
    assert {event["type"] for event in events[:-1]} == {"speech.audio.delta"}
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"]["total_tokens"] > 0
    assert words_in(sound) == voice.words(TEXT)


@pytest.mark.spec("SRV-4")
async def test_speed_and_instructions_reach_the_engine() -> None:
    engine = WordVoice()
    async with house(engine) as server, server.client() as client:
        await client.audio.speech.create(
            model="words", voice="bob", input="Hello there.", speed=1.5, instructions="Softly."
        )
    (asked,) = engine.asked
    assert (asked.voice, asked.speed, asked.instructions) == ("bob", 1.5, "Softly.")


@pytest.mark.spec("SRV-5")
async def test_wrong_arguments_are_refused_by_name() -> None:
    async with house() as server, server.client() as client:

        async def refused(**changed: object) -> openai.APIStatusError:
            given: dict[str, object] = {"model": "tts-1", "voice": "ann", "input": "Hello."} | changed
            with pytest.raises(openai.APIStatusError) as caught:
                await client.audio.speech.create(**given)  # type: ignore[arg-type]
            return caught.value

        error = await refused(model="no-such-model")
        assert isinstance(error, openai.NotFoundError)
        assert (error.code, error.param) == ("model_not_found", "model")
        assert "words" in error.message
        for changed, param in (
            ({"voice": "nobody"}, "voice"),
            ({"input": " "}, "input"),
            ({"input": 7}, "input"),
            ({"speed": 9}, "speed"),
            ({"speed": "fast"}, "speed"),
            ({"response_format": "mp4"}, "response_format"),
            ({"stream_format": "smoke"}, "stream_format"),
            ({"input": "x" * 100_001}, "input"),
            ({"extra_body": {"preset": "loud"}}, "preset"),
            ({"extra_body": {"exaggeration": 9}}, "exaggeration"),
            ({"extra_body": {"steps": 10**400}}, "steps"),
            ({"extra_body": {"chunk": [7]}}, "chunk"),
            ({"input": "* * *"}, "input"),
        ):
            error = await refused(**changed)
            assert isinstance(error, openai.BadRequestError), changed
            assert error.param == param, changed
        said = await client.audio.speech.create(model="tts-1", voice="ann", input="Still here.")
        assert said.content


@pytest.mark.spec("SRV-6")
async def test_an_engine_that_fails_is_an_error_and_the_next_engine_is_asked() -> None:
    async with house(WordVoice(breaks=[0, 0])) as server, server.client() as client:
        with pytest.raises(openai.InternalServerError, match="hoarse"):
            await client.audio.speech.create(model="tts-1", voice="ann", input="Hello.")
    other = WordVoice(name="other")
    async with house(WordVoice(breaks=[0, 0]), other) as server, server.client() as client:
        answer = await client.audio.speech.create(
            model="tts-1", voice="ann", input="Hello.", response_format="pcm"
        )
        assert answer.response.headers["x-backend"] == "other"
    assert words_in(answer.content) == ["hello"]


@pytest.mark.spec("SRV-6")
async def test_a_stream_that_breaks_off_is_mended_before_the_client_notices() -> None:
    async with house(WordVoice(breaks=[9])) as server, server.client() as client:
        answer = await client.audio.speech.create(
            model="tts-1", voice="ann", input=TEXT, response_format="pcm"
        )
    heard = words_in(answer.content)
    assert [word for word in voice.words(TEXT) if word not in heard] == []
    (served,) = server.of(SpeechServed)
    assert isinstance(served, SpeechServed)
    assert (served.outcome, served.breaks) == ("finished", 1)


@pytest.mark.spec("SRV-6")
async def test_a_stream_that_cannot_be_mended_does_not_look_whole() -> None:
    engine = WordVoice(breaks=[9, *[0] * 99])
    async with house(engine) as server, server.client() as client:
        with pytest.raises(openai.APIConnectionError):
            await client.audio.speech.create(model="words", voice="ann", input=TEXT, response_format="pcm")
        engine.heal()
        answer = await client.audio.speech.create(
            model="words", voice="ann", input="Good.", response_format="pcm"
        )
    assert words_in(answer.content) == ["good"]


@pytest.mark.spec("SRV-7")
async def test_words_of_an_upload_in_every_form() -> None:
    first, second = "alpha bravo charlie delta", "echo foxtrot golf hotel"
    pause = SPEECH.silence(SPEECH.samples(0.8))
    sound = voice.speak(first) + pause + voice.speak(second)
    file = wav(Frame(data=sound, format=SPEECH))
    async with house() as server, server.client() as client:
        listen = client.audio.transcriptions.create
        said = f"{first} {second}"
        answer = await listen(model="whisper-1", file=("a.wav", file))
        assert answer.text == said
        text = await listen(model="whisper-1", file=("a.wav", file), response_format="text")
        assert str(text).strip() == said
        verbose = await listen(model="whisper-1", file=("a.wav", file), response_format="verbose_json")
        assert verbose.segments is not None
        assert [segment.text for segment in verbose.segments] == [first, second]
        one, two = verbose.segments
        assert one.start < 0.1
        assert two.start - one.end == pytest.approx(0.8, abs=0.05)
        assert verbose.duration == pytest.approx(len(sound) / 48_000, abs=0.01)
        srt = str(await listen(model="whisper-1", file=("a.wav", file), response_format="srt"))
        assert srt.startswith("1\n00:00:00,")
        assert f"\n{first}\n\n2\n" in srt
        vtt = str(await listen(model="whisper-1", file=("a.wav", file), response_format="vtt"))
        assert vtt.startswith("WEBVTT\n\n00:00:00.")
        assert second in vtt


def recording(*parts: str) -> bytes:
    """A WAV file of them, with 0.8 s of silence between two."""
    pause = SPEECH.silence(SPEECH.samples(0.8))
    return wav(Frame(data=pause.join(voice.speak(part) for part in parts), format=SPEECH))


@pytest.mark.spec("SRV-51")
async def test_a_recordings_language_is_told_by_its_english_name() -> None:
    async with house() as server, server.client() as client:
        for asked, told in (("", "english"), ("de", "german"), ("pt-BR", "portuguese"), ("tlh", "tlh")):
            answer = await client.audio.transcriptions.create(
                model="whisper-1",
                file=("a.wav", recording("alpha")),
                response_format="verbose_json",
                language=asked,
            )
            assert answer.language == told


@pytest.mark.spec("SRV-51")
async def test_words_have_the_times_at_which_they_were_said() -> None:
    first, second = "alpha bravo charlie delta", "echo foxtrot golf hotel"
    file = recording(first, second)
    later = len(voice.speak(first)) / SPEECH.bytes_per_sample / SPEECH.rate + 0.8
    there = [(each.text, each.start, each.end) for each in voice.timetable(first)]
    there += [(each.text, later + each.start, later + each.end) for each in voice.timetable(second)]
    async with house(ear=WordEar(timed=True)) as server, server.client() as client:

        async def heard(*wanted: Literal["word", "segment"]) -> TranscriptionVerbose:
            return await client.audio.transcriptions.create(
                model="whisper-1",
                file=("a.wav", file),
                response_format="verbose_json",
                timestamp_granularities=list(wanted),
            )

        answer = await heard("word")
        assert answer.segments is None
        assert answer.words is not None
        assert [each.word for each in answer.words] == [word for word, _, _ in there]
        for each, (_, start, end) in zip(answer.words, there, strict=True):
            assert (each.start, each.end) == pytest.approx((start, end), abs=0.03)
        both = await heard("word", "segment")
        assert both.words == answer.words
        assert both.segments is not None
        assert len(both.segments) == 2
        for answer in (await heard("segment"), await heard()):
            assert (answer.words, answer.segments) == (None, both.segments)


@pytest.mark.spec("SRV-51")
async def test_times_of_words_that_cannot_be_had_are_refused_with_what_can() -> None:
    ear = WordEar()
    async with house(ear=ear) as server, httpx2.AsyncClient(base_url=server.url) as http:

        async def refused(granularity: str, **fields: str) -> str:
            answer = await http.post(
                "/v1/audio/transcriptions",
                files={"file": ("a.wav", recording("alpha bravo"))},
                data={"model": "whisper-1", "timestamp_granularities[]": granularity, **fields},
            )
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (400, "timestamp_granularities[]")
            return str(error["message"])

        verbose = {"response_format": "verbose_json"}
        unknown = await refused("phrase", **verbose)
        assert "'phrase'" in unknown
        assert "word, segment" in unknown
        assert "'verbose_json'" in await refused("segment", response_format="json")
        assert "stream" in await refused("word", **verbose, stream="true")
        assert ear.asked == []
        untimed = await refused("word", **verbose)
        assert "ear" in untimed
        assert "it must be 'segment'" in untimed
        assert "word, segment" in await refused("WORDS", **verbose)


@pytest.mark.spec("SRV-5")
async def test_wrong_fields_of_the_form_are_refused_by_name() -> None:
    ear = WordEar()
    async with house(ear=ear) as server, httpx2.AsyncClient(base_url=server.url) as http:
        file = ("a.wav", recording("alpha"))

        async def refused(*files: tuple[str, bytes], **fields: str) -> tuple[str, str]:
            answer = await http.post(
                "/v1/audio/transcriptions", files=[("file", each) for each in files], data=fields
            )
            assert answer.status_code == 400
            error = answer.json()["error"]
            return error["param"], error["message"]

        assert (await refused(file, stream="maybe"))[0] == "stream"
        for wrong in ("x" * 400, "e", "en us", "en\r\nx"):
            param, message = await refused(file, language=wrong)
            assert param == "language"
            assert len(message) < 120
        param, message = await refused(file, file)
        assert param == "body"
        assert message.startswith("The form cannot be read: Too many files")
        assert ".." not in message
    assert ear.asked == []


class Absent(WordEar):
    """Whoever is not there knows no language."""

    def __init__(self) -> None:
        super().__init__(name="absent")

    async def transcribe(self, request: TranscriptionRequest) -> Transcript:
        raise EndpointUnreachable("Nothing listens there.", engine=self.name)


@pytest.mark.spec("SRV-55")
@pytest.mark.parametrize("stream", ["true", "false"])
async def test_a_language_that_no_ear_knows_is_refused_with_those_that_are_known(stream: str) -> None:
    ears = [WordEar(name="near", languages=("en",)), WordEar(name="far", languages=("de", "en"))]
    async with (
        house(ear=FirstTranscription([*ears, Absent()])) as server,
        httpx2.AsyncClient(base_url=server.url) as http,
    ):

        async def heard(language: str) -> httpx2.Response:
            given = {"language": language, "stream": stream}
            file = {"file": ("a.wav", recording("alpha"))}
            return await http.post("/v1/audio/transcriptions", files=file, data=given)

        wrong = await heard("xx")
        assert wrong.status_code == 400
        error = wrong.json()["error"]
        assert (error["type"], error["param"]) == ("invalid_request_error", "language")
        assert "'xx'" in error["message"]
        assert "en, de" in error["message"]
        assert (await heard("de")).status_code == 200
        assert (await heard("en")).status_code == 200
        # It was no failure of the first, which is the first to be asked still.
        answered = [event for event in server.events if isinstance(event, TranscriptServed)]
        assert [each.engine for each in answered] == ["near, far, absent", "far", "near"]


@pytest.mark.spec("SRV-5")
@pytest.mark.spec("SRV-52")
async def test_a_recogniser_is_named_as_an_engine_is_and_a_model_that_nobody_has_is_not_found() -> None:
    ears = [WordEar(name="near"), WordEar(name="far")]
    async with house(ear=FirstTranscription(ears)) as server, server.client() as client:

        async def heard(model: str) -> str:
            answer = await client.audio.transcriptions.create(
                model=model, file=("a.wav", recording("alpha")), response_format="verbose_json"
            )
            return answer.text

        for model in ("whisper-1", "gpt-4o-transcribe", "gpt-transcribe", "voicemode", "near"):
            assert await heard(model) == "alpha"
        assert [len(each.asked) for each in ears] == [5, 0]
        assert await heard("far") == "alpha"
        assert [len(each.asked) for each in ears] == [5, 1]
        for model in ("no-such-model", "words", "tts-1"):
            with pytest.raises(openai.NotFoundError, match="near, far") as caught:
                await heard(model)
            assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
        assert [len(each.asked) for each in ears] == [5, 1]
        listed = [model.id async for model in client.models.list()]
        assert len(listed) == len(set(listed))
        assert {"tts-1", "words", "whisper-1", "near", "far"} <= set(listed)
        assert (await client.models.retrieve("whisper-1")).id == "whisper-1"


@pytest.mark.spec("SRV-8")
async def test_words_come_as_events_while_the_rest_is_still_transcribed() -> None:
    sound = voice.speak("alpha bravo charlie delta")
    for words in ("echo foxtrot golf hotel", "india juliet kilo lima"):
        sound += SPEECH.silence(SPEECH.samples(0.6)) + voice.speak(words)
    file = wav(Frame(data=sound, format=SPEECH))
    async with house() as server, server.client() as client:
        stream = await client.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", file), stream=True
        )
        events = [event async for event in stream]
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert len(deltas) == 3
    done = events[-1]
    assert done.type == "transcript.text.done"
    assert done.text == "".join(deltas)
    assert done.text.split()[-1] == "lima"


@pytest.mark.parametrize("to", FORMATS[1:])
@pytest.mark.spec("SRV-7")
async def test_an_upload_may_be_of_any_format_that_is_spoken(
    to: Literal["wav", "mp3", "opus", "aac", "flac"],
) -> None:
    async with house() as server, server.client() as client:
        spoken = await client.audio.speech.create(
            model="tts-1", voice="ann", input="november oscar papa", response_format=to
        )
        answer = await client.audio.transcriptions.create(model="whisper-1", file=(f"a.{to}", spoken.content))
    assert answer.text == "november oscar papa"


@pytest.mark.spec("SRV-7")
async def test_an_upload_that_is_no_sound_is_refused_and_silence_is_no_words() -> None:
    ear = WordEar()
    async with house(ear=ear) as server, server.client() as client:
        for junk in (b"", b"hello", b"RIFF\0\0\0\0WAVE", b"<html>" * 99, bytes(range(256)) * 9):
            with pytest.raises(openai.BadRequestError) as caught:
                await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", junk))
            assert caught.value.param == "file", junk[:20]
        silence = wav(Frame(data=SPEECH.silence(48_000), format=SPEECH))
        answer = await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", silence))
        assert answer.text == ""
        with pytest.raises(openai.BadRequestError) as caught:
            await client.audio.transcriptions.create(
                model="whisper-1",
                file=("a.wav", silence),
                response_format="smoke",  # type: ignore[call-overload]
            )
        assert caught.value.param == "response_format"
    assert not ear.asked
    assert len(server.of(TranscriptServed)) == 7


@pytest.mark.spec("SRV-14")
async def test_a_transcription_that_ends_by_a_mistake_of_our_own_is_told_as_failed() -> None:
    async with house() as server:
        with pytest.raises(ZeroDivisionError), server.service.hearing("/route", "ear", request_id="7"):
            raise ZeroDivisionError
    (told,) = server.of(TranscriptServed)
    assert isinstance(told, TranscriptServed)
    assert told.outcome == "failed"


@pytest.mark.spec("SRV-9")
async def test_models_and_voices_are_listed() -> None:
    async with (
        house(WordVoice(), WordVoice(name="other", voices=["eve"])) as server,
        server.client() as client,
    ):
        models = {model.id async for model in client.models.list()}
        assert models >= {"tts-1", "words", "other"}
        assert (await client.models.retrieve("other")).id == "other"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("third")
        listed = await client.get("/audio/voices", cast_to=object)
    assert isinstance(listed, dict)
    offered = listed["voices"]
    assert offered[0]["id"] == "alloy"
    assert [each["id"] for each in offered if each.get("usual")] == list(STANDARD_VOICES)
    assert [each["id"] for each in offered if not each.get("usual")] == ["ann", "bob", "eve"]


@pytest.mark.spec("SRV-9")
async def test_a_usual_name_that_an_engine_has_for_a_voice_of_its_own_is_listed_once() -> None:
    async with house(WordVoice(voices=["ann", "alloy"])) as server, server.client() as client:
        listed = await client.get("/audio/voices", cast_to=object)
    assert isinstance(listed, dict)
    assert [each.get("usual", False) for each in listed["voices"] if each["id"] == "alloy"] == [False]


@pytest.mark.spec("SRV-4")
@pytest.mark.spec("SRV-9")
@pytest.mark.parametrize("wanted", [None, "alloy", "nova"])
async def test_our_own_client_finds_a_voice_that_speaks_english(wanted: str | None) -> None:
    """The embedded voice's list begins with Afrikaans."""
    embedded = EmbeddedVoice()
    async with house(embedded) as server:
        near = OpenAiSpeech(Endpoint(base_url=f"{server.url}/v1", voices=("af_sky", "alloy")))
        assert {each.id for each in await near.voices() if each.usual} == set(STANDARD_VOICES)
        async with near.synthesize(SpeechRequest(text="Hello.", voice=wanted)) as audio:
            assert len(b"".join([chunk async for chunk in audio.chunks])) > 10_000
        await near.close()
        (told,) = server.of(SpeechServed)
    await embedded.close()
    assert isinstance(told, SpeechServed)
    assert (told.engine, told.voice) == ("embedded", "en-us")


@pytest.mark.spec("SRV-44")
async def test_opus_of_an_engine_is_handed_on_and_not_made_again() -> None:
    """The packets that the client gets are those that the engine sent, of several pieces in one stream."""
    engine = WordVoice(format=AudioFormat.OPUS)
    async with house(engine) as server, server.client() as client:
        answer = await client.audio.speech.create(
            model="words", voice="ann", input=TEXT, response_format="opus"
        )
    assert {asked.format for asked in engine.asked} == {AudioFormat.OPUS}
    assert len(engine.asked) > 1
    sent = [
        packet
        for asked in engine.asked
        for packet in packets(encode(Frame(data=voice.speak(asked.text), format=SPEECH), AudioFormat.OPUS))
    ]
    assert [each for each in packets(answer.content) if each not in SILENT_PACKETS] == sent
    assert answer.content.count(b"OpusHead") == 1
    assert words_in(decode(answer.content).data) == voice.words(TEXT)


@pytest.mark.spec("SRV-44")
async def test_what_is_called_opus_and_is_not_is_never_handed_on() -> None:
    class Liar(WordVoice):
        def _sound(self, request: SpeechRequest) -> bytes:
            return b"<html>Sign in</html>" * 99

    async with house(Liar(format=AudioFormat.OPUS)) as server, server.client() as client:
        with pytest.raises(openai.InternalServerError, match="instead of Ogg/Opus"):
            await client.audio.speech.create(
                model="words", voice="ann", input="Hello.", response_format="opus"
            )


def packets(data: bytes) -> list[bytes]:
    """The packets of sound in Ogg/Opus bytes."""
    heads = (b"OpusHead", b"OpusTags")
    found = (packet.data for packet in Pages().feed(data) if isinstance(packet, Packet))
    return [each for each in found if each[:8] not in heads]


@pytest.mark.spec("SRV-40")
async def test_who_is_turned_away_is_told_so_in_the_words_of_the_client() -> None:
    async with house(token="secret") as server:
        stranger = openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0)
        async with stranger:
            with pytest.raises(openai.AuthenticationError) as refused:
                await stranger.audio.speech.create(model="tts-1", voice="alloy", input="Hi.")
    assert refused.value.code == "invalid_token"
    assert refused.value.type == "authentication_error"
    assert "Authorization: Bearer" in str(refused.value)
