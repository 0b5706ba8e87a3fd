"""The lines about requests, among other messages of the log."""

from __future__ import annotations

import json
import logging

import pytest

from voicemode.speech_server.request_lines import REQUESTS, BareRequests

USUAL = logging.Formatter("%(name)s: %(message)s")


def record(name: str, message: str) -> logging.LogRecord:
    return logging.LogRecord(name, logging.INFO, __file__, 1, "%s", (message,), None)


@pytest.mark.spec("SRV-38")
def test_a_line_about_a_request_is_json_alone_and_other_messages_look_as_before() -> None:
    shown = BareRequests(USUAL)
    assert json.loads(shown.format(record(REQUESTS, '{"event": "speech_served"}'))) == {
        "event": "speech_served"
    }
    assert (
        shown.format(record("voicemode.speech_server.serve", "No voice."))
        == "voicemode.speech_server.serve: No voice."
    )
