from __future__ import annotations

import asyncio
import gc
import json
import stat
import sys
import weakref
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.chatterbox_signatures import TABLE, signatures
from tests.codecs.material import floats, pitch, s16, tone
from tests.support.chatterbox import standin
from tests.support.contract import (
    assert_cancel_stops_speech,
    assert_each_gets_its_own,
    assert_leaving_stops_it,
    assert_refuses_nonsense,
    assert_streams,
    comes_true,
    said,
)
from voicemode.app import open_app
from voicemode.configuration.config import Config
from voicemode.configuration.presets import TOKENS_PER_SECOND, Preset, delivery
from voicemode.engines.chatterbox.model import (
    Chatterbox,
    ChatterboxSettings,
    load,
    pieces,
)
from voicemode.engines.chatterbox.voice import ChatterboxVoice
from voicemode.errors import EngineError, EngineUnavailable, InvalidRequest, StreamBroken, UnknownVoice
from voicemode.pcm import SPEECH, Frame
from voicemode.sound.wav import wav_bytes
from voicemode.speech import SpeechRequest

pytestmark = [pytest.mark.anyio, pytest.mark.spec("SPT-70")]

LONG = "This is a sentence that goes on for a while, and then another part. " * 12
ALICE = wav_bytes(Frame(data=s16(tone(1.0, 24_000, hertz=330.0)), format=SPEECH))


@pytest.fixture
def package() -> Iterator[Any]:
    with standin() as module:
        yield module


@pytest.fixture
async def engine(package: Any, tmp_path: Path) -> AsyncIterator[ChatterboxVoice]:
    (tmp_path / "alice.wav").write_bytes(ALICE)
    made = ChatterboxVoice(folders=[tmp_path])
    yield made
    for each in package.ChatterboxTTS.made:
        each.gate.set()
    await made.close()


async def test_it_streams_piece_by_piece(engine: ChatterboxVoice) -> None:
    audio, data = await assert_streams(engine, SpeechRequest(text=LONG))
    assert (audio.pcm, audio.voice, audio.model) == (SPEECH, "default", "chatterbox")
    assert len(data) // 2 / 24_000 == pytest.approx(len(LONG.strip()) / 14, rel=0.05)


async def test_requests_at_the_same_time_get_what_is_theirs(engine: ChatterboxVoice) -> None:
    await assert_each_gets_its_own(engine, ["One.", "The second of them.", LONG[:200]])


async def test_nonsense_is_refused(engine: ChatterboxVoice) -> None:
    await assert_refuses_nonsense(engine, unknown_voice="nobody")
    await assert_refuses_nonsense(engine, unknown_voice="../alice")


async def test_leaving_stops_it(engine: ChatterboxVoice) -> None:
    await assert_leaving_stops_it(engine, LONG, lambda: engine.at_work)


async def test_cancelling_stops_it_between_two_chunks(engine: ChatterboxVoice, package: Any) -> None:
    await engine.warm()
    model = package.ChatterboxTTS.made[0]
    model.seconds = 0.02
    await assert_cancel_stops_speech(engine, LONG, lambda: engine.at_work)
    model.gate.clear()
    before = len(model.said)
    asking = asyncio.create_task(said(engine, SpeechRequest(text=LONG)))
    await comes_true(lambda: engine.at_work > 0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    model.gate.set()
    await comes_true(lambda: engine.at_work == 0)
    assert len(model.said) <= before + 1


@pytest.mark.spec("SRV-36")
async def test_how_many_streams_it_holds_is_seen_when_it_is_warmed(engine: ChatterboxVoice) -> None:
    assert await engine.holds() is None
    await engine.warm()
    holds = await engine.holds()
    assert holds is not None
    assert holds > 0


async def test_the_presets_reach_the_model(engine: ChatterboxVoice, package: Any) -> None:
    for preset in Preset:
        how = delivery(preset)
        await said(engine, SpeechRequest(text="Hello there, you.", delivery=how))
        model = package.ChatterboxTTS.made[0]
        last = model.said[-1]
        assert (last["exaggeration"], last["cfg_weight"], last["temperature"]) == (
            how.exaggeration,
            how.cfg_weight,
            how.temperature,
        )
        assert model.s3gen.steps[-1] == how.steps
    await said(engine, SpeechRequest(text="Hello there, you."))
    assert model.s3gen.steps[-1] == delivery().steps


async def test_a_voice_is_that_of_its_recording_and_is_made_once(engine: ChatterboxVoice) -> None:
    for _ in range(2):
        _, alice = await said(engine, SpeechRequest(text="A sentence by Alice.", voice="alice"))
        assert pitch(floats(alice), 24_000) == pytest.approx(330, abs=3)
        _, own = await said(engine, SpeechRequest(text="A sentence by nobody."))
        assert pitch(floats(own), 24_000) == pytest.approx(220, abs=3)
    assert engine.cache.held == ["alice"]
    assert [voice.id for voice in await engine.voices()] == ["default", "alice"]


async def test_a_recording_is_only_for_this_users_eyes_while_it_is_read(package: Any) -> None:
    seen: list[tuple[int, int, str]] = []

    class Looking(package.ChatterboxTTS):  # type: ignore[misc]
        def prepare_conditionals(self, wav_fpath: str, exaggeration: float = 0.5) -> None:
            path = Path(wav_fpath)
            modes = [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)]
            seen.append((modes[0], modes[1], wav_fpath))
            super().prepare_conditionals(wav_fpath, exaggeration)

    Chatterbox(package.with_voice(Looking, hertz=None)).prepare(ALICE)
    assert (seen[0][0], seen[0][1]) == (0o600, 0o700)
    assert not Path(seen[0][2]).parent.exists()


@pytest.mark.parametrize("recording", [b"", b"no sound at all", wav_bytes(Frame(data=b"", format=SPEECH))])
async def test_a_recording_that_cannot_be_used_says_so(package: Any, recording: bytes) -> None:
    with pytest.raises(InvalidRequest, match="cannot make a voice") as caught:
        load(ChatterboxSettings()).prepare(recording)
    assert caught.value.hint


async def test_a_streaming_fork_gives_its_chunks_as_the_preset_says(package: Any) -> None:
    import torch

    asked: list[dict[str, Any]] = []

    class Fork(package.ChatterboxTTS):  # type: ignore[misc]
        def generate_stream(
            self,
            text: str,
            audio_prompt_path: str | None = None,
            exaggeration: float = 0.5,
            cfg_weight: float = 0.5,
            temperature: float = 0.8,
            chunk_size: int = 25,
            context_window: int = 50,
            print_metrics: bool = True,
        ) -> Iterator[tuple[Any, None]]:
            asked.append({"chunk": chunk_size, "printed": print_metrics})
            for _ in range(0, len(text), 10):
                yield self.s3gen.inference(torch.zeros(chunk_size), ref_dict=self.conds.gen)[0], None

    engine = ChatterboxVoice(load_model=lambda settings: Chatterbox(package.with_voice(Fork)))
    request = SpeechRequest(text="Hello there, you.", delivery=delivery("realtime"))
    async with engine.synthesize(request) as audio:
        chunks = [len(chunk) // 2 / 24_000 async for chunk in audio.chunks]
    assert chunks == [0.4, 0.4]
    assert asked == [{"chunk": 10, "printed": False}]
    await engine.close()


async def test_an_older_decoder_without_steps_is_left_as_it_is(package: Any) -> None:
    tts = package.with_voice(package.ChatterboxTTS)

    def inference(speech_tokens: Any, ref_dict: Any = None) -> Any:
        return package.S3Gen().inference(speech_tokens, ref_dict=ref_dict)

    tts.s3gen.inference = inference
    model = Chatterbox(tts)
    assert not model.sets_steps
    assert list(model.speak("Hello.", model.own_voice, delivery(), lambda: False))


async def test_what_nobody_hears_any_more_stops_at_the_next_token(package: Any) -> None:
    tts = package.with_voice(package.ChatterboxTTS)
    model, transformer = Chatterbox(tts), tts.t3.tfmr
    assert not list(model.speak(LONG, model.own_voice, delivery(), lambda: transformer.calls == 7))
    assert transformer.calls == 7
    assert list(model.speak("Hello.", model.own_voice, delivery(), lambda: False))


async def test_no_progress_is_drawn_beside_the_log(package: Any, capfd: pytest.CaptureFixture[str]) -> None:
    model = load(ChatterboxSettings())
    assert list(model.speak("Hello.", model.own_voice, delivery(), lambda: False))
    assert capfd.readouterr() == ("", "")


async def test_a_piece_without_anything_to_say_is_a_moment_of_silence(package: Any) -> None:
    model = load(ChatterboxSettings())
    package.ChatterboxTTS.made[0].t3.mute = True
    (sound,) = model.speak("Hm.", model.own_voice, delivery(), lambda: False)
    assert sound == bytes(2 * model.rate // TOKENS_PER_SECOND)


async def test_a_closed_engine_gives_the_memory_of_its_model_back(package: Any) -> None:
    engine = ChatterboxVoice()
    await engine.warm()
    model = weakref.ref(package.ChatterboxTTS.made.pop())
    gc.disable()
    try:
        await engine.close()
        await comes_true(lambda: model() is None)
    finally:
        gc.enable()


async def test_no_guidance_at_all_is_asked_for_as_next_to_none(engine: ChatterboxVoice, package: Any) -> None:
    request = SpeechRequest(text="Hello there, you.", delivery=delivery(cfg_weight=0.0))
    assert (await said(engine, request))[1]
    assert 0 < package.ChatterboxTTS.made[0].said[-1]["cfg_weight"] < 0.001


async def test_a_voice_does_not_hang_on_to_what_it_was_calculated_from(package: Any) -> None:
    prepared: Any = load(ChatterboxSettings()).prepare(ALICE)
    assert not prepared.gen["requires_grad"]


async def test_what_fails_in_the_model_is_an_error_of_the_engine(package: Any) -> None:
    class Failing(package.ChatterboxTTS):  # type: ignore[misc]
        def generate(self, text: str, **how: Any) -> Any:
            if len(self.said) >= self.limit:
                raise RuntimeError("CUDA out of memory")
            return super().generate(text, **how)

    tts = package.with_voice(Failing)
    engine = ChatterboxVoice(load_model=lambda settings: Chatterbox(tts))
    for limit, error in ((0, EngineError), (1, StreamBroken)):
        tts.limit = limit
        with pytest.raises(error, match="CUDA out of memory"):
            await said(engine, SpeechRequest(text=LONG))
    tts.limit = 100
    assert (await said(engine, SpeechRequest(text="Next.")))[1]
    await engine.close()


async def test_without_the_package_the_way_to_install_it_is_told() -> None:
    if "chatterbox" in sys.modules:
        pytest.skip("the package is installed")
    engine = ChatterboxVoice()
    with pytest.raises(EngineUnavailable, match="chatterbox-tts") as caught:
        await engine.warm()
    assert "voicemode[chatterbox]" in caught.value.hint
    await engine.close()


async def test_whether_it_can_speak_is_known_without_loading_it(package: Any) -> None:
    attempts: list[ChatterboxSettings] = []

    def loaded(settings: ChatterboxSettings) -> Chatterbox:
        attempts.append(settings)
        if len(attempts) == 1:
            raise EngineUnavailable("The weights are torn.", engine="chatterbox")
        return load(settings)

    engine = ChatterboxVoice(load_model=loaded)
    await engine.check()
    assert not attempts
    with pytest.raises(EngineUnavailable, match="torn"):
        await engine.warm()
    with pytest.raises(EngineUnavailable, match="torn"):
        await engine.check()
    await engine.warm()
    await engine.check()
    await engine.close()


async def test_a_watermark_that_cannot_be_made_is_told_with_what_it_lacks(
    package: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import perth

    # What the package leaves where `pkg_resources` is missing.
    monkeypatch.setattr(perth, "PerthImplicitWatermarker", None)
    with pytest.raises(EngineUnavailable, match="pkg_resources") as caught:
        load(ChatterboxSettings())
    assert "setuptools<82" in caught.value.hint


async def test_weights_from_a_folder_and_what_is_missing_in_it(package: Any, tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match=r"ve\.safetensors"):
        load(ChatterboxSettings(weights=tmp_path))
    for name in package.NEEDED:
        (tmp_path / name).touch()
    assert load(ChatterboxSettings(weights=tmp_path)).own_voice is None
    engine = ChatterboxVoice(ChatterboxSettings(weights=tmp_path))
    with pytest.raises(UnknownVoice, match="no voice of their own"):
        await engine.warm()
    await engine.close()
    with pytest.raises(EngineUnavailable, match="'gpu'"):
        load(ChatterboxSettings(device="gpu"))
    assert package.ChatterboxTTS.made[-1].device == "cpu"


async def test_another_speed_is_said_to_be_passed_over(engine: ChatterboxVoice) -> None:
    audio, _ = await said(engine, SpeechRequest(text="Hello.", speed=1.5))
    assert "speed" in audio.note
    audio, data = await said(engine, SpeechRequest(text="—"))
    assert (audio.note, len(data)) == ("", 2 * 2_400)


async def test_it_speaks_english_and_says_so(engine: ChatterboxVoice) -> None:
    assert (await said(engine, SpeechRequest(text="Hello.", language="en-GB")))[1]
    with pytest.raises(UnknownVoice, match="'de'") as caught:
        await said(engine, SpeechRequest(text="Hallo.", language="de"))
    assert "English" in caught.value.hint


async def test_closing_while_somebody_waits_ends_the_waiting(engine: ChatterboxVoice, package: Any) -> None:
    await engine.warm()
    model = package.ChatterboxTTS.made[0]
    model.gate.clear()
    asking = [asyncio.create_task(said(engine, SpeechRequest(text=LONG))) for _ in range(2)]
    await comes_true(lambda: engine.at_work == 2)
    await engine.close()
    model.gate.set()
    async with asyncio.timeout(5):
        ended = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(ended[1], EngineUnavailable)
    with pytest.raises(EngineUnavailable, match="closed"):
        await engine.warm()


@pytest.mark.spec("SPT-71")
async def test_the_stand_in_takes_what_the_package_takes(package: Any) -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    assert signatures() == table["signatures"]


def test_pieces_are_short_first_and_never_longer_than_the_model_can_say() -> None:
    made = pieces(LONG)
    assert len(made[0]) < 60
    assert max(map(len, made)) <= 260
    assert " ".join(made) == LONG.strip()


async def test_device_and_weights_are_those_of_the_variables(package: Any, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    for name in (*package.NEEDED, "conds.pt"):
        (tmp_path / "weights" / name).touch()
    environment = {
        "HOME": str(tmp_path),
        "VOICEMODE_BASE_DIR": str(tmp_path / "data"),
        "VOICEMODE_SPEECH_ENGINES": "chatterbox",
        "VOICEMODE_CHATTERBOX_DEVICE": "cuda:1",
        "VOICEMODE_CHATTERBOX_WEIGHTS": "~/weights",
    }
    async with open_app(Config.from_sources(environment, {}, {}), environment) as app:
        engine = app.line_up.speakers[-1]
        assert (await said(engine, SpeechRequest(text="Hello.")))[1]
        assert package.ChatterboxTTS.made[0].device == "cuda:1"


@pytest.mark.parametrize("named", [True, False])
async def test_only_who_names_it_gets_it_and_then_behind_the_voice_that_always_answers(
    tmp_path: Path, named: bool
) -> None:
    environment = {"VOICEMODE_BASE_DIR": str(tmp_path)}
    environment |= {"VOICEMODE_SPEECH_ENGINES": "chatterbox"} if named else {}
    async with open_app(Config.from_sources(environment, {}, {}), environment) as app:
        names = [engine.name for engine in app.line_up.speakers]
    assert names[-2:] == ["embedded", "chatterbox"] if named else names[-1] == "embedded"
