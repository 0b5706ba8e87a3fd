"""What is secret is masked, whether it is known or only looks like it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicemode.text.redaction import Redactor

KEY = "sk-" + "a1b2c3d4e5f6"


@pytest.mark.spec("CFG-7")
@given(st.text("ABC", min_size=6, max_size=9), st.text("ABC"), st.text("ABC"))
def test_a_known_secret_does_not_pass_the_redactor(secret: str, before: str, after: str) -> None:
    assert secret not in Redactor([secret]).redact(before + secret + after)


@pytest.mark.spec("CFG-7")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"the key is {KEY}.", "the key is [secret]."),
        ("Authorization: Bearer abc.def-123", "Authorization: Bearer [secret]"),
        ("http://me:word@host/v1", "http://[secret]@host/v1"),
        ("ftp://me:word@host/v1", "ftp://[secret]@host/v1"),
        ("not sk-proj-***cdef, try again", "not [secret], try again"),
        ("http://host/v1?api_key=abcd1234&x=1", "http://host/v1?api_key=[secret]&x=1"),
        ("api-key: abcd1234", "api-key: [secret]"),
        ("a task-list for the bearer of news", "a task-list for the bearer of news"),
    ],
)
def test_what_has_the_shape_of_a_secret_is_masked(text: str, shown: str) -> None:
    assert Redactor().redact(text) == shown
