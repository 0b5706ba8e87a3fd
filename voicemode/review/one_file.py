"""The page as one file that opens anywhere: its scripts, its style, the turns, and as much of their sound as fits."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, dataclass
from html import escape
from itertools import islice

from voicemode.recording.sound_files import KeptSound, sound_bytes
from voicemode.review.archive import Archive, has_sound, row_of, whole
from voicemode.review.page_files import PAGE, SCRIPTS, STYLES, page_file

MOST_TURNS = 1_000
"""The newest. A browser opens the file of so many in under two seconds."""
MOST_SOUND_BYTES = 20_000_000
"""Of the newest turns that have any: seven minutes at 24 kHz, and 27 MB in the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """What became of it; `left_out` is a sentence, "" where nothing was."""

    html: str
    turns: int
    sounds: int
    left_out: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Caps:
    turns: int = MOST_TURNS
    sound_bytes: int = MOST_SOUND_BYTES


CAPS = Caps()


def one_file(archive: Archive, *, caps: Caps = CAPS) -> Made:
    """Raises OSError."""
    names = archive.sounds.turns()
    rows, full, sounds = [], {}, {}
    left, room = 0, caps.sound_bytes
    for turn in islice(archive.named(""), caps.turns):
        row = row_of(turn)
        has = has_sound(row, names)
        kept = archive.sounds.of(turn.id) if has else []
        rows.append({**asdict(row), "sound": has})
        full[turn.id] = whole(turn, kept)
        for number, sound in enumerate(kept):
            if sound.bytes > room:
                left += 1
                continue
            room -= sound.bytes
            sounds[f"{turn.id}/{number}"] = _base64(sound)
    notes = []
    older = archive.count() - len(rows)
    if older > 0:
        notes.append(f"{_counted(older, 'older turn')} not in this file")
    if left:
        notes.append(
            f"{_counted(left, 'sound')} not in this file, which holds {caps.sound_bytes / 1e6:.0f} MB of the newest"
        )
    left_out = f"{'; '.join(notes)}." if notes else ""
    data = {
        "rows": rows,
        "turns": full,
        "days": archive.trends(),
        "left_out": left_out,
    }
    return Made(html=_page(data, sounds), turns=len(rows), sounds=len(sounds), left_out=left_out)


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}s are" if number != 1 else f"1 {what} is"


def _base64(sound: KeptSound) -> str:
    return base64.b64encode(b"".join(sound_bytes(sound))).decode()


def _page(data: object, sounds: dict[str, str]) -> str:
    """Scripts run by the digest of what they are, and nothing is loaded from anywhere."""
    script = b"\n".join(page_file(name) for name in SCRIPTS).decode()
    style = b"\n".join(page_file(name) for name in STYLES).decode()
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    icon = base64.b64encode(page_file("icon.svg")).decode()
    head = [
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">',
        f"<style>{style}</style>",
    ]
    # "<" is escaped: words from the room must not end the element that they are in.
    told = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    body = [
        f'<script type="application/json" id="data">{told}</script>',
        *(
            f'<script type="text/plain" data-sound="{escape(name)}">{content}</script>'
            for name, content in sounds.items()
        ),
        f"<script>{script}</script>",
    ]
    page = page_file(PAGE).decode()
    before, _, rest = page.partition("<!-- head -->")
    _, _, middle = rest.partition("<!-- end of head -->")
    middle, _, after = middle.partition("<!-- scripts -->")
    _, _, after = after.partition("<!-- end of scripts -->")
    return before + "\n".join(head) + middle + "\n".join(body) + after


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
