"""What the bench says."""

from __future__ import annotations

TEXTS = {
    "short": "The build is green.",
    "medium": "The tests have passed on all three systems, and the new version is ready to be tried.",
    "long": (
        "I looked at the function that you asked about. It reads the file twice, once for its length and once for its "
        "words. Reading it once would be faster, and it would take four lines less. The server was restarted at noon, "
        "and since then the queue has been empty. Nobody has noticed, because the page shows old numbers until it is "
        "loaded again. Shall I change that now, or would you rather finish the other branch first?"
    ),
}

DICTATED = TEXTS["medium"]
"""What recognisers are given: it has no numbers or names, which each of them writes in its own way."""

WARMING = "Ready."
"""Said before anything is counted: it opens the connection and loads the voice."""


def name_of(text: str) -> str:
    return next((name for name, known in TEXTS.items() if known == text), "yours")
