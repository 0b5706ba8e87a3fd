"""The page as one file: what is in it, what is not, and that it says so."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.review.material import archive, record, write
from tests.support.many_turns import write as write_many
from tests.turn_story.test_turn_story import GOOD
from voicemode.events import Transcribed
from voicemode.pcm import LISTENING
from voicemode.review.one_file import Caps, one_file

SECOND = LISTENING.silence(LISTENING.rate)
WAV_BYTES = 44 + len(SECOND)


def data_of(html: str) -> dict[str, Any]:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    return dict(json.loads(found))


@pytest.mark.spec("REV-14")
def test_turns_days_and_sounds_are_in_it(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    record(tmp_path, kind="tts", turn="t1", data=SECOND, at=100.3)
    made = one_file(archive(tmp_path))
    assert (made.turns, made.sounds, made.left_out) == (1, 1, "")
    data = data_of(made.html)
    assert [row["id"] for row in data["rows"]] == ["t1"]
    assert [day["turns"] for day in data["days"]] == [1]
    (name, held) = re.findall(r'<script type="text/plain" data-sound="(.*?)">(.*?)</script>', made.html)[0]
    assert name == "t1/0"
    (kept,) = (tmp_path / "recordings").rglob("*.wav")
    assert base64.b64decode(held) == kept.read_bytes()


@pytest.mark.spec("REV-14")
def test_beyond_the_caps_the_oldest_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    write_many(tmp_path, 8, days=2)
    reader = archive(tmp_path)
    newest = [row.id for row in reader.rows(0, 10)[0]]
    for number, turn in enumerate(newest):
        record(tmp_path, kind="tts", turn=turn, data=SECOND, at=100.0 + number)
    made = one_file(reader, caps=Caps(turns=6, sound_bytes=2 * WAV_BYTES))
    assert [row["id"] for row in data_of(made.html)["rows"]] == newest[:6]
    assert re.findall(r'<script type="text/plain" data-sound="(.*?)"', made.html) == [
        f"{newest[0]}/0",
        f"{newest[1]}/0",
    ]
    assert made.left_out.startswith("2 older turns are not in this file; 4 sounds are not in this file")
    assert data_of(made.html)["left_out"] == made.left_out


@pytest.mark.spec("REV-9", "REV-14")
def test_its_policy_allows_its_own_script_and_style_and_nothing_else(tmp_path: Path) -> None:
    html = one_file(archive(tmp_path)).html
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', html)
    for element, directive in (("script", "script-src"), ("style", "style-src")):
        (own,) = re.findall(rf"<{element}>(.*?)</{element}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "connect-src" not in policy
    assert not re.findall(r'(?:src|href)="(?!data:)', html)


@pytest.mark.spec("REV-9")
def test_words_from_the_room_cannot_end_the_script_that_holds_them(tmp_path: Path) -> None:
    said = "</script><script>alert(1)</script><!--\u2028"
    turn = '"><script>alert(2)</script>'
    seen = [replace(event, text=said) if isinstance(event, Transcribed) else event for event in GOOD]
    write(tmp_path, [replace(event, turn=turn) for event in seen])
    record(tmp_path, kind="tts", turn=turn, data=SECOND, at=100.3)
    html = one_file(archive(tmp_path)).html
    assert "alert(1)</script>" not in html
    assert "<script>alert(2)" not in html
    assert [row["words"] for row in data_of(html)["rows"]] == [said]
