"""The page's own files, as they are in the package."""

from __future__ import annotations

from importlib.resources import files

PAGE = "index.html"
SCRIPTS = (
    "words.js",
    "source.js",
    "sound.js",
    "timeline.js",
    "player.js",
    "turn.js",
    "days.js",
    "list.js",
    "main.js",
)
"""In the order in which they are run: classic scripts, since modules are not loaded from a file."""
STYLES = ("style.css",)
TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
}
NAMES = frozenset({PAGE, *SCRIPTS, *STYLES, "icon.svg"})


def page_file(name: str) -> bytes:
    """Raises KeyError for what is no file of the page."""
    if name not in NAMES:
        raise KeyError(name)
    return (files("voicemode.review") / "page" / name).read_bytes()
