"""How a line is read: its markdown, its words, and a person's own pronunciations.

What is English here (how `→` or `v2.3` is read) applies when the language is English or unknown, and the line is
written in Latin letters. In other languages markdown, hashes and identifiers are read all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from voicemode.text.formulas import say_formula
from voicemode.text.markdown import plain_line, read_line
from voicemode.text.names import say_name, say_plain_name
from voicemode.text.pronunciations import NONE, Pronunciations
from voicemode.text.symbols import NUMBER_SIGNS, marks_to_words, numbers, once, operators

_CODE_BLOCKS = {
    "en": "There is a code block.",
    "de": "Hier steht ein Codeblock.",
    "es": "Aquí hay un bloque de código.",
    "fr": "Ici, un bloc de code.",
    "it": "Qui c'è un blocco di codice.",
    "ja": "ここにコードがあります。",
    "ko": "여기에 코드가 있습니다.",
    "nl": "Hier staat een codeblok.",
    "pl": "Tutaj jest blok kodu.",
    "pt": "Aqui há um bloco de código.",
    "ru": "Здесь блок кода.",
    "sv": "Här finns ett kodblock.",
    "zh": "这里有一段代码。",
}
_BLOCKS = {
    "bash": "shell",
    "c": "C",
    "console": "shell",
    "cpp": "C plus plus",
    "cs": "C sharp",
    "csharp": "C sharp",
    "css": "CSS",
    "diff": "diff",
    "dockerfile": "Docker",
    "go": "Go",
    "golang": "Go",
    "html": "HTML",
    "java": "Java",
    "javascript": "JavaScript",
    "js": "JavaScript",
    "json": "JSON",
    "jsonc": "JSON",
    "jsx": "JavaScript",
    "kotlin": "Kotlin",
    "latex": "formula",
    "markdown": "markdown",
    "md": "markdown",
    "math": "formula",
    "mermaid": "Mermaid",
    "php": "PHP",
    "powershell": "PowerShell",
    "py": "Python",
    "python": "Python",
    "rb": "Ruby",
    "rs": "Rust",
    "ruby": "Ruby",
    "rust": "Rust",
    "sh": "shell",
    "shell": "shell",
    "sql": "SQL",
    "swift": "Swift",
    "tex": "formula",
    "toml": "TOML",
    "ts": "TypeScript",
    "tsx": "TypeScript",
    "typescript": "TypeScript",
    "xml": "XML",
    "yaml": "YAML",
    "yml": "YAML",
    "zsh": "shell",
}

_NO_CODE = ("diff", "formula")

_CHUNK = re.compile(r"[^\s,;()\[\]{}\"“”„«»<>|—…]+")
"""What may be a name: between spaces and brackets."""
_CORE = re.compile(r"(?P<before>['‘]*)(?P<core>.*?)(?P<after>[.:!?'’]*)", re.DOTALL)
_CALL = re.compile(r"(?<=\w)\(\)|\$\{(?=\w+\})|(?<=\w)\}(?=[\s/.]|$)")
_TECHNICAL = re.compile(
    rf"[{NUMBER_SIGNS}0-9_/\\@#=+*<>&~$%|√∞±×÷≈≠≥≤→←↔⇒↑↓–−°^-]|::|\w\.\w|[a-z][A-Z]|[A-Z]{{2}}[a-z]|[0-9A-Fa-f]{{32}}|(?<!\S)\.\w|\(\)"
)
"""Without any of these a line is prose, and stays as it is."""
_ASIDE = 0xE000
"""Words with a pronunciation stand aside as private-use characters, which a line cannot have."""
_ASIDE_RUN = re.compile(r"[\ue000-\uf8ff]")

_KOKORO = re.compile(r"([abefhijpz])[fm]_\w+")
_KOKORO_LANGUAGES = {
    "a": "en",
    "b": "en",
    "e": "es",
    "f": "fr",
    "h": "hi",
    "i": "it",
    "j": "ja",
    "p": "pt",
    "z": "zh",
}
_ORDINAL_STOPS = frozenset("cs da de et fi hr hu is lv nb nn no pl sk sl sr tr".split())  # noqa: SIM905
_TAG = re.compile(r"([a-z]{2})(?:[-_+][\w+-]+)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """`markdown` False takes text as it is written; `language` is a BCP 47 tag, None when it is not known."""

    markdown: bool = True
    language: str | None = None
    pronunciations: Pronunciations = NONE

    def of(self, language: str | None, voice: str | None = None) -> Reading:
        """The same for a request: its language, else the one that its voice has in its name."""
        return replace(self, language=language or language_of(voice))

    @property
    def english(self) -> bool:
        return self.language is None or _primary(self.language) == "en"

    @property
    def ordinals(self) -> bool:
        """Whether `3.` is the third."""
        return self.language is not None and _primary(self.language) in _ORDINAL_STOPS

    def line(self, line: str, *, at_start: bool) -> str:
        """One line, or a sentence of it, as it is read aloud."""
        if not self.markdown:
            return self._pronounced(plain_line(line))
        english = self.english and _is_latin(line)
        if english:
            line = marks_to_words(line)
        said = read_line(
            line,
            at_start=at_start,
            tasks=("to do", "done") if english else ("", ""),
            formula=say_formula if english else str,
        )
        return self.words(said)

    def words(self, text: str) -> str:
        """Names, numbers and signs as words. What the dictionary has is said as it says, before and after."""
        aside: list[str] = []
        if self.pronunciations:
            parts, done = [], 0
            for start, end, said in self.pronunciations.found(text):
                parts += [text[done:start], chr(_ASIDE + len(aside))]
                aside.append(said)
                done = end
            text = "".join((*parts, text[done:]))
        if _TECHNICAL.search(text):
            text = self._technical(text)
            if self.pronunciations:
                text = self.pronunciations.apply(text)
        return _ASIDE_RUN.sub(lambda mark: aside[ord(mark.group()) - _ASIDE], text) if aside else text

    def announcement(self, info: str) -> str:
        """What is said for a block of code; `info` is what stands after its fence."""
        language = "en" if self.english else _primary(self.language or "")
        named = _BLOCKS.get(re.split(r"[^\w#+-]", info.strip().lower(), maxsplit=1)[0], "")
        if language == "en" and named:
            return f"There is a {named}." if named in _NO_CODE else f"There is a code block in {named}."
        return _CODE_BLOCKS.get(language, _CODE_BLOCKS["en"])

    def _pronounced(self, text: str) -> str:
        return self.pronunciations.apply(text) if self.pronunciations else text

    def _technical(self, text: str) -> str:
        text = _CALL.sub("", text)
        if not (self.english and _is_latin(text)):
            return " ".join(_CHUNK.sub(lambda chunk: _chunk(chunk, english=False), text).split())
        text = operators(numbers(text))
        text = _CHUNK.sub(lambda chunk: _chunk(chunk, english=True), text)
        return " ".join(once(text).split())


def language_of(voice: str | None) -> str | None:
    """The language that a voice's name tells: `de` and `en-us` of the embedded voice, `jf_…` of Kokoro's."""
    if not voice:
        return None
    if kokoro := _KOKORO.fullmatch(voice):
        return _KOKORO_LANGUAGES[kokoro[1]]
    tag = _TAG.fullmatch(voice)
    return tag[1].lower() if tag else None


def _primary(tag: str) -> str:
    return re.split(r"[-_]", tag.lower(), maxsplit=1)[0]


def _is_latin(text: str) -> bool:
    """Whether no more than a few letters are from beyond the Latin scripts and their signs."""
    if text.isascii():
        return True
    letters = [character for character in text if character.isalpha()]
    return sum(character >= "\u0370" for character in letters) * 2 <= len(letters)


def _chunk(chunk: re.Match[str], *, english: bool) -> str:
    parts = _CORE.fullmatch(chunk.group())
    if parts is None or not any(map(str.isalnum, parts["core"])):
        return chunk.group()
    core = say_name(parts["core"]) if english else say_plain_name(parts["core"])
    # `read(x).close` goes on behind a bracket.
    apart = " " if core.startswith("dot ") and chunk.string[: chunk.start()].endswith((")", "]")) else ""
    return f"{apart}{parts['before']}{core}{parts['after']}"
