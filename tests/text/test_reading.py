"""Names, numbers and signs of a text are said as a person reads them aloud."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.laws import cut, run
from voicemode.text.pieces import Splitter, split
from voicemode.text.pronunciations import Pronunciations
from voicemode.text.reading import Reading, language_of

ENGLISH = Reading()


@pytest.mark.spec("SPK-38")
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("src/app/main.py", "src slash app slash main dot py"),
        ("/etc/hosts", "slash etc slash hosts"),
        ("~/.bashrc", "tilde slash dot bashrc"),
        ("../lib/foo_bar.ts", "dot dot slash lib slash foo bar dot T S"),
        ("docs/", "docs slash"),
        ("C:\\x.txt", "C backslash x dot text"),
        ("/home/ann/projects/voice/codecs/flac.py", "codecs slash flac dot py"),
        ("read/write/execute/list/delete", "read slash write slash execute slash list slash delete"),
        ("src/**/*.ts", "src slash star star slash star dot T S"),
        ("foo.py:42", "foo dot py line 42"),
        ("foo.py:42:7", "foo dot py line 42"),
        ("a/foo.py#L7", "a slash foo dot py line 7"),
        ("foo.py:42-57", "foo dot py lines 42 to 57"),
        ("a/foo.py#L7-L9", "a slash foo dot py lines 7 to 9"),
        ("README.md", "README dot M D"),
        (".env", "dot env"),
        ("Node.js", "Node dot J S"),
        ("package.json", "package dot json"),
        ("python3.11", "python3.11"),
        ("os.path", "os dot path"),
        ("@types/node", "at types slash node"),
        ("and/or", "and/or"),
        ("TCP/IP", "TCP/IP"),
        ("HTTP/2", "HTTP/2"),
        ("24/7", "24/7"),
        ("git@github.com:ann/some_repo.git", "git at github dot com ann slash some repo dot git"),
        ("obj.method(x).other()", "obj dot method(x) dot other"),
        ("3/4/2026", "3/4/2026"),
    ],
)
def test_paths_and_file_names_are_said_with_their_marks(written: str, said: str) -> None:
    assert ENGLISH.words(written) == said


@pytest.mark.spec("SPK-39")
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("v2.3", "version 2 point 3"),
        ("v1.2.3", "version 1 point 2 point 3"),
        ("version v2.0.0", "version 2 point 0 point 0"),
        ("2.0.0-rc.1", "2 point 0 point 0 rc 1"),
        ("1.2.x", "1 point 2 point x"),
        ("python>=3.11", "python at least 3.11"),
        (">=1.0,<2.0", "at least 1.0, less than 2.0"),
        ("3.14", "3.14"),
        ("--dry-run", "dash dash dry run"),
        ("--max-time=5", "dash dash max time equals 5"),
        ("-rf", "dash r f"),
        ("-Wall", "dash Wall"),
        ("chmod +x", "chmod plus x"),
        ("-5", "minus 5"),
        ("a1b2c3d", "A 1 B 2 C 3 D"),
        ("3f2a9c1d4e5b6a7c8d9e0f1a2b3c4d5e6f708192", "3 F 2 A 9 C 1"),
        ("550e8400-e29b-41d4-a716-446655440000", "UUID 5 5 0 E 8 4 0"),
        ("0xDEADBEEF", "hex D E A D B E E F"),
        ("facade", "facade"),
        ("effaced", "effaced"),
        ("decade10", "decade10"),
        ("1234567", "1234567"),
        ("#123", "number 123"),
        ("issue #123", "issue 123"),
        ("PR #4", "PR 4"),
        ("owner/repo#12", "owner/repo number 12"),
        ("sha256:" + 8 * "3f2a9c1d", "sha256 3 F 2 A 9 C 1"),
        ("a/b@sha256:" + 8 * "3f2a9c1d", "a/b at sha256 3 F 2 A 9 C 1"),
        (16 * "3f2a9c1d", "3 F 2 A 9 C 1"),
        ("83db48f..bf269f4", "8 3 D B 4 8 F to B F 2 6 9 F 4"),
        ("v1.2.2...v1.2.3", "version 1 point 2 point 2 to version 1 point 2 point 3"),
        ("Wait...what", "Wait...what"),
        ("f(*args, **kwargs)", "f(star args, star star kwargs)"),
        ("C# and F# and C++", "C sharp and F sharp and C plus plus"),
    ],
)
def test_versions_flags_hashes_and_numbers_are_said(written: str, said: str) -> None:
    assert ENGLISH.words(written) == said


@pytest.mark.spec("SPK-40")
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("getUserName()", "get User Name"),
        ("parseJSON", "parse JSON"),
        ("HTTPServer", "HTTP Server"),
        ("snake_case", "snake case"),
        ("__init__", "dunder init"),
        ("_private", "private"),
        ("MAX_RETRIES", "MAX retries"),
        ("VOICEMODE_TTS_SPEED", "voicemode TTS speed"),
        ("macOS", "mac OS"),
        ("user's", "user's"),
        ("$HOME", "HOME"),
        ("${HOME}", "HOME"),
    ],
)
def test_identifiers_become_words(written: str, said: str) -> None:
    assert ENGLISH.words(written) == said


@pytest.mark.spec("SPK-40")
@pytest.mark.parametrize(
    "word",
    [
        "GitHub",
        "JavaScript",
        "IDs",
        "URLs",
        "PhDs",
        "iPhone",
        "eBay",
        "McDonald",
        "MacBook",
        "JSON",
        "Ärger",
        "naïve",
    ],
)
def test_words_with_capitals_of_their_own_stay(word: str) -> None:
    assert ENGLISH.words(word) == word


@pytest.mark.spec("SPK-41")
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("ann.lee@example.com", "ann dot lee at example dot com"),
        ("https://example.com/docs?x=1", "example dot com"),
        ("www.example.com/a?x=1&y=2", "example dot com"),
        ("ftp://files.example.com/a.txt", "files dot example dot com"),
        ("ssh://git@example.com/a/b", "example dot com"),
        ("<mailto:ann@example.com>", "ann at example dot com"),
        ("file:///etc/hosts", "slash etc slash hosts"),
        ("`http://127.0.0.1:8880/v1/audio`", "127 dot 0 dot 0 dot 1 port 8880"),
        ("http://localhost:8080/a", "localhost port 8080"),
        ("s3://bucket/key", "bucket"),
        ("postgresql://ann:secret@db.example.com:5432/app", "db dot example dot com port 5432"),
        ("127.0.0.1:8080", "127 dot 0 dot 0 dot 1 port 8080"),
        ("10.0.0.0/8", "10 dot 0 dot 0 dot 0 slash 8"),
        ("example.com:443", "example dot com port 443"),
        ("@ann", "at ann"),
        ("10:30", "10:30"),
    ],
)
def test_addresses_are_said(written: str, said: str) -> None:
    assert ENGLISH.line(written, at_start=True) == said


@pytest.mark.spec("SPK-42")
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("5ms", "5 milliseconds"),
        ("1 ms", "1 millisecond"),
        ("0.5 s", "0.5 seconds"),
        ("16 GB", "16 gigabytes"),
        ("44.1 kHz", "44.1 kilohertz"),
        ("5 MB/s", "5 megabytes per second"),
        ("20 °C", "20 degrees Celsius"),
        ("10%", "10 percent"),
        ("5-10 ms", "5 to 10 milliseconds"),
        ("2–3 days", "2 to 3 days"),
        ("lines 42-57 and 3-5 files", "lines 42 to 57 and 3 to 5 files"),
        ("a score of 3-2 in 2026-11, call 555-1234", "a score of 3-2 in 2026-11, call 555-1234"),
        ("3-4x faster", "3 to 4 times faster"),
        (
            "1m23s, 2h 5m and 1h30m15s",
            "1 minute 23 seconds, 2 hours 5 minutes and 1 hour 30 minutes 15 seconds",
        ),
        ("+3.9pp", "+3.9pp"),
        ("+1-555-123-4567", "+1-555-123-4567"),
        ("50%-75% and 1 s – 2min", "50 to 75 percent and 1 second to 2 minutes"),
        ("3x faster", "3 times faster"),
        ("1920x1080", "1920 by 1080"),
        ("1_000_000", "1,000,000"),
        ("2026-11-05", "November 5, 2026"),
        ("2026-11-05T10:30:00Z", "November 5, 2026 at 10:30 UTC"),
        ("the 90s and 1990s", "the 90s and 1990s"),
        ("'90s", "'90s"),
        ("max. 5, min. 3", "max. 5, min. 3"),
        ("-5°C and (-3 ms)", "minus 5 degrees Celsius and (minus 3 milliseconds)"),
        (".5 and 0.5", "point 5 and 0.5"),
        ("log-2026-11-05", "log-2026-11-05"),
        ("5G and 3D", "5G and 3D"),
        ("$3.50", "$3.50"),
        ("Section 5.2", "Section 5.2"),
        ("am 5.11.2026", "am 5.11.2026"),
        ("+120/-45 lines", "plus 120, minus 45 lines"),
        ("$5/month", "$5 per month"),
    ],
)
def test_numbers_are_said_with_their_units(written: str, said: str) -> None:
    assert ENGLISH.words(written) == said


@pytest.mark.spec("SPK-55")
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("½", "one half"),
        ("¼ cup", "one quarter cup"),
        ("2½ cups", "2 and one half cups"),
        ("⅞ inch", "seven eighths inch"),
        ("x² + y³", "x squared plus y cubed"),
        ("5 m²", "5 m squared"),
        ("x²y", "x squared y"),
        ("10⁶ and 10⁻³", "10 to the power of 6 and 10 to the power of minus 3"),
        ("²", "2"),
        ("①First", "1 First"),
        ("②③", "2 3"),
        ("Chapter Ⅳ", "Chapter 4"),
        ("H₂O", "H 2 O"),
    ],
)
def test_numbers_in_one_character_are_said(written: str, said: str) -> None:
    assert ENGLISH.words(written) == said


@pytest.mark.spec("SPK-43")
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("A → B", "A to B"),
        ("a -> b", "a to b"),
        ("a != b", "a is not b"),
        ("n >= 5", "n at least 5"),
        ("x == 3", "x equals 3"),
        ("x=3", "x equals 3"),
        ("x += 1", "x plus equals 1"),
        ("a && b || c", "a and b or c"),
        ("2 + 2 = 4", "2 plus 2 equals 4"),
        ("2**10", "2 to the power of 10"),
        ("x**-2", "x to the power of minus 2"),
        ("2 * 3 and width * height", "2 times 3 and width times height"),
        ("SELECT * FROM t", "SELECT star FROM t"),
        ("import * as x", "import star as x"),
        ("from x import *", "from x import star"),
        ("x < 5 and y > 6", "x less than 5 and y greater than 6"),
        ("<10 ms", "less than 10 milliseconds"),
        ("~5", "about 5"),
        ("10 - 3", "10 minus 3"),
        ("Build - green -- really", "Build, green, really"),
        ("2^10", "2 to the power of 10"),
        ("HEAD~3", "HEAD tilde 3"),
        ("w/ tests, w/o docs", "with tests, without docs"),
        ("↓ 13.5× and ↑ 3", "down 13.5 times and up 3"),
        ("std::vector", "std vector"),
        ("ls | grep x", "ls pipe grep x"),
        ("Ctrl+C and Cmd+Shift+P", "Control C and Command Shift P"),
        ("AT&T and R&D", "AT&T and R&D"),
        ("well-known", "well-known"),
        ("Vec<u8>", "Vec<u8>"),
    ],
)
def test_arrows_and_operators_become_words(written: str, said: str) -> None:
    assert ENGLISH.words(written) == said


@pytest.mark.spec("SPK-44")
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("✅ Tests pass", "check, Tests pass"),
        ("❌ Lint fails", "cross, Lint fails"),
        ("⚠️ Warning: slow", "Warning: slow"),
        ("| lint | ✅ |", "lint, check"),
        ("🟢🟢 up", "green, up"),
        ("Great 🎉 work 🚀", "Great work"),
        (":white_check_mark: Tests pass :tada:", "check, Tests pass"),
        ("Key:x:y and :ref: stay", "Key:x:y and :ref: stay"),
    ],
)
def test_signs_are_said_and_decoration_is_not(written: str, said: str) -> None:
    assert ENGLISH.line(written, at_start=True) == said


@pytest.mark.spec("SPK-45")
@pytest.mark.parametrize(
    ("language", "written", "said"),
    [
        ("de", "Siehe src/app.py und v2.3 → 5 ms", "Siehe src/app.py und v2.3 → 5 ms"),
        ("de-AT", "Nimm getUserName und snake_case", "Nimm get User Name und snake case"),
        ("fr", "✅ Commit a1b2c3d4e5", "Commit A 1 B 2 C 3 D"),
        ("en-GB", "v2.3", "version 2 point 3"),
        (None, "v2.3", "version 2 point 3"),
        (None, "更新到 v2.3 → 完成", "更新到 v2.3 → 完成"),
        (None, "Файл src/app.py готов", "Файл src/app.py готов"),
    ],
)
def test_english_words_are_said_in_english_text_alone(language: str | None, written: str, said: str) -> None:
    assert Reading(language=language).line(written, at_start=True) == said


@pytest.mark.spec("SPK-45")
@pytest.mark.parametrize(
    ("voice", "language"),
    [
        ("de", "de"),
        ("en-us", "en"),
        ("en-us+f2", "en"),
        ("af_sky", "en"),
        ("jf_alpha", "ja"),
        ("alloy", None),
        ("ash", None),
        ("", None),
        (None, None),
    ],
)
def test_a_voice_may_tell_its_language(voice: str | None, language: str | None) -> None:
    assert language_of(voice) == language
    assert Reading().of(None, voice).language == language
    assert Reading().of("it", voice).language == "it"


@pytest.mark.spec("SPK-46")
@pytest.mark.parametrize(
    ("language", "info", "said"),
    [
        (None, "", "There is a code block."),
        (None, "py", "There is a code block in Python."),
        (None, ' TypeScript title="a.ts"', "There is a code block in TypeScript."),
        (None, "{.rust .numbers}", "There is a code block."),
        (None, "diff", "There is a diff."),
        (None, "no-such-language", "There is a code block."),
        ("de-DE", "py", "Hier steht ein Codeblock."),
        ("xx", "py", "There is a code block."),
    ],
)
def test_a_block_of_code_is_announced_in_the_language_of_the_text(
    language: str | None, info: str, said: str
) -> None:
    assert Reading(language=language).announcement(info) == said


@pytest.mark.spec("SPK-31")
@pytest.mark.parametrize(
    "prose",
    [
        "Nothing here is technical, and nothing of it changes.",
        "It's the user's choice; isn't it? (Yes: it is.)",
        "Well-known words, “quoted” ones and a dash — all stay.",
        "Das ist schön, nicht wahr?",
        "At 10:30 we met 12 people in 2026.",
    ],
)
def test_prose_is_left_alone(prose: str) -> None:
    assert ENGLISH.words(prose) == prose


NAME = st.text("bcgmrtw", min_size=2, max_size=5)
WRITTEN = st.one_of(
    st.lists(NAME, min_size=2, max_size=4).map("_".join),
    st.lists(NAME, min_size=3, max_size=4).map("/".join),
    st.lists(NAME, min_size=2, max_size=3).map("-".join).map("--{}".format),
    st.lists(NAME, min_size=2, max_size=3).map(
        lambda names: names[0] + "".join(map(str.capitalize, names[1:]))
    ),
    st.tuples(NAME, NAME).map(" → ".join),
    st.tuples(NAME, NAME).map("=".join),
    st.tuples(NAME, NAME).map("@{0[0]}/{0[1]}.py".format),
    st.tuples(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99)).map("v{0[0]}.{0[1]}.{0[2]}".format),
    st.integers(2, 999).map("{} ms".format),
    st.integers(2, 999).map("#{}".format),
    NAME,
)
OWN_WORDS = set("slash dash dot at to equals point version number milliseconds py ms v".split())  # noqa: SIM905


def own_words(text: str) -> list[str]:
    """Names and numbers of a text, in order, without the words that reading adds or replaces."""
    divided = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=\bv)(?=\d)", " ", text)
    return [word for word in re.findall(r"[a-z]+|\d+", divided.lower()) if word not in OWN_WORDS]


@pytest.mark.spec("SPK-47")
@settings(max_examples=300, deadline=None, database=None)
@given(st.lists(WRITTEN, max_size=12).map(" and ".join), st.lists(st.integers(0, 200), max_size=4))
def test_reading_loses_doubles_and_moves_no_name_however_the_text_arrives(
    text: str, places: list[int]
) -> None:
    pieces = run(Splitter(), cut(text, (min(place, len(text)) for place in places)))
    assert pieces == split(text)
    assert own_words(" ".join(pieces)) == own_words(text)


@pytest.mark.spec("SPK-47")
@settings(max_examples=200, deadline=None, database=None)
@given(st.text(st.sampled_from("aB1 ._-/\\:#@=<>|&+*~$%→✅°,()[]{}'\"x0vé你"), max_size=60))
def test_anything_is_read_to_something_clean(text: str) -> None:
    said = ENGLISH.words(text)
    assert all(character.isprintable() for character in said)
    assert any(map(str.isalnum, said)) or not any(map(str.isalnum, text))


@pytest.mark.spec("SPK-3", "SPK-47")
def test_text_that_is_still_being_written_is_read_sentence_by_sentence() -> None:
    splitter = Splitter()
    spoken: list[str] = []
    for part in ["Opened `src/", "main.py` at v1", ".2. Now ", "run `--dry", "-run`."]:
        spoken.append(" | ".join(splitter.feed(part)))
    assert spoken == ["", "", "Opened src slash main dot py at version 1 point 2.", "", ""]
    assert splitter.flush() == ["Now run dash dash dry run."]


@pytest.mark.spec("SPK-29")
@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "part",
    [
        "a/b/",
        "a.b",
        "--a",
        "a_B",
        "aB",
        "1.",
        "1-",
        "v1.",
        "#1",
        "a=",
        "a->",
        "1 - ",
        "✅",
        "a@b.",
        "C:\\a\\",
        "5 ms ",
        "f0",
    ],
)
def test_long_lines_of_names_take_time_in_proportion(part: str) -> None:
    """What is quadratic takes minutes here and meets the limit."""
    assert split((part * 100_000)[:100_000])


@pytest.mark.spec("SPK-48")
def test_a_pronunciation_is_said_as_it_stands_before_and_after_names_are_read() -> None:
    reading = Reading(
        pronunciations=Pronunciations({"kubectl": "cube control", "v2.3": "two three", "app.py": "the app"})
    )
    assert reading.words("kubectl v2.3") == "cube control two three"
    assert reading.words("run kubectl_apply") == "run cube control apply"
    assert reading.words("see src/app.py now") == "see src slash the app now"
    assert reading.line("**kubectl**'s", at_start=True) == "cube control's"
    plain = Reading(markdown=False, pronunciations=Pronunciations({"SQL": "sequel"}))
    assert plain.line("**SQL** v1.2.3", at_start=True) == "**sequel** v1.2.3"
