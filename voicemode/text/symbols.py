"""Numbers with units, dates, arrows and operators of a sentence, as English reads them."""

from __future__ import annotations

import re
import unicodedata

_UNITS = {
    "ns": "nanosecond",
    "µs": "microsecond",
    "μs": "microsecond",
    "us": "microsecond",
    "ms": "millisecond",
    "s": "second",
    "sec": "second",
    "min": "minute",
    "h": "hour",
    "kB": "kilobyte",
    "KB": "kilobyte",
    "kb": "kilobyte",
    "MB": "megabyte",
    "GB": "gigabyte",
    "TB": "terabyte",
    "KiB": "kibibyte",
    "MiB": "mebibyte",
    "GiB": "gibibyte",
    "Hz": "hertz",
    "kHz": "kilohertz",
    "MHz": "megahertz",
    "GHz": "gigahertz",
    "dB": "decibel",
    "px": "pixel",
    "mm": "millimetre",
    "cm": "centimetre",
    "km": "kilometre",
    "kg": "kilogram",
    "°": "degree",
    "°C": "degree Celsius",
    "°F": "degree Fahrenheit",
    "fps": "frame per second",
    "Mbps": "megabit per second",
    "%": "percent",
}
_PER = {"s": "second", "sec": "second", "min": "minute", "h": "hour", "day": "day"}
_UNCHANGED = ("hertz", "percent")
_NUMBER = r"\d(?:[\d,]*\d)?(?:\.\d+)?"
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_QUANTITY = re.compile(
    rf"(?<![\w.,/:#-])(?:(?P<least>{_NUMBER})(?P<first>\s?(?:{_UNIT}))?\s?[–-]\s?)?(?P<number>{_NUMBER})(?P<gap>\s?)(?P<unit>{_UNIT})"
    r"(?:/(?P<per>s|sec|min|h|day))?(?![\w/])(?!\.\w)"
)
"""Not in names, versions and times, where digits and letters stand side by side too."""

_DURATION = re.compile(r"(?<![\w.,/:#-])(?:(\d+)h ?(\d+)m(?: ?(\d+)s)?|(\d+)m ?(\d+)s)(?![\w/])")
"""`1h30m` and `2m 5s`: an `m` alone may be a metre."""
_RANGE = re.compile(r"(?<![\w.,/:#$+-])(\d{1,4})-(\d{1,4})(?![\w/:%-]|[.,]\d)")

_MONTHS = (
    "January February March April May June July August September October November December".split()  # noqa: SIM905
)
_DATE = re.compile(
    r"(?<![\w./:-])(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"(?:T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?(?![\w/-])(?!\.\w)"
)
_COUNTED = re.compile(
    r"\b(issues?|PRs?|MRs?|(?:pull|merge) requests?|bugs?|tickets?|discussions?|numbers?|steps?|items?|builds?|jobs?"
    r"|runs?|tasks?) #(?=\d)",
    re.IGNORECASE,
)
_TWICE = re.compile(r"\b(versions?|numbers?|hex|uuid) (?:version|number|hex|UUID) (?=\S)", re.IGNORECASE)

_OPERATORS = {
    "===": "equals",
    "==": "equals",
    "!==": "is not",
    "!=": "is not",
    "≠": "is not",
    ">=": "at least",
    "≥": "at least",
    "<=": "at most",
    "≤": "at most",
    "≈": "about",
    "~=": "about",
    "=>": "to",
    "->": "to",
    "-->": "to",
    "→": "to",
    "⇒": "to",
    "⟶": "to",
    "➜": "to",
    "➡": "to",
    "<-": "from",
    "←": "from",
    "<->": "to and from",
    "↔": "to and from",
    "↑": "up",
    "↓": "down",
    "&&": "and",
    "||": "or",
    "±": "plus or minus",
    "×": "times",
    "÷": "divided by",
    "√": "square root of",
    "∞": "infinity",
    "+=": "plus equals",
    "-=": "minus equals",
    "=": "equals",
}
_OPERATOR = re.compile(
    r"\s*(?<![=<>!&|~+*/:-])("
    + "|".join(sorted(map(re.escape, _OPERATORS), key=len, reverse=True))
    + r")(?![=<>&|-])\s*"
)
_SPACED = {
    "+": "plus",
    "<": "less than",
    ">": "greater than",
    "&": "and",
    "-": None,
    "--": None,
    "*": "times",
    "|": "pipe",
}
_SIGNS = (
    (re.compile(r"(?<![\w.])\+(\d+)\s?[/,]?\s?[-−](\d+)\b(?!-)"), r"plus \1, minus \2"),
    (re.compile(r"(?<=\d)/(?=(?:second|minute|hour|day|week|month|year|user|request)\b)"), " per "),
    (re.compile(r"(?<=[\w)\]])(?:\^|\*\*|\s\*\*\s)(?=[\w(])"), " to the power of "),
    (re.compile(r"(?<=[\w)\]])(?:\^|\*\*)-(?=\w)"), " to the power of minus "),
    (re.compile(r"(?<=\()\*(?=\))"), "star"),
    (re.compile(r"(?<=\w)~(?=\d)"), " tilde "),
    (re.compile(r"(?<=\w)::(?=\w)"), " "),
    (re.compile(r"(?<![\w/])w/o(?=\s)"), "without"),
    (re.compile(r"(?<![\w/])w/(?=\s)"), "with"),
    (re.compile(r"\b(?:Ctrl|Control)\+(?=\w)"), "Control "),
    (re.compile(r"\b(?:Cmd|Command)\+(?=\w)"), "Command "),
    (re.compile(r"\b(Alt|Option|Shift|Super|Meta|Win)\+(?=\w)"), r"\1 "),
)
"""Signs inside a word: the size of a change, prices, powers, scopes, keys."""

_BETWEEN = re.compile(r"(?<=\S)(\s)([+<>&*|]|--?)\s(?=\S)")
_OPERAND = re.compile(r"[^\W\d_]|.*[\d)\](_].*")
"""What is multiplied: a figure, a single letter, a call; words as in `width * height` unless they command."""
_NO_OPERANDS = {
    *("add", "an", "and", "as", "cat", "cp", "distinct", "every", "export"),
    *("for", "from", "import", "in", "into", "is", "ls", "mv", "of"),
    *("on", "or", "rm", "select", "the", "then", "to", "where", "with"),
}
"""Beside one of these (`import * as x`, `rm * now`), or beside capitals (`SELECT * FROM t`), a star is a star."""
_LAST_STAR = re.compile(r"(?<=\w\s)\*(?=[.,;:!?)]?(?:\s|$))(?!\s\S)")

_BEFORE_NUMBER = re.compile(r"(?:(?<![^\s(])|(?<=\w)(,))([-−~<>])(?=\d)")
_NUMBER_WORDS = {"-": "minus ", "−": "minus ", "~": "about ", "<": "less than ", ">": "more than "}

NUMBER_SIGNS = (
    "\u00b2\u00b3\u00b9\u00bc-\u00be\u2070\u2074-\u2079\u2080-\u2089\u2150-\u215e\u2160-\u2182\u2189\u2460-\u249b"
    "\u24ea-\u24ff\u2776-\u2793\u3251-\u325f\u32b1-\u32bf"
)
"""Numbers in one character, for a class of a regular expression: `½`, `²`, `①`, `Ⅳ`."""
_NUMBER_SIGN = re.compile(f"[{NUMBER_SIGNS}]")
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"
_RAISED = re.compile(rf"(?<=[^\W_{NUMBER_SIGNS}])[²³](?![{_SUPERSCRIPTS}])|(?<=\d)⁻?[⁰¹²³⁴-⁹]+")
_DIGITS = str.maketrans(_SUPERSCRIPTS, "0123456789-")
_VULGAR = "VULGAR FRACTION "

MARKS = {
    "✅": "check",
    "✔": "check",
    "✓": "check",
    "☑": "check",
    "❌": "cross",
    "❎": "cross",
    "✗": "cross",
    "✘": "cross",
    "✖": "cross",
    "⚠": "warning",
    "🔴": "red",
    "🟠": "orange",
    "🟡": "yellow",
    "🟢": "green",
    "➜": "→",
    "➡": "→",
    "⟶": "→",
    "⬆": "↑",
    "⬇": "↓",
}
"""Signs that stand for a word; other emoji are decoration."""
_MARK = re.compile(rf"([{''.join(MARKS)}])\ufe0f?(?:\1\ufe0f?)*(\s*)(\w*)")


_SHORTCODES = {
    "heavy_check_mark": "✔",
    "warning": "⚠",
    "white_check_mark": "✅",
    "x": "❌",
    **dict.fromkeys(("+1", "bug", "construction", "eyes", "fire", "memo", "rocket", "sparkles", "tada"), ""),
    **dict.fromkeys(("bulb", "lock", "package", "recycle", "smile", "thumbsup", "wrench", "zap"), ""),
}
"""Emoji by the names that code hosts give them: the signs, and what decorates most."""
_SHORTCODE = re.compile(rf"(?<![\w:]):({'|'.join(map(re.escape, _SHORTCODES))}):(?![\w:])")


def marks_to_words(text: str) -> str:
    """`✅ Tests pass` → `check, Tests pass`; `⚠️ Warning` is not warned of twice."""
    return _MARK.sub(_mark, _SHORTCODE.sub(lambda found: _SHORTCODES[found[1]], text))


def _mark(match: re.Match[str]) -> str:
    said, following = MARKS[match[1]], match[3]
    if not said.isalpha():
        return f"{said}{match[2]}{following}"
    if following.lower().startswith(said):
        return following
    return f" {said}, {following}" if following else f" {said}{match[2]}"


def numbers(text: str) -> str:
    """Dates, quantities, ranges and counted things."""
    text = _BEFORE_NUMBER.sub(lambda found: f"{', ' if found[1] else ''}{_NUMBER_WORDS[found[2]]}", text)
    text = _NUMBER_SIGN.sub(_number_sign, _RAISED.sub(_power, text))
    text = _RANGE.sub(_range, _DURATION.sub(_duration, text))
    text = _QUANTITY.sub(_quantity, _DATE.sub(_date, text))
    return re.sub(r"(?<=\d)\s?–\s?(?=\d)", " to ", _COUNTED.sub(r"\1 ", text))


def _duration(match: re.Match[str]) -> str:
    hours, minutes, seconds = match[1], match[2] or match[4], match[3] or match[5]
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{count} {_named(unit, one=count == '1')}" for count, unit in parts if count)


def _range(match: re.Match[str]) -> str:
    """`lines 42-57`; a score, a month and a telephone number are none."""
    first, last = match.groups()
    grows = int(first) < int(last) and (len(first) == len(last) or len(last) < 4)
    return f"{first} to {last}" if grows else match.group()


def _power(match: re.Match[str]) -> str:
    """`m²` and `10⁻³`."""
    power = match.group()
    if said := {"²": "squared", "³": "cubed"}.get(power):
        said = f" {said}"
    else:
        said = f" to the power of {power.translate(_DIGITS).replace('-', 'minus ')}"
    return said + _space_before(match.string, match.end())


def _number_sign(match: re.Match[str]) -> str:
    """`½` → one half, `2½` → 2 and one half, `①` → 1."""
    sign, before = match.group(), match.string[: match.start()]
    name = unicodedata.name(sign)
    said = f"{unicodedata.numeric(sign):g}"
    if name.startswith(_VULGAR):
        said = name.removeprefix(_VULGAR).lower().replace("zero thirds", "zero")
        said = f"and {said}" if before[-1:].isdecimal() else said
    space = " " if before[-1:].isalnum() else ""
    return f"{space}{said}{_space_before(match.string, match.end())}"


def _space_before(text: str, at: int) -> str:
    return " " if text[at : at + 1].isalnum() and not _NUMBER_SIGN.match(text, at) else ""


def operators(text: str) -> str:
    """Arrows and operators between words; a dash between spaces is a pause."""
    for sign, said in _SIGNS:
        text = sign.sub(said, text)
    text = _OPERATOR.sub(lambda found: f" {_OPERATORS[found[1]]} ", text)
    return _LAST_STAR.sub("star", _BETWEEN.sub(_between, text))


def once(text: str) -> str:
    """`version v2` has its word already."""
    return _TWICE.sub(r"\1 ", text)


def _between(match: re.Match[str]) -> str:
    word = _SPACED[match[2]]
    before = match.string[: match.start()].rsplit(maxsplit=1)[-1:]
    if match[2] == "*" and not _multiplies(before[0], match.string[match.end() :].split(maxsplit=1)[0]):
        word = "star"
    if word is not None:
        return f" {word} "
    digits = before and before[0][-1].isdigit() and match.string[match.end()].isdigit()
    return " minus " if digits and match[2] == "-" else ", "


def _multiplies(left: str, right: str) -> bool:
    if _OPERAND.fullmatch(left) or _OPERAND.fullmatch(right):
        return True
    return not any(word.isupper() or word.lower() in _NO_OPERANDS for word in (left, right))


def _quantity(match: re.Match[str]) -> str:
    number, unit, least = match["number"], match["unit"], match["least"]
    first_unit = (match["first"] or unit).strip()
    decade = unit == "s" and not match["gap"] and (len(number) == 4 or _follows_the(match))
    if decade:
        return match.group()
    said = f"{number} {_named(unit, one=number == '1' and not least)}"
    if least:
        least = least if first_unit == unit else f"{least} {_named(first_unit, one=least == '1')}"
        said = f"{least} to {said}"
    return f"{said} per {_PER[match['per']]}" if match["per"] else said


def _named(unit: str, *, one: bool) -> str:
    said = _UNITS[unit]
    if one or said.endswith(_UNCHANGED):
        return said
    first, _, rest = said.partition(" ")
    return f"{first}s {rest}".rstrip()


def _follows_the(match: re.Match[str]) -> bool:
    """`the 90s` and `'90s` are years."""
    before = match.string[max(match.start() - 5, 0) : match.start()]
    return bool(re.search(r"\bthe\s$|['’]$", before, re.IGNORECASE))


def _date(match: re.Match[str]) -> str:
    year, month, day, clock, zone = match.groups()
    said = f"{_MONTHS[int(month) - 1]} {int(day)}, {year}"
    if clock:
        said += f" at {clock}"
    return f"{said} {'UTC' if zone == 'Z' else zone}" if zone else said
