from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from voicemode.engines import voice_cache
from voicemode.engines.voice_cache import Cached, FetchVoice, Level, VoiceCache, voice_id
from voicemode.errors import EngineError, EngineUnavailable, InvalidRequest, UnknownVoice
from voicemode.pcm import SPEECH, Frame
from voicemode.sound.wav import wav_bytes

pytestmark = pytest.mark.anyio

SOUND = Frame(data=b"\1\0" * 240, format=SPEECH)


class Loader:
    """Makes a voice of a recording: its bytes. Counts, and waits where told to."""

    def __init__(self) -> None:
        self.loads = 0
        self.begun, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def __call__(self, recording: bytes) -> bytes:
        self.loads += 1
        self.begun.set()
        await self.gate.wait()
        return recording


def cache(
    loader: Callable[[bytes], Awaitable[bytes]],
    *folders: Path,
    remote: FetchVoice | None = None,
    most: int = 50,
    load_seconds: float = 10.0,
) -> VoiceCache[bytes]:
    return VoiceCache(
        loader, engine="chatterbox", folders=folders, remote=remote, most=most, load_seconds=load_seconds
    )


async def far(voice: str, most: int) -> bytes | None:
    return f"far {voice}".encode() if voice != "nobody" else None


@pytest.mark.spec("SPT-50")
async def test_a_voice_is_looked_for_on_disk_then_among_waveforms_then_far_away(tmp_path: Path) -> None:
    voices = cache(Loader(), tmp_path, remote=far)
    assert (await voices.get("alice")).level is Level.REMOTE
    voices.put("alice", SOUND)
    assert (await voices.get("alice")).value == wav_bytes(SOUND)
    voices.put("alice", SOUND)
    (tmp_path / "alice.wav").write_bytes(b"disk")
    found = await voices.get("alice")
    assert (found.value, found.level) == (b"disk", Level.PATH)
    again = await voices.get("alice")
    assert (again.value, again.level, again.seconds) == (b"disk", Level.MEMORY, 0.0)


@pytest.mark.spec("SPT-50")
async def test_fifty_voices_are_kept_and_the_least_recently_used_goes() -> None:
    loader = Loader()
    voices = cache(loader, remote=far)
    for number in range(50):
        await voices.get(f"v{number}")
    await voices.get("v0")
    await voices.get("v50")
    assert len(voices.held) == 50
    assert "v1" not in voices.held
    assert voices.held[-2:] == ["v0", "v50"]
    assert loader.loads == 51


@pytest.mark.spec("SPT-50")
async def test_who_asks_for_a_voice_that_is_being_loaded_waits_for_the_same_loading() -> None:
    loader = Loader()
    loader.gate.clear()
    voices = cache(loader, remote=far)
    asking = [asyncio.create_task(voices.get("alice")) for _ in range(20)]
    await loader.begun.wait()
    asking[0].cancel()
    loader.gate.set()
    async with asyncio.timeout(5):
        done = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert all(isinstance(each, Cached) for each in done[1:])
    assert loader.loads == 1


@pytest.mark.spec("SPT-51")
@pytest.mark.parametrize(
    "name", ["", "../alice", "/etc/passwd", "a.b", "a b", "a\0", "ä", "x" * 65, "a\n", "C:alice", "..", "a/b"]
)
async def test_an_id_that_could_be_a_path_is_refused_everywhere(tmp_path: Path, name: str) -> None:
    voices = cache(Loader(), tmp_path, remote=far)
    for ask in (lambda: voice_id(name), lambda: voices.put(name, SOUND)):
        with pytest.raises(InvalidRequest, match="letters"):
            ask()
    with pytest.raises(InvalidRequest, match="letters"):
        await voices.get(name)
    assert voice_id("Alice_2-b") == "Alice_2-b"


@pytest.mark.spec("SPT-51")
async def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    folder = tmp_path / "voices"
    folder.mkdir()
    (folder / "alice.wav").symlink_to(secret)
    with pytest.raises(UnknownVoice):
        await cache(Loader(), folder).get("alice")


@pytest.mark.spec("SPT-51")
async def test_nobody_is_unknown_and_the_answer_names_who_is_there(tmp_path: Path) -> None:
    (tmp_path / "bob.wav").write_bytes(b"bob")
    voices = cache(Loader(), tmp_path, remote=far)
    with pytest.raises(UnknownVoice) as caught:
        await voices.get("nobody")
    assert "bob" in caught.value.hint
    assert voices.held == []


@pytest.mark.spec("SPT-51")
async def test_a_recording_that_is_too_large_is_refused_from_every_level(tmp_path: Path) -> None:
    large = bytes(voice_cache.MOST_BYTES + 1)
    (tmp_path / "alice.wav").write_bytes(large)

    async def lavish(voice: str, most: int) -> bytes:
        return large

    voices = cache(Loader(), tmp_path, remote=lavish)
    for name in ("alice", "bob"):
        with pytest.raises(InvalidRequest, match="10,000,000"):
            await voices.get(name)
    with pytest.raises(InvalidRequest, match="60 s"):
        voices.put("carol", Frame(data=SPEECH.silence(24_000 * 61), format=SPEECH))
    with pytest.raises(InvalidRequest, match=r"0\.0 s"):
        voices.put("carol", Frame(data=b"", format=SPEECH))


@pytest.mark.spec("SPT-51")
async def test_what_takes_too_long_fails_and_can_be_asked_for_again() -> None:
    loader = Loader()
    loader.gate.clear()
    voices = cache(loader, remote=far, load_seconds=0.02)
    with pytest.raises(EngineError, match=r"0\.02 s") as caught:
        await voices.get("alice")
    assert caught.value.retryable
    loader.gate.set()
    assert (await voices.get("alice")).value == b"far alice"


@pytest.mark.spec("SPT-50")
async def test_preloading_says_for_each_voice_what_became_of_it() -> None:
    found = await cache(Loader(), remote=far).preload(["alice", "nobody", "../x"])
    assert isinstance(found["alice"], Cached)
    assert isinstance(found["nobody"], UnknownVoice)
    assert isinstance(found["../x"], InvalidRequest)


@pytest.mark.spec("SPT-50")
async def test_closing_ends_what_is_being_loaded() -> None:
    loader = Loader()
    loader.gate.clear()
    voices = cache(loader, remote=far)
    asking = asyncio.create_task(voices.get("alice"))
    await loader.begun.wait()
    async with asyncio.timeout(5):
        await voices.close()
        with pytest.raises(EngineUnavailable, match="closed"):
            await asking


@pytest.mark.spec("SPT-50")
async def test_a_new_recording_while_the_old_one_is_loaded_is_the_next_ones_voice() -> None:
    loader = Loader()
    loader.gate.clear()
    voices = cache(loader, remote=far)
    asking = asyncio.create_task(voices.get("alice"))
    await loader.begun.wait()
    voices.put("alice", SOUND)
    loader.gate.set()
    async with asyncio.timeout(5):
        assert (await asking).value == b"far alice"
        assert (await voices.get("alice")).value == wav_bytes(SOUND)
    assert voices.forget("alice")
    assert not voices.forget("alice")
    assert voices.held == []
