"""What people write for a language, and what recognisers are told."""

from __future__ import annotations

import pytest

from voicemode.text.languages import NAMES, english_name, tag


@pytest.mark.spec("LSN-90")
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("de", "de"),
        ("de-AT", "de-AT"),
        ("de_AT", "de-AT"),
        ("de_AT.UTF-8", "de-AT"),
        ("German", "de"),
        (" english ", "en"),
        ("Norwegian", "no"),
        ("Hebrew", "he"),
        ("Klingon", "Klingon"),
        ("auto", None),
        ("Auto", None),
        ("", None),
        (None, None),
    ],
)
def test_a_language_is_a_tag_a_locales_name_or_an_english_name(
    written: str | None, meant: str | None
) -> None:
    assert tag(written) == meant


@pytest.mark.spec("LSN-90")
def test_every_name_leads_to_a_tag_of_that_name() -> None:
    for name in NAMES.values():
        found = tag(name.title())
        assert found is not None
        assert english_name(found) == name
