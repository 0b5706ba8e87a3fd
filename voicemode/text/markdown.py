"""One line of markdown as a person reads it aloud: links by their text, tables cell by cell, marks dropped."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable

FENCE = re.compile(r"[\s>]*(`{3,}(?!.*`)|~{3,}(?!.*[~^]))")
"""Not the `~~~~^^^` under a line of a traceback: nothing would close it, and the rest would not be heard."""
HEADING = re.compile(r"^\s{0,3}#{1,6}\s+(.*?)(?:\s+#+\s*)?$")
BULLET = re.compile(r"^\s*(?:[-*+•‣◦⁃–]|(?P<number>\d{1,3})[.)])\s+(?:\[(?P<task>[ xX])\]\s+)?")
_QUOTE = re.compile(r"^\s*(?:>\s*)+")
_RULE = re.compile(r"\s*(?:[-*_=]\s*){3,}|\s*\|?[\s|:-]*-[\s|:-]*\|[\s|:-]*")
_BAR = re.compile(r"(?<!\\)\|")
_TEXT = r"((?:[^\[\]]|\[[^\[\]]*\])*)"
_TARGET = r"""\(\s*(?:<[^<>]*>|(?:[^()\s]|\([^()\s]*\))*)(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*\)"""
_IMAGE = re.compile(rf"!\[{_TEXT}\]{_TARGET}")
_LINK = re.compile(rf"\[{_TEXT}\]{_TARGET}")
_DEFINITION = re.compile(
    r"""\s{0,3}\[[^\[\]]+\]:\s+<?(?:[a-z][a-z0-9+.-]*://|mailto:|[./#])[^\s>]*>?(?:\s+(?:"[^"]*"|'[^']*'|\([^()]*\)))?\s*""",
    re.IGNORECASE,
)
"""Where the links of a page lead to: nothing to be read."""
_FOOTNOTE = re.compile(r"(?<=\S)\[\^(?:\d{1,3}|[A-Za-z][\w-]{2,39}(?<!-z))\](?!:)|^\s*\[\^[\w-]{1,40}\]:\s")
_ALERT = re.compile(r"\[!(\w+)\][+-]?(?=\s*(\S?))")
"""The first line of a note of GitHub's: `> [!NOTE]`."""
_REFERENCE = re.compile(r"(?<!\w)\[([^\[\]]+)\]\[[^\[\]]*\]")
_BARE_URL = re.compile(
    r"""<?(?:(?:https?|ftps?|wss?|ssh|git)://(?:[^\s/@]*@)?(?:www\.)?|(?<![\w./@-])www\.)"""
    r"""([^\s/>)\]?#"']+)[^\s>)\]"']*>?"""
)
_FILE_URL = re.compile(r"\bfile://(?=/)")
_CODE = re.compile(
    r"`+([^`]*)`+|((?<=\()\*(?=\))|(?<![\w*])\*(?=\.\w+(?![\w*]))|(?<![\w*])\*\*(?=/\*)|(?<=/)\*{1,2}(?=/|\.\w))"
)
"""Code, and the stars of `COUNT(*)`, `*.py` and `src/**/*.ts`, which are no emphasis."""
_CODE_SPAN = re.compile(r"`[^`]*`")
_MATH = re.compile(
    r"(?<![\w$\\])(\$\$)([^$]+)\$\$(?!\w)|(?<![\w$\\])(\$)(?=[^\s$])([^$]*)(?<![\s\\])\$(?![\w$])"
    r"|\\\((.+?)\\\)|\\\[(.+?)\\\]",
    re.DOTALL,
)
_FORMULA = re.compile(
    r"[\\^={}]|^\w(?:_\w)?$|^[(|]?[A-Za-z](?![A-Za-z])(?:[^A-Za-z]|(?<![A-Za-z])[A-Za-z](?![A-Za-z]))*$"
)
"""What may stand between two dollars: TeX's own signs, or a row of single letters."""
_DISPLAY = re.compile(r"\s*(?:\$\$(?!.*\$\$)|\\\[(?!.*\\\]))", re.DOTALL)
"""A formula on lines of its own that has not ended."""
_HARD_BREAK = re.compile(r"(?<![\\:])\\$")
_RAISED = re.compile(r"((?<![A-Za-z])[A-Za-z]{1,2}|[\d)])<sup>\s*([-−]?\w+)\s*</sup>", re.IGNORECASE)
_LONE_TAG = re.compile(r"</?[a-z][a-z_-]{2,30}>")
"""Alone on its line: some models write their thoughts between such tags."""
_MAIL = re.compile(r"<(?:mailto:)?([^\s<>@]+@[^\s<>@]+)>")
_ESCAPED = re.compile(r"\\([*_`#~|\[\]]|\$(?=\d))|(?<![:\\])\\([-.!<>%+:(){}\"'&])")
_HIGHLIGHT = re.compile(r"(?<!\S)==(?=[^\s=])([^=]+)(?<=[^\s=])==(?![=\w])")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")
_INLINE = "a|abbr|b|big|cite|code|del|dfn|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var|wbr"
_BLOCK = (
    "audio|blockquote|br|caption|center|col|colgroup|dd|details|div|dl|dt|figcaption|figure|h[1-6]|hr|iframe|img|li|ol|p"
    "|picture|pre|section|source|summary|table|tbody|td|tfoot|th|thead|tr|ul|video"
)
_ATTRIBUTES = (
    r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>=]+)|\s+(?:controls|loop|muted|open)(?=[\s/>]))*"""
)
_TAG = re.compile(
    rf"<!--.*?-->|</?(?P<inline>{_INLINE}){_ATTRIBUTES}\s*/?>|</?(?:{_BLOCK}){_ATTRIBUTES}\s*/?>",
    re.IGNORECASE,
)
"""HTML's own tags only: `Vec<u8>` and `a < b` are words."""
_OPEN_TAG = re.compile(rf"<(?:{_INLINE}|{_BLOCK})(?:\s*|\s[^<>]*=[^<>]*)", re.IGNORECASE)
_MARKS = re.compile(r"~~+|`+|(?<=\w)(?P<inside>\*{2,})(?=\w)|\*{2,}|(?<!\w)[*_]+(?=\S)|(?<=\S)[*_]+(?!\w)")
"""What emphasis leaves at the edges of words, paired or not; `2 * 3`, `a*b` and `snake_case` stay."""

_POWER = re.compile(r"(?<![\w*.)\]])([\w.)\]]+)\*\*(?=-?(?:\d|\w(?!.*\w\*\*(?!\w))|\())(?!\S*\*\*)")
"""`2**10` and `a**b`, as far as nothing closes the two stars as emphasis."""

_SPACED_POWER = re.compile(r"(?<=[\w)\]]) \*\* (?=[\w(])")

_JOINERS = "\u200c\u200d"
"""Between letters these are spelling (Persian, the languages of India); anywhere else they glue emoji together."""

_CODE_PLACES = 0xE000
"""Code spans stand aside as private-use characters, which the text itself cannot have."""

LONGEST_LINK_CHARACTERS = 200
"""A bracket that stays open for longer is no link."""


def is_row(line: str) -> bool:
    return line.lstrip().startswith("|")


def begins_block(line: str) -> bool:
    """Whether nothing that is open above goes on in `line`."""
    return is_row(line) or any(mark.match(line) for mark in (FENCE, HEADING, BULLET, _QUOTE))


def is_rule(line: str) -> bool:
    """A line of dashes, or the line under the names of a table's columns."""
    return bool(_RULE.fullmatch(line))


def closes_fence(line: str, fence: str) -> bool:
    mark = line.strip(" \t\r>")
    return len(mark) >= len(fence) and not mark.strip(fence[0])


def plain_line(line: str) -> str:
    """A line as it is written, without what has no sound."""
    return " ".join(_speakable(line).split())


def read_line(
    line: str, *, at_start: bool, tasks: tuple[str, str] = ("", ""), formula: Callable[[str], str] = str
) -> str:
    """One line of markdown, or a sentence of it, as it is read aloud.

    `tasks` are the words for the boxes of a list of tasks, open and done; `formula` says what stands between dollars.
    """
    line = _speakable(line)
    if at_start:
        quoted = line
        line = _QUOTE.sub("", line, count=1)
        if is_rule(line) or _DEFINITION.fullmatch(line) or _LONE_TAG.fullmatch(line.strip()):
            return ""
        if line != quoted:
            line = _ALERT.sub(_alert, line, count=1)
        line = BULLET.sub(lambda item: _item(item, tasks), HEADING.sub(r"\1", line, count=1), count=1)
    spans: list[str] = []

    def aside(match: re.Match[str]) -> str:
        spans.append(match[2] or match[1])
        return chr(_CODE_PLACES + len(spans) - 1)

    line = _RAISED.sub(r"\1^\2", _HARD_BREAK.sub("", _CODE.sub(aside, line).rstrip()))
    line = _TAG.sub(lambda tag: "" if tag["inline"] else " ", line)
    line = _LINK.sub(r"\1", _IMAGE.sub(r"\1", line))
    line = _REFERENCE.sub(r"\1", _LINK.sub(r"\1", _FOOTNOTE.sub("", line)))
    line = _cells(
        _BARE_URL.sub(
            _host,
            _FILE_URL.sub("", _MAIL.sub(r"\1", _MATH.sub(lambda found: _formula(found, formula), line))),
        )
    )
    line = _powers(_HIGHLIGHT.sub(r"\1", line))
    line = _MARKS.sub(lambda mark: " " if mark["inside"] else "", _ESCAPED.sub(r"\1\2", line))
    line = _ENTITY.sub(lambda entity: _speakable(html.unescape(entity.group())), line)
    for place, span in enumerate(spans):
        line = line.replace(chr(_CODE_PLACES + place), span)
    return " ".join(line.split())


def is_inside(line: str) -> bool:
    """Whether `line` ends inside a link, a tag or a formula, where no sentence ends. A bracket in code opens none."""
    if is_in_formula(line):
        return True
    line = _CODE_SPAN.sub("", line) if "`" in line else line
    opens = line.rfind("[")
    if opens > line.rfind("]"):
        return len(line) - opens < LONGEST_LINK_CHARACTERS
    target = line.rfind("](")
    return (target >= 0 and line.find(")", target) < 0) or is_in_tag(line)


def is_in_formula(line: str) -> bool:
    """Whether `line` is the beginning of a formula on lines of its own."""
    return line.lstrip()[:2] in ("$$", "\\[") and bool(_DISPLAY.match(line))


def is_in_tag(line: str) -> bool:
    """Whether `line` ends inside a tag: those of pictures are written over several lines."""
    opens = line.rfind("<")
    return opens > line.rfind(">") and bool(_OPEN_TAG.fullmatch(line, opens))


def _alert(alert: re.Match[str]) -> str:
    return f"{alert[1].capitalize()}:" if alert[2] else alert[1].capitalize()


def _powers(line: str) -> str:
    """Powers as `x^2`, so that their stars are no emphasis; not where the two stars close what others have opened."""
    line = _SPACED_POWER.sub("^", line)
    parts: list[str] = []
    done = stars = 0
    for match in _POWER.finditer(line):
        stars += line.count("**", done, match.start())
        parts += (line[done : match.start()], match.group() if stars % 2 else f"{match[1]}^")
        stars += stars % 2
        done = match.end()
    return "".join((*parts, line[done:]))


def _item(item: re.Match[str], tasks: tuple[str, str]) -> str:
    """What is said for the beginning of an item: its number, and whether a task is done."""
    if item.end() == len(item.string):
        return ""
    task = tasks[item["task"] != " "] if item["task"] else ""
    return "".join(f"{said}: " for said in (item["number"], task) if said)


def cells(row: str) -> list[str]:
    """What stands between the bars of a row of a table."""
    return [cell.strip() for cell in _BAR.split(row.strip().strip("|"))]


def _cells(line: str) -> str:
    if is_row(line):
        return ", ".join(cell for cell in cells(line) if cell)
    return line.replace(" | ", ", ")


def _formula(match: re.Match[str], said: Callable[[str], str]) -> str:
    """A formula as it is said, without its dollars; prices keep theirs."""
    written = (match[2] or match[4] or match[5] or match[6] or "").strip()
    return said(written) if _FORMULA.search(written) else match.group()


def _host(match: re.Match[str]) -> str:
    """A bare address is read by its host; the sentence keeps the mark that followed the address."""
    url = match.group().rstrip(">")
    marks = ".,;:!?"
    return match.group(1).rstrip(marks) + url[len(url.rstrip(marks)) :]


def _speakable(text: str) -> str:
    """Without what has no sound: controls and emoji become a space, invisible marks nothing."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_sound(text, at) for at in range(len(text)))


def _sound(text: str, at: int) -> str:
    character = text[at]
    kind = unicodedata.category(character)
    if kind == "Cf":
        return character if joins_letters(text, at) else ""
    if kind in ("Cc", "Cs", "Co", "Cn", "Zl", "Zp"):
        return " "
    if character == "ℹ" or (
        kind == "So" and not ("\xa0" <= character <= "\xff" or "\u2100" <= character <= "\u214f")
    ):
        return " "
    if (
        "\ufe00" <= character <= "\ufe0f"
        or character == "\u20e3"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    ):
        return ""
    return character


def joins_letters(text: str, at: int) -> bool:
    return (
        text[at] in _JOINERS
        and 0 < at < len(text) - 1
        and unicodedata.category(text[at - 1])[0] in "LM"
        and unicodedata.category(text[at + 1])[0] in "LM"
    )
