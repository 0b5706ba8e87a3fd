"""Configuration: what is read from where, what is refused, and what is never shown."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voicemode.configuration import variables
from voicemode.configuration.config import PARTS, Config, known_names
from voicemode.configuration.settings import SET, Origin, Row, rows
from voicemode.speech import AudioFormat

KEY = "sk-" + "a1b2c3d4e5f6"
ALL_ROWS = [row for part in PARTS for _, row in rows(part)]


def said(config: Config) -> str:
    return "\n".join(str(problem) for problem in config.problems)


@pytest.mark.spec("CFG-1")
def test_the_environment_comes_before_the_project_before_the_user_before_the_default() -> None:
    environment = {"VOICEMODE_TTS_SPEED": "1.1"}
    project = {"VOICEMODE_TTS_SPEED": "1.2", "VOICEMODE_VOICES": "nova"}
    user = {"VOICEMODE_TTS_SPEED": "1.3", "VOICEMODE_VOICES": "echo", "VOICEMODE_SILENCE_THRESHOLD_MS": "700"}
    config = Config.from_sources(environment, project, user)
    assert (config.speech.speed, config.speech.voices) == (1.1, ("nova",))
    assert (config.listening.silence_ms, config.listening.minimum_s) == (700, 0.5)
    sources = {row.name: row.source for row in config.resolved()}
    assert sources["VOICEMODE_TTS_SPEED"] is Origin.ENVIRONMENT
    assert sources["VOICEMODE_VOICES"] is Origin.PROJECT
    assert sources["VOICEMODE_SILENCE_THRESHOLD_MS"] is Origin.USER
    assert sources["VOICEMODE_MIN_RECORDING_DURATION"] is Origin.DEFAULT
    assert config.problems == ()


@pytest.mark.spec("CFG-2")
def test_an_empty_value_counts_as_not_set() -> None:
    config = Config.from_sources({"VOICEMODE_TTS_SPEED": " "}, {}, {"VOICEMODE_TTS_SPEED": "2"})
    assert config.speech.speed == 2.0
    assert config.problems == ()


@pytest.mark.spec("CFG-3")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VOICEMODE_TTS_SPEED", "nan"),
        ("VOICEMODE_TTS_SPEED", "inf"),
        ("VOICEMODE_TTS_SPEED", "4.1"),
        ("VOICEMODE_TTS_SPEED", "fast"),
        ("VOICEMODE_STREAM_BUFFER_MS", "-1"),
        ("VOICEMODE_STREAM_BUFFER_MS", "1.5"),
        ("VOICEMODE_STREAMING_ENABLED", "maybe"),
        ("VOICEMODE_TTS_AUDIO_FORMAT", "midi"),
        ("VOICEMODE_TTS_BASE_URLS", "ftp://host/v1"),
        ("VOICEMODE_TTS_BASE_URLS", "http://user:word@host/v1"),
        ("VOICEMODE_TTS_BASE_URLS", "http://127.0.0.1\\@evil.example/v1"),
        ("VOICEMODE_TTS_BASE_URLS", "http://host:99999/v1"),
        ("VOICEMODE_BASE_DIR", "somewhere/relative"),
        ("VOICEMODE_SERVE_PORT", "65536"),
        ("VOICEMODE_SERVE_HOST", "::1]"),
        ("VOICEMODE_SERVE_HOST", "a b"),
        ("VOICEMODE_CHATTERBOX_DEVICE", "gpu"),
        ("VOICEMODE_CHATTERBOX_DEVICE", "cuda:"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed_and_the_default_is_used(name: str, value: str) -> None:
    config = Config.from_sources({name: value})
    (problem,) = config.problems
    row = next(row for row in ALL_ROWS if row.name == name)
    assert (problem.variable, problem.allowed, problem.source) == (name, row.kind.allowed, Origin.ENVIRONMENT)
    assert row.kind.allowed in problem.says
    assert config.resolved() == [*Config.from_sources({}).resolved()]


@pytest.mark.spec("CFG-3")
@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(known_names()),
        st.text(max_size=40) | st.from_regex(r"(https?://|[~/])?[\[\]:a-z0-9.@?#%\\]{0,20}", fullmatch=True),
    )
)
@example({"VOICEMODE_SERVE_HOST": ":"})
@example({"VOICEMODE_TTS_BASE_URLS": "http://[:/v1"})
def test_no_value_whatever_stops_the_configuration(environment: dict[str, str]) -> None:
    config = Config.from_sources(environment, environment, environment)
    assert len(config.resolved()) == len(ALL_ROWS)
    config.speech_endpoints()
    config.transcription_endpoints()


@pytest.mark.spec("CFG-4")
@pytest.mark.parametrize("row", ALL_ROWS, ids=lambda row: row.name)
def test_every_variable_takes_its_own_default_as_it_is_shown(row: Row) -> None:
    shown = row.shown(row.default)
    if shown:
        assert row.kind.parse(shown) == row.default
    assert row.help.endswith(".")


@pytest.mark.spec("CFG-4")
def test_the_named_variables_have_the_values_that_the_specification_gives() -> None:
    streaming = Config.from_sources({}).streaming
    assert streaming == variables.StreamingSettings(
        enabled=True, buffer_ms=150, chunk_size=4096, max_buffer_s=2.0
    )
    changed = Config.from_sources(
        {
            "VOICEMODE_STREAMING_ENABLED": "off",
            "VOICEMODE_STREAM_BUFFER_MS": "200",
            "VOICEMODE_STREAM_CHUNK_SIZE": "1024",
            "VOICEMODE_STREAM_MAX_BUFFER": "1.5",
            "VOICEMODE_TTS_AUDIO_FORMAT": "OPUS",
        }
    )
    assert changed.streaming == variables.StreamingSettings(
        enabled=False, buffer_ms=200, chunk_size=1024, max_buffer_s=1.5
    )
    assert changed.speech.audio_format is AudioFormat.OPUS


@pytest.mark.spec("CFG-4")
def test_no_variable_stands_twice_in_the_table() -> None:
    names = known_names()
    assert len(names) == len(set(names))
    assert len(fields(Config)) > len(PARTS)


@pytest.mark.spec("CFG-5")
def test_an_unknown_variable_is_answered_with_the_nearest_one() -> None:
    config = Config.from_sources({}, {}, {"VOICEMODE_TTS_SPED": "2", "PATH": "/bin", "VOICEMODE_ZZZZZZ": "1"})
    near, far = config.problems
    assert (near.variable, near.allowed) == ("VOICEMODE_TTS_SPED", "VOICEMODE_TTS_SPEED")
    assert "Did you mean VOICEMODE_TTS_SPEED?" in near.says
    assert "voicemode config" in far.says


@pytest.mark.spec("CFG-6")
def test_voice_modes_other_variables_are_said_once_to_have_no_effect() -> None:
    (problem,) = Config.from_sources(
        {"VOICEMODE_CONCH_ENABLED": "1", "VOICEMODE_PRONOUNCE_MINE": "x"}
    ).problems
    assert "no effect" in problem.says
    assert "VOICEMODE_CONCH_ENABLED, VOICEMODE_PRONOUNCE_MINE" in problem.says


@pytest.mark.spec("CFG-6")
def test_other_names_of_voice_mode_for_the_same_thing_work() -> None:
    config = Config.from_sources({"VOICEMODE_SERVE_TOKEN": "let-me-in", "VOICEMODE_WHISPER_LANGUAGE": "de"})
    assert (config.server.token, config.listening.language, config.problems) == ("let-me-in", "de", ())


@pytest.mark.spec("CFG-7")
def test_a_key_is_never_shown() -> None:
    environment = {
        "OPENAI_API_KEY": KEY,
        "VOICEMODE_HTTP_TOKEN": "correct-horse",
        "VOICEMODE_TTS_SPEED": KEY,
        "VOICEMODE_VOICES": KEY,
    }
    config = Config.from_sources(environment, {"OPENAI_API_KEY": "sk-anotherkey99"}, {})
    everything = f"{config!r}\n{config.resolved()!r}\n{said(config)}\n{config.speech_endpoints()!r}"
    assert "correct-horse" not in everything
    assert "sk-anotherkey99" not in everything
    assert config.endpoints.api_key == KEY
    shown = {row.name: row.value for row in config.resolved()}
    assert shown["OPENAI_API_KEY"] == shown["VOICEMODE_HTTP_TOKEN"] == SET
    assert KEY not in f"{config.resolved()!r}{said(config)}{config.endpoints!r}{config.speech_endpoints()!r}"
    assert set(config.secrets()) == {KEY, "correct-horse"}


@pytest.mark.spec("CFG-8")
@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "VOICEMODE_HTTP_TOKEN",
        "VOICEMODE_SERVE_HOST",
        "VOICEMODE_SERVE_PORT",
        "VOICEMODE_DEBUG",
        "VOICEMODE_BASE_DIR",
        "VOICEMODE_SAVE_AUDIO",
        "VOICEMODE_SAVE_TRANSCRIPTIONS",
        "VOICEMODE_SAVE_ALL",
        "VOICEMODE_RECORDINGS_MAX_DAYS",
        "VOICEMODE_RECORDINGS_MAX_MB",
        "VOICEMODE_EVENT_LOG_ENABLED",
        "VOICEMODE_EVENT_LOG_DIR",
        "VOICEMODE_EVENT_LOG_TEXT",
        "VOICEMODE_EVENT_LOG_MAX_DAYS",
        "VOICEMODE_EVENT_LOG_MAX_MB",
    ],
)
def test_a_project_file_decides_nothing_about_keys_folders_recordings_and_doors(name: str) -> None:
    for value in ("/tmp/elsewhere", "true", "1", "0", "sk-1234567890", "http://127.0.0.1:1/v1"):
        config = Config.from_sources({}, {name: value})
        assert [problem.variable for problem in config.problems] == [name]
        assert config.resolved() == Config.from_sources({}).resolved()


@pytest.mark.spec("CFG-8")
@pytest.mark.parametrize("name", ["VOICEMODE_TTS_BASE_URLS", "VOICEMODE_STT_BASE_URLS"])
def test_a_project_file_may_name_servers_on_this_machine_only_and_they_never_see_the_key(name: str) -> None:
    environment = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    foreign = Config.from_sources(environment, {name: "http://127.0.0.1:1/v1,https://evil.example/v1"})
    assert "loopback" in said(foreign)
    choices = (*foreign.speech_endpoints(), *foreign.transcription_endpoints())
    assert not [each for each in choices if "evil" in each.url]
    own = Config.from_sources(environment, {name: "http://127.0.0.1:9/v1/"})
    chosen = own.speech_endpoints() if "TTS" in name else own.transcription_endpoints()
    assert [(each.url, each.api_key, each.local) for each in chosen] == [
        ("http://127.0.0.1:9/v1", None, True)
    ]


@pytest.mark.spec("CFG-9")
def test_without_addresses_a_local_server_comes_first_and_the_cloud_needs_a_key() -> None:
    assert [each.url for each in Config.from_sources({}).speech_endpoints()] == ["http://127.0.0.1:8880/v1"]
    config = Config.from_sources({"OPENAI_API_KEY": KEY})
    local, cloud = config.speech_endpoints()
    assert (local.url, local.api_key, local.models) == ("http://127.0.0.1:8880/v1", None, ("tts-1",))
    assert (cloud.url, cloud.api_key) == ("https://api.openai.com/v1", KEY)
    ears = config.transcription_endpoints()
    assert [(each.url, each.models) for each in ears] == [
        ("http://127.0.0.1:2022/v1", ("whisper-1",)),
        ("https://api.openai.com/v1", ("gpt-transcribe",)),
    ]
    turned = Config.from_sources({"OPENAI_API_KEY": KEY, "VOICEMODE_PREFER_LOCAL": "no"})
    assert [each.local for each in turned.speech_endpoints()] == [False, True]


@pytest.mark.spec("CFG-9")
def test_a_named_list_is_the_chain_and_the_key_goes_over_https_only() -> None:
    urls = "http://10.0.0.7:8880/v1, https://speech.example/v1"
    config = Config.from_sources(
        {"OPENAI_API_KEY": KEY, "VOICEMODE_TTS_BASE_URLS": urls, "VOICEMODE_TTS_MODELS": "mine"}
    )
    assert [(each.url, each.api_key, each.models) for each in config.speech_endpoints()] == [
        ("http://10.0.0.7:8880/v1", None, ("mine",)),
        ("https://speech.example/v1", KEY, ("mine",)),
    ]


@pytest.mark.spec("CFG-10")
def test_values_that_do_not_agree_are_said_and_made_to_agree() -> None:
    config = Config.from_sources({"VOICEMODE_STREAM_BUFFER_MS": "3000", "VOICEMODE_SERVE_HOST": "0.0.0.0"})
    assert (config.streaming.buffer_ms, config.server.host) == (2000, "127.0.0.1")
    assert len(config.problems) == 2
    opened = Config.from_sources({"VOICEMODE_SERVE_HOST": "::", "VOICEMODE_HTTP_TOKEN": "token-token"})
    assert (opened.server.host, opened.problems) == ("::", ())
    assert Config.from_sources({"VOICEMODE_SERVE_HOST": "::1"}).problems == ()


@pytest.mark.spec("CFG-11")
@pytest.mark.parametrize("name", ["VOICEMODE_SAVE_ALL", "VOICEMODE_DEBUG"])
def test_save_all_and_debug_keep_recordings_and_transcripts(name: str) -> None:
    nothing, everything = Config.from_sources({}), Config.from_sources({name: "true"})
    assert not nothing.keeps_audio
    assert not nothing.keeps_transcripts
    assert everything.keeps_audio
    assert everything.keeps_transcripts
    assert not Config.from_sources({"VOICEMODE_SAVE_TRANSCRIPTIONS": "1"}).keeps_audio


@pytest.mark.spec("CFG-11")
@pytest.mark.parametrize(("word", "level"), [("yes", "true"), ("0", "false"), ("TRACE", "trace")])
def test_debug_takes_the_words_of_every_switch_and_trace(word: str, level: str) -> None:
    config = Config.from_sources({"VOICEMODE_DEBUG": word})
    assert (config.log.debug, config.problems) == (level, ())


@pytest.mark.spec("TOOL-20")
@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("60000", 55.0),
        ("600000", 595.0),
        ("100000000", 86_400.0),
        ("4000", 2.0),
        ("0", 55.0),
        ("-1", 55.0),
        ("soon", 55.0),
        ("", 55.0),
    ],
)
def test_a_call_is_pending_before_the_limit_that_the_client_tells(told: str, seconds: float) -> None:
    config = Config.from_sources({"MCP_TOOL_TIMEOUT": told})
    assert config.server.client_limit_s == seconds
    assert config.problems == ()


@pytest.mark.spec("TOOL-20")
def test_the_users_own_limit_comes_before_what_the_client_tells() -> None:
    told = {"MCP_TOOL_TIMEOUT": "600000"}
    assert Config.from_sources(told, {}, {"VOICEMODE_CLIENT_LIMIT_S": "0"}).server.client_limit_s == 0
    assert Config.from_sources({**told, "VOICEMODE_CLIENT_LIMIT_S": "7"}).server.client_limit_s == 7
