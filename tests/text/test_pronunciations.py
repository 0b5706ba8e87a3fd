"""A person's own pronunciations: read from small files, applied to whole words, never slow and never in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.laws import run
from voicemode.machine.pronunciation_files import (
    MOST_BYTES,
    PROJECT_FILE,
    USER_FILE,
    PronunciationFiles,
    splitters,
)
from voicemode.speech import SpeechRequest
from voicemode.text.pronunciations import MOST_ENTRIES, NONE, Pronunciations, parse

WORDS = Pronunciations(
    {
        "kubectl": "cube control",
        "nginx": "engine x",
        "IT": "eye tee",
        "SQL": "sequel",
        "sql": "ess cue ell",
        "pull request": "P R",
        "C++": "C plus plus",
        ".env": "the env file",
        "東京": "とうきょう",
    }
)


@pytest.mark.spec("SPK-48")
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("kubectl, Kubectl and KUBECTL.", "cube control, cube control and cube control."),
        ("kubectls and mykubectl and kubectl2", "kubectls and mykubectl and kubectl2"),
        ("kubectl's (nginx)", "cube control's (engine x)"),
        ("IT is it", "eye tee is it"),
        ("SQL and sql and Sql", "sequel and ess cue ell and ess cue ell"),
        ("a Pull Request", "a P R"),
        ("C++ and .env", "C plus plus and the env file"),
        ("東京都", "とうきょう都"),
        ("nothing here", "nothing here"),
        ("", ""),
    ],
)
def test_whole_words_are_said_as_written_in_the_file(written: str, said: str) -> None:
    assert WORDS.apply(written) == said


@pytest.mark.spec("SPK-48")
def test_the_longest_word_that_fits_is_taken_and_what_is_said_is_not_looked_up_again() -> None:
    words = Pronunciations({"git": "gitt", "git hub": "hub of git", "hub": "hubb"})
    assert words.apply("git hub and git and hub") == "hub of git and gitt and hubb"


@pytest.mark.spec("SPK-48")
def test_of_two_files_the_nearer_one_says_how() -> None:
    both = Pronunciations({"a": "mine"}).over(Pronunciations({"a": "theirs", "b": "bee"}))
    assert both.apply("a b") == "mine bee"
    assert bool(both)
    assert not NONE


@pytest.mark.spec("SPK-49")
def test_a_file_is_lines_of_written_and_said() -> None:
    words, bad = parse(
        "\ufeff# names\n\nkubectl = cube control   # as we say it\nC# = see sharp\n  nginx=engine   x\n"
    )
    assert dict(words.said) == {"kubectl": "cube control", "C#": "see sharp", "nginx": "engine x"}
    assert bad == []


@pytest.mark.spec("SPK-49")
@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("kubectl", "is not `written = said`"),
        ("= cube", "has nothing before the ="),
        ("kubectl = ", "has no word after the ="),
        ("kubectl = !!!", "has no word after the ="),
        (f"{'a' * 101} = a", "has more than 100 characters before the ="),
        (f"a = {'a' * 201}", "has more than 200 characters after the ="),
        ("a = b\x1b[2J", "has a character that cannot be shown"),
    ],
)
def test_a_line_that_is_none_is_named_and_skipped(line: str, why: str) -> None:
    words, bad = parse(f"one = two\n{line}\nthree = four")
    assert dict(words.said) == {"one": "two", "three": "four"}
    assert [(each.number, each.says) for each in bad] == [(2, why)]


@pytest.mark.spec("SPK-49")
def test_a_file_has_an_end() -> None:
    words, bad = parse("\n".join(f"word{number} = said" for number in range(MOST_ENTRIES + 10)))
    assert len(words.said) == MOST_ENTRIES
    assert len(bad) == 1


@pytest.mark.spec("SPK-49")
@settings(max_examples=200, deadline=None, database=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_no_file_and_no_text_can_break_it(file: str, text: str) -> None:
    words, _ = parse(file)
    assert parse("\n".join(f"{written} = {said}" for written, said in words.said.items()))[0] == words
    found = list(words.found(text))
    assert all(0 <= start < end <= len(text) for start, end, _ in found)
    assert words.apply(text) == text or found


@pytest.mark.spec("SPK-29")
@pytest.mark.timeout(20)
def test_a_large_file_does_not_make_reading_slow() -> None:
    words = Pronunciations({f"word{number}": "said" for number in range(MOST_ENTRIES)})
    assert words.apply("word1 and word4999 " * 5_000).count("said") == 10_000


class Problems(list[str]):
    def __call__(self, what: str) -> None:
        self.append(what)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    below = tmp_path / "project" / "src" / "deep"
    below.mkdir(parents=True)
    return tmp_path / "project"


def files(project: Path, user: Path, problems: Problems) -> PronunciationFiles:
    return PronunciationFiles(project / "src" / "deep", user, on_problem=problems)


@pytest.mark.spec("SPK-49")
def test_the_project_file_is_found_by_walking_up_and_the_users_own_wins(
    project: Path, tmp_path: Path
) -> None:
    (project / PROJECT_FILE).write_text("nginx = project\nkubectl = project\n", encoding="utf-8")
    (tmp_path / PROJECT_FILE).write_text("other = farther away\n", encoding="utf-8")
    (tmp_path / USER_FILE).write_text("kubectl = mine\n", encoding="utf-8")
    problems = Problems()
    assert files(project, tmp_path, problems)().apply("nginx kubectl other") == "project mine other"
    assert problems == []


@pytest.mark.spec("SPK-49")
def test_a_changed_file_is_heard_in_the_next_message(project: Path, tmp_path: Path) -> None:
    current = files(project, tmp_path, Problems())
    assert current() is NONE
    (project / PROJECT_FILE).write_text("nginx = engine x\n", encoding="utf-8")
    assert current().apply("nginx") == "engine x"
    assert current() is current()
    (project / PROJECT_FILE).unlink()
    assert current().apply("nginx") == "nginx"


@pytest.mark.spec("SPK-49")
def test_what_is_wrong_with_a_file_is_told_once_and_stops_nothing(project: Path, tmp_path: Path) -> None:
    problems = Problems()
    current = files(project, tmp_path, problems)
    (project / PROJECT_FILE).write_text("nonsense\nnginx = engine x\n", encoding="utf-8")
    assert current().apply("nginx") == "engine x"
    assert current().apply("nginx") == "engine x"
    assert problems == [f"{project / PROJECT_FILE}: line 1 is not `written = said`; it is skipped."]


@pytest.mark.spec("SPK-49")
def test_a_file_that_is_none_is_not_used(project: Path, tmp_path: Path) -> None:
    problems = Problems()
    current = files(project, tmp_path, problems)
    (project / PROJECT_FILE).mkdir()
    assert current() is NONE
    (tmp_path / USER_FILE).write_bytes(b"a" * (MOST_BYTES + 1))
    assert not current()
    assert [f"larger than {MOST_BYTES:,} bytes" in each for each in problems] == [True]


@pytest.mark.spec("SPK-49")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_a_named_pipe_is_not_waited_for(project: Path, tmp_path: Path) -> None:
    os.mkfifo(project / PROJECT_FILE)
    assert files(project, tmp_path, Problems())() is NONE


@pytest.mark.spec("SPK-45", "SPK-48", "SPK-50")
def test_each_request_is_read_in_its_language_with_the_words_of_the_files(
    project: Path, tmp_path: Path
) -> None:
    (project / PROJECT_FILE).write_text("nginx = engine x\n", encoding="utf-8")
    read = splitters(project, tmp_path)
    plain = splitters(project, tmp_path, markdown=False)
    text = "**nginx** v2.3"
    assert run(read(SpeechRequest(text="")), [text]) == ["engine x version 2 point 3."]
    assert run(read(SpeechRequest(text="", language="de")), [text]) == ["engine x v2.3."]
    assert run(read(SpeechRequest(text="", voice="de")), [text]) == ["engine x v2.3."]
    assert run(plain(SpeechRequest(text="")), [text]) == ["**engine x** v2.3."]
