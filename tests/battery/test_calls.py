"""Calls without number, cancelled in every state, unheard by any recogniser, without devices: what a host sees."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.battery.bad_servers import BAD, bad_servers
from tests.battery.wire import Wire, events, wire
from tests.live.host import environment
from tests.support import voice
from tests.support.encoding import decode
from tests.support.sound_card import RATE, Recording, VirtualSoundCard
from tests.support.speech_server import Accept, Behaviour, Route, SpeechServer, closed_port
from voicemode.clock import monotonic
from voicemode.flows.conversation import LONGEST_QUEUE
from voicemode.text.pieces import LONGEST_MESSAGE_CHARACTERS

pytestmark = pytest.mark.anyio

LONG = "one two three four five six seven eight nine ten " * 4
ANSWER = "yes please delete it now"
SHORT = "yes do"
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@pytest.mark.live
@pytest.mark.spec("BAT-10")
async def test_of_200_messages_at_once_those_taken_sound_in_order_and_the_rest_is_refused(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    messages = [NUMBERS[place % 10] for place in range(200)]
    with SpeechServer() as server:
        variables = environment(sound_card, tmp_path, TTS_BASE_URLS=server.base_url)
        async with wire(variables) as host:
            with sound_card.recording() as heard:
                asked = [host.begin("speak", message=each, speed=4, wait="finished") for each in messages]
                said = [await host.answer(each, limit=40.0) for each in asked]
                words = voice.hear(heard.samples().tobytes(), RATE)
    taken = [place for place, each in enumerate(said) if not each.failed]
    # On a busy machine the first are over before the last is asked: their places are taken again.
    assert taken[:LONGEST_QUEUE] == list(range(LONGEST_QUEUE))
    assert len(taken) < 2 * LONGEST_QUEUE
    assert words == [messages[place] for place in taken]
    assert all("no more than" in each.text for each in said if each.failed)


@pytest.mark.live
@pytest.mark.timed
@pytest.mark.spec("BAT-11")
@pytest.mark.parametrize("state", ["connecting", "speaking", "waiting", "listening", "transcribing"])
async def test_a_call_that_is_cancelled_is_silent_closed_and_never_answered(
    sound_card: VirtualSoundCard, tmp_path: Path, state: str
) -> None:
    with SpeechServer() as server:
        variables = environment(
            sound_card,
            tmp_path,
            TTS_BASE_URLS=server.base_url,
            STT_BASE_URLS=server.base_url,
            AUDIO_FEEDBACK="false",
        )
        if state == "connecting":
            server.then(Behaviour(accept=Accept.NEVER))
        if state == "transcribing":
            server.then(Behaviour(accept=Accept.NEVER), route=Route.TRANSCRIPTIONS)
        async with wire(variables) as host:
            with sound_card.recording() as heard:
                users = await asyncio.to_thread(sound_card.microphone_users)
                call = await _brought_to(state, host, server, sound_card, heard)
                asked = monotonic()
                host.cancel(call)
                await host.tools()
                if state == "waiting":
                    await host.call("playback", action="stop")
                await asyncio.to_thread(sound_card.wait_for_microphone_users, users)
                assert monotonic() - asked < 1.0
                if state == "speaking":
                    last = await asyncio.to_thread(heard.wait_for_silence, 0.5, 10.0)
                    assert heard.time_of(last) - asked < 0.15
            with sound_card.recording() as after:
                said = await host.call("speak", message="Still here.", wait="finished")
                assert voice.hear(after.samples().tobytes(), RATE) == ["still", "here"]
            assert said.word("state") == "finished"
            assert not host.answered(call) or "error" in await host.message(call)


async def _brought_to(
    state: str, host: Wire, server: SpeechServer, card: VirtualSoundCard, heard: Recording
) -> int:
    """A call that is in this state now."""
    match state:
        case "connecting":
            call = host.begin("speak", message=LONG, wait="finished")
            await asyncio.to_thread(
                server.wait_until, lambda seen: any(each.path == "/v1/audio/speech" for each in seen)
            )
        case "speaking":
            call = host.begin("speak", message=LONG, wait="finished")
            await asyncio.to_thread(heard.wait_for_sound, 10.0)
        case "waiting":
            host.begin("speak", message=LONG, wait="finished")
            await host.until_state("speaking")
            call = host.begin("converse", message="Nobody will hear this.")
            await host.until_state("waiting")
        case _:
            call = host.begin("converse", message="")
            await host.until_state("listening")
            card.say(voice.speak(ANSWER), 24_000)
            if state == "transcribing":
                await host.until_state("transcribing")
    return call


@pytest.mark.live
@pytest.mark.spec("BAT-12")
async def test_what_no_recogniser_can_read_is_kept_and_named_and_a_good_one_is_found(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        bad = bad_servers(stack)
        odd = stack.enter_context(SpeechServer(Behaviour(body='{"text": 17}')))
        good = stack.enter_context(SpeechServer())
        refused = stack.enter_context(closed_port())
        urls = [refused, odd.base_url, *(server.base_url for server in bad.values())]
        none, one = tmp_path / "none", tmp_path / "one"
        for folder, servers in ((none, urls), (one, [*urls, good.base_url])):
            variables = environment(
                sound_card,
                folder,
                TTS_BASE_URLS=good.base_url,
                STT_BASE_URLS=",".join(servers),
                FIRST_BYTE_TIMEOUT="0.3",
                AUDIO_FEEDBACK="false",
            )
            async with wire(variables) as host:
                call = host.begin("converse", message="")
                await host.until_state("listening")
                sound_card.say(voice.speak(SHORT), 24_000)
                answer = await host.answer(call)
            # Each may be asked twice: while the user may still go on, and when they are done.
            told = {event.fields["engine"] for event in events(folder) if event.name == "endpoint_failed"}
            assert len(told) == len(BAD) + 2
            assert not answer.failed, answer.text
            if folder == none:
                assert answer.word("outcome") == "not_transcribed"
                kept = decode(await asyncio.to_thread(Path(answer.word("recording")).read_bytes), None)
                assert voice.hear_text(kept.data, kept.format.rate) == SHORT
            else:
                assert answer.word("outcome") == "answered"
                assert answer.word("transcript") == SHORT


@pytest.mark.spec("BAT-13")
async def test_without_devices_every_call_says_what_to_do_at_once(tmp_path: Path) -> None:
    with SpeechServer() as server:
        variables = environment(None, tmp_path, TTS_BASE_URLS=server.base_url, STT_BASE_URLS=server.base_url)
        async with wire(variables) as host:
            listened = await host.call("converse", limit=4.0, message="")
            asked = await host.call("converse", limit=4.0, message="Hello?")
            spoke = await host.call("speak", limit=4.0, message="Hello.")
    assert listened.failed
    assert "microphone" in listened.text
    # What to do depends on where it runs: a machine of one's own, or a container.
    assert "install" in listened.text or "--device" in listened.text
    for each in (asked, spoke):
        assert "loudspeaker" in each.text
        assert each.word("heard") == ""
    assert asked.word("outcome") == "not_played"


@pytest.mark.live
@pytest.mark.spec("BAT-13")
async def test_a_device_that_is_not_there_is_named_with_the_choices(
    sound_card: VirtualSoundCard, tmp_path: Path
) -> None:
    with SpeechServer() as server:
        variables = environment(
            sound_card,
            tmp_path,
            TTS_BASE_URLS=server.base_url,
            OUTPUT_DEVICE="no such speaker",
            INPUT_DEVICE="no such microphone",
        )
        async with wire(variables) as host:
            spoke = await host.call("speak", limit=4.0, message="Hello.", wait="finished")
            listened = await host.call("converse", limit=4.0, message="")
    assert "no such speaker" in spoke.text
    assert "pulse" in spoke.text
    assert spoke.word("heard") == ""
    assert listened.failed
    assert "no such microphone" in listened.text
    assert "pulse" in listened.text


TEXTS = {
    "a\0b\x07c\x1b[31m hello": "hello",
    "\u202eשלום\u202c עולם": "שלום",
    "# Title\n\n**bold** and `code` <b>tag</b> [link](http://x.example/y)": "bold",
    "🎉 done 🎉": "done",
    "e\u0301" * 500: "é",
    "a" * 5_000: "a",
    "x" * LONGEST_MESSAGE_CHARACTERS: "x",
}
SILENT = ["", " \n\t ", "🎉🚀", "\0\1\2", "...", "\u200b\u200d"]


@pytest.mark.spec("BAT-14")
async def test_any_text_is_spoken_sensibly_or_refused_with_the_reason(tmp_path: Path) -> None:
    with SpeechServer() as server:
        variables = environment(None, tmp_path, TTS_BASE_URLS=server.base_url)
        async with wire(variables) as host:
            for text in SILENT:
                said = await host.call("speak", message=text, wait="finished")
                assert said.failed, repr(text)
                assert "nothing to say" in said.text or "empty" in said.text
            long = await host.call("speak", message="word " * 200_000)
            assert long.failed
            assert f"{LONGEST_MESSAGE_CHARACTERS:,}" in long.text
            assert not [request for request in server.requests if request.text]
            for text, word in TEXTS.items():
                said = await host.call("speak", message=text, wait="finished")
                assert not said.failed, said.text
                assert word in said.word("unheard").replace("e\u0301", "é")
        spoken = "".join(request.text for request in server.requests)
    assert all(letter.isprintable() for letter in spoken)
    assert not set("\u202e\u202c*`#<>🎉") & set(spoken)


@pytest.mark.spec("BAT-15")
async def test_arguments_that_make_no_sense_are_refused_with_the_choices_and_without_a_request(
    tmp_path: Path,
) -> None:
    nonsense: list[tuple[str, dict[str, object], str]] = [
        ("speak", {"voice": "aloy"}, "alloy"),
        ("speak", {"voice": "../../etc/passwd\n\0"}, "Choose one of"),
        ("speak", {"voice": {"a": [1]}}, "it must be text"),
        ("speak", {"wait": "never"}, "'started', 'finished' or 'queued'"),
        ("playback", {"action": "explode"}, "'stop' or 'replay'"),
        ("playback", {"handle": "nobody"}, "no call"),
    ]
    wrong = (float("nan"), "nan", float("inf"), "1e400", -1, 0, 10**400, [1], {"a": 1}, "fast")
    nonsense += [("speak", {"speed": each}, "speed") for each in wrong]
    nonsense += [("converse", {"max_listen_seconds": each}, "max_listen_seconds") for each in wrong]
    with SpeechServer() as server:
        variables = environment(None, tmp_path, TTS_BASE_URLS=server.base_url)
        async with wire(variables) as host:
            for tool, arguments, choice in nonsense:
                message = {} if tool == "playback" else {"message": "One."}
                number = host.ask("tools/call", name=tool, arguments={**message, **arguments})
                refused = await host.answer(number)
                assert refused.failed, arguments
                assert choice in refused.text, arguments
            assert set(await host.states()) <= {"failed"}
        assert not [request for request in server.requests if request.text]
