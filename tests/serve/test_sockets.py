"""S5's WebSockets with a plain WebSocket client: every message in order, with the right sizes."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.serve.house import LIMIT_SECONDS, House, WordVoice, house, words_in
from tests.support import voice
from tests.support.fakes import until
from voicemode.codecs.samples import MU_LAW as MU_LAW_KIND
from voicemode.codecs.samples import TO_S16
from voicemode.configuration.presets import PRESETS, Preset
from voicemode.events import SpeechServed
from voicemode.speech import AudioFormat

pytestmark = pytest.mark.anyio

TEXT = "Alpha bravo charlie delta. Echo foxtrot golf hotel india. Juliet kilo lima mike."


@asynccontextmanager
async def socket(server: House, path: str, **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(f"{server.socket_url}{path}", open_timeout=LIMIT_SECONDS, **options) as connected:
        yield connected


async def said(connected: ClientConnection) -> tuple[list[dict[str, Any]], list[bytes]]:
    """What comes until `complete`, `cancelled` or an error: the messages, and the sound in its own messages."""
    messages: list[dict[str, Any]] = []
    sound: list[bytes] = []
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            message = await connected.recv()
            if isinstance(message, bytes):
                sound.append(message)
                continue
            told = json.loads(message)
            if told["type"] == "audio":
                assert told["seq"] == len(sound)
                sound.append(base64.b64decode(told["audio"]))
                continue
            messages.append(told)
            if told["type"] in ("complete", "cancelled", "error"):
                return messages, sound


async def write(connected: ClientConnection, text: str, **options: object) -> None:
    await connected.send(json.dumps({"type": "init", **options}))
    for part in text.split(" "):
        await connected.send(json.dumps({"type": "text", "text": f"{part} "}))
    await connected.send(json.dumps({"type": "end"}))


@pytest.mark.spec("SRV-20")
@pytest.mark.parametrize("binary", [False, True])
async def test_a_text_in_one_piece_comes_back_in_chunks_again_and_again(binary: bool) -> None:
    async with house() as server, socket(server, "/ws/synthesize") as connected:
        for _ in range(2):
            await connected.send(json.dumps({"text": TEXT, "voice_id": "bob", "binary": binary}))
            messages, sound = await said(connected)
            assert [each["type"] for each in messages if each["type"] != "sentence_complete"] == [
                "ready",
                "complete",
            ]
            ready, complete = messages[0], messages[-1]
            assert (ready["format"], ready["sample_rate"]) == ("pcm", 24_000)
            assert ready["request_id"] == complete["request_id"]
            assert complete["chunks"] == len(sound)
            assert (complete["backend"], complete["voice"]) == ("words", "bob")
            for stage in ("voice_load_ms", "generation_ms", "transcoding_ms", "first_chunk_ms", "total_ms"):
                assert complete[stage] >= 0, stage
            assert words_in(b"".join(sound)) == voice.words(TEXT)


@pytest.mark.spec("SRV-21")
async def test_a_text_is_spoken_from_its_first_clause_on_while_the_rest_is_written() -> None:
    async with house() as server, socket(server, "/ws/synthesize-stream") as connected:
        await connected.send(json.dumps({"type": "init", "voice": "ann", "binary": True}))
        ready = json.loads(await connected.recv())
        assert ready["type"] == "ready"
        for part in ("When the first clause is ", "long enough, ", "it is"):
            await connected.send(json.dumps({"type": "text", "text": part}))
        sound = b""
        async with asyncio.timeout(LIMIT_SECONDS):
            while isinstance(message := await connected.recv(), bytes):
                sound += message
        told = json.loads(message)
        assert told == {
            "type": "sentence_complete",
            "index": 0,
            "text": "When the first clause is long enough,",
        }
        assert words_in(sound)[:5] == voice.words("When the first clause is")
        for part in (" spoken aloud. And this ends it all.",):
            await connected.send(json.dumps({"type": "text", "text": part}))
        await connected.send(json.dumps({"type": "end"}))
        messages, rest = await said(connected)
    assert [each["type"] for each in messages] == ["sentence_complete", "sentence_complete", "complete"]
    assert words_in(sound + b"".join(rest)) == voice.words(
        "When the first clause is long enough, it is spoken aloud. And this ends it all."
    )


@pytest.mark.spec("SRV-21")
@pytest.mark.parametrize("units", [1, 2, 3, 7])
async def test_a_text_is_the_same_wherever_it_is_cut_also_inside_a_number_and_a_character(units: int) -> None:
    text = (
        "It costs 3.50 dollars, e.g. at 10:30, and \U00020bb7\U0001f600 is rare. Version 1.2.3 of it isn't."
    )
    utf16 = text.encode("utf-16-le")
    parts = [
        utf16[at : at + 2 * units].decode("utf-16-le", "surrogatepass")
        for at in range(0, len(utf16), 2 * units)
    ]
    engine = WordVoice()
    async with house(engine) as server, socket(server, "/ws/synthesize-stream") as connected:
        for written in ([text], parts):
            await connected.send(json.dumps({"type": "init", "binary": True}))
            for part in written:
                await connected.send(json.dumps({"type": "text", "text": part}))
            await connected.send(json.dumps({"type": "end"}))
            messages, _ = await said(connected)
            assert messages[-1]["type"] == "complete"
    asked = [each.text for each in engine.asked]
    half = len(asked) // 2
    assert asked[:half] == asked[half:]
    assert "\U00020bb7" in " ".join(asked)


@pytest.mark.spec("SRV-21")
async def test_half_a_character_at_the_end_of_a_text_takes_nothing_from_the_rest() -> None:
    async with house() as server, socket(server, "/ws/synthesize-stream") as connected:
        for message in ({"type": "init", "binary": True}, {"type": "text", "text": "Alpha bravo \ud83d"}):
            await connected.send(json.dumps(message))
        await connected.send(json.dumps({"type": "end"}))
        messages, sound = await said(connected)
    assert messages[-1]["type"] == "complete"
    assert words_in(b"".join(sound)) == ["alpha", "bravo"]


@pytest.mark.spec("SRV-26")
async def test_a_message_of_text_without_text_is_told() -> None:
    async with house() as server, socket(server, "/ws/synthesize-stream") as connected:
        for message in ({"type": "init"}, {"type": "text", "delta": "Alpha."}):
            await connected.send(json.dumps(message))
        messages, _ = await said(connected)
    assert (messages[-1]["type"], messages[-1]["error"]["param"]) == ("error", "text")


@pytest.mark.spec("SRV-22")
@pytest.mark.parametrize("preset", list(Preset))
async def test_the_first_message_and_the_later_ones_have_the_sizes_of_the_preset(preset: Preset) -> None:
    engine = WordVoice()
    async with house(engine) as server, socket(server, "/ws/synthesize") as connected:
        await connected.send(json.dumps({"text": "one two three four five six seven", "preset": preset}))
        _, sound = await said(connected)
    how = PRESETS[preset]
    bytes_per_token = 24_000 // 25 * 2
    sizes = [len(part) // bytes_per_token for part in sound]
    assert sizes[0] == how.first_chunk
    # The end of a sentence does not wait for a whole chunk; the 5 ms behind it are what a join would have needed.
    assert set(sizes[1:-2]) <= {how.chunk}
    assert engine.asked[0].delivery == how


@pytest.mark.spec("SRV-23")
async def test_telephone_sound_comes_in_packets_of_20_milliseconds() -> None:
    async with house() as server, socket(server, "/ws/synthesize-stream") as connected:
        await write(connected, TEXT, format="mulaw", binary=True)
        messages, packets = await said(connected)
    assert messages[0]["sample_rate"] == 8_000
    assert {len(packet) for packet in packets} == {160}
    assert len(packets) * 0.02 == pytest.approx(messages[-1]["audio_seconds"], abs=0.04)
    sound = TO_S16[MU_LAW_KIND, 1](b"".join(packets))
    assert voice.hear(sound, 8_000) == voice.words(TEXT)


@pytest.mark.spec("SRV-24")
@pytest.mark.parametrize("to", [AudioFormat.MP3, AudioFormat.OPUS, AudioFormat.WAV])
async def test_a_socket_speaks_the_other_formats_too(to: AudioFormat) -> None:
    from tests.support.encoding import decode

    async with house() as server, socket(server, "/ws/synthesize") as connected:
        await connected.send(json.dumps({"text": TEXT, "format": to, "binary": True}))
        _, sound = await said(connected)
    assert words_in(decode(b"".join(sound)).data) == voice.words(TEXT)


@pytest.mark.spec("SRV-25")
async def test_cancel_ends_it_at_once_and_the_socket_is_good_for_the_next() -> None:
    gate = asyncio.Semaphore(5)
    engine = WordVoice(gate=gate)
    async with house(engine) as server, socket(server, "/ws/synthesize-stream") as connected:
        await write(connected, TEXT)
        await until(lambda: engine.open == 1)
        await connected.send(json.dumps({"type": "cancel"}))
        messages, _ = await said(connected)
        assert messages[-1]["type"] == "cancelled"
        await until(lambda: engine.open == 0)
        for _ in range(1_000):
            gate.release()
        await write(connected, "Next.")
        messages, sound = await said(connected)
    assert messages[-1]["type"] == "complete"
    assert words_in(b"".join(sound)) == ["next"]


@pytest.mark.spec("SRV-26")
@pytest.mark.parametrize(
    "message",
    [
        "no json",
        "[]",
        "{}",
        b"\x00\x01",
        json.dumps({"type": "text", "text": "Hello."}),
        json.dumps({"type": "init", "preset": "loud"}),
        json.dumps({"type": "init", "speed": "NaN"}),
        json.dumps({"type": "init", "speed": 10**400}),
        json.dumps({"type": "init", "format": "mp4"}),
        json.dumps({"type": "init", "chunk": 0}),
        "{" * 50_000,
    ],
    ids=lambda message: str(message[:24]),
)
async def test_a_wrong_message_is_told_and_closes_the_socket(message: str | bytes) -> None:
    async with house() as server:
        async with socket(server, "/ws/synthesize-stream") as connected:
            await connected.send(message)
            messages, _ = await said(connected)
            assert messages[-1]["type"] == "error"
            assert messages[-1]["error"]["message"]
            with pytest.raises(ConnectionClosed):
                await connected.recv()
            assert connected.close_code == 1008
        async with socket(server, "/ws/synthesize-stream") as connected:
            await write(connected, "Good.")
            assert (await said(connected))[0][-1]["type"] == "complete"


@pytest.mark.spec("SRV-26")
async def test_a_message_out_of_turn_ends_what_is_being_said() -> None:
    engine = WordVoice(gate=asyncio.Semaphore(3))
    async with house(engine) as server, socket(server, "/ws/synthesize") as connected:
        await connected.send(json.dumps({"text": TEXT}))
        await until(lambda: engine.open == 1)
        await connected.send(json.dumps({"text": "And this."}))
        messages, _ = await said(connected)
        assert messages[-1]["type"] == "error"
        await until(lambda: engine.open == 0)


@pytest.mark.spec("SRV-27")
@pytest.mark.parametrize("path", ["/ws/synthesize", "/ws/synthesize-stream"])
async def test_a_client_that_leaves_stops_its_generation(path: str) -> None:
    engine = WordVoice(gate=asyncio.Semaphore(5))
    async with house(engine) as server:
        async with socket(server, path) as connected:
            if path.endswith("stream"):
                await write(connected, TEXT)
            else:
                await connected.send(json.dumps({"text": TEXT}))
            await until(lambda: engine.open == 1)
            connected.transport.abort()
            async with asyncio.timeout(1.0):
                await until(lambda: engine.open == 0)
        await until(lambda: bool(server.of(SpeechServed)))
    (served,) = server.of(SpeechServed)
    assert isinstance(served, SpeechServed)
    assert served.outcome == "left"


@pytest.mark.spec("SRV-28")
async def test_beyond_its_capacity_a_socket_is_told_when_to_come_back() -> None:
    engine = WordVoice(gate=asyncio.Semaphore(3))
    async with house(engine, most=1) as server, socket(server, "/ws/synthesize") as first:
        await first.send(json.dumps({"text": TEXT}))
        await until(lambda: engine.open == 1)
        async with socket(server, "/ws/synthesize") as second:
            await second.send(json.dumps({"text": TEXT}))
            messages, _ = await said(second)
            assert messages[-1]["error"]["code"] == "busy"
            assert messages[-1]["retry_after"] >= 1
            with pytest.raises(ConnectionClosed):
                await second.recv()
            assert second.close_code == 1013


@pytest.mark.spec("SRV-42")
async def test_pages_of_others_and_whoever_lacks_the_token_get_no_socket() -> None:
    async with house(token="secret", origins=("https://app.example",)) as server:

        async def status(**options: Any) -> int:
            try:
                async with socket(server, "/ws/synthesize", **options):
                    return 101
            except InvalidStatus as refused:
                return refused.response.status_code

        own = server.url
        bearer = {"Authorization": "Bearer secret"}
        assert await status() == 403
        assert await status(additional_headers={"Authorization": "Bearer wrong"}) == 403
        assert await status(additional_headers=bearer) == 101
        assert await status(additional_headers=bearer, origin="http://page.example") == 403
        assert await status(subprotocols=["voicemode", "bearer.secret"], origin=own) == 101
        assert await status(subprotocols=["bearer.secret"], origin="https://app.example") == 101
        assert await status(subprotocols=["bearer.wrong"], origin=own) == 403
    async with house() as server:
        assert await status() == 101
        assert await status(origin="null") == 403
        assert await status(origin="http://localhost:1") == 403
