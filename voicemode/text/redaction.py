"""Secrets are taken out of every text that is kept or shown."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "[secret]"

# Shapes of secrets that people paste where they do not belong: `sk-…` keys of speech services (also as these repeat
# them, with stars inside), the value of an Authorization header or of an API key's field, the user part of a URL.
_SHAPES = re.compile(
    r"\bsk-[\w*.\-]{3,}[\w*\-]"
    r"|(?P<field>\bapi[_-]key(?:=|:\s*))[^\s&]{4,}"
    r"|(?P<bearer>\bbearer\s+)[A-Za-z0-9._~+/=\-]{6,}"
    r"|(?P<scheme>\b[a-z][a-z0-9+.\-]{0,15}://)[^\s/@]+@",
    re.IGNORECASE,
)

SHORTEST_SECRET = 6
"""Characters. A shorter "secret" is an ordinary word; masking it would make texts unreadable."""

SHORTEST_BEGINNING = 4
"""Characters at the end of a cut text that give a secret away."""


def _masked(found: re.Match[str]) -> str:
    if found["scheme"]:
        return f"{found['scheme']}{MASK}@"
    return f"{found['bearer'] or found['field'] or ''}{MASK}"


class Redactor:
    """`redact(text)` masks the secrets given here and everything that has the shape of one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first, so that a secret which contains another one is masked as a whole.
        known = {secret for secret in secrets if len(secret) >= SHORTEST_SECRET}
        self._secrets = sorted(known, key=lambda secret: (-len(secret), secret))

    def redact(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return _SHAPES.sub(_masked, text)

    def redact_cut(self, text: str) -> str:
        """The same for a text that may break off in the middle of a secret: the begun one goes too."""
        text = self.redact(text)
        for secret in self._secrets:
            for size in range(min(len(secret), len(text)), SHORTEST_BEGINNING - 1, -1):
                if text.endswith(secret[:size]):
                    return text[:-size] + MASK
        return text

    def __repr__(self) -> str:
        return f"Redactor({len(self._secrets)} secrets)"
