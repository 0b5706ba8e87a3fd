"""One written name as it is said: a path, version, flag, hash, address or identifier."""

from __future__ import annotations

import re

SHOWN_HASH_CHARACTERS = 7
"""As many as git shows: enough to find a commit, few enough to hear."""

LONGEST_PATH_NAMES = 4
"""Of a longer path the last two names are said; the rest nobody keeps in mind."""

_CAMEL = re.compile(
    r"(?<=\w[a-z0-9])(?<!\bMc)(?<!\bMac)(?=[A-Z][a-z])(?![A-Z]s\b)"
    r"|(?<=\w[a-z0-9])(?=[A-Z]{2})"
    r"|(?<=[A-Z])(?=[A-Z][a-z]{2})"
)
_ONE_WORD = {
    *(
        "DevOps",
        "FastAPI",
        "GitHub",
        "GitLab",
        "GraphQL",
        "JavaScript",
        "LaTeX",
        "LinkedIn",
        "MySQL",
        "NoSQL",
    ),
    *(
        "MwSt",
        "NumPy",
        "OpenAI",
        "OpenSSL",
        "PayPal",
        "PostgreSQL",
        "PowerShell",
        "PyPI",
        "PyTorch",
        "SQLite",
    ),
    *("TensorFlow", "TypeScript", "WebAssembly", "WhatsApp", "WordPress", "YouTube"),
}
"""Written with a capital inside and said as one word that every voice knows."""

_RUN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HASH = re.compile(r"[0-9a-f]{7,128}|[0-9A-F]{7,128}")
_DIGEST = re.compile(r"(?:(.+)@)?((?:sha|md|blake)\d\w{0,3})[:=-]([0-9a-fA-F]{32,128})")
_RANGE = re.compile(r"([^./\\][^/\\]*?)\.{2,3}([^./\\][^/\\]*)")
_WORD_AND_NUMBER = re.compile(r"[a-fA-F]{3,}\d{1,3}|\d+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HEX = re.compile(r"0[xX]([0-9a-fA-F]+)")
_MAIL = re.compile(r"([\w.+-]+)@(\w[\w-]*(?:\.[\w-]+)+)")
_URL = re.compile(r"[a-z][a-z0-9+]{1,12}://(?:[^\s/@]*@)?(?:www\.)?([^\s/?#\"'`]*\w)(?:[/?#].*)?")
_REMOTE = re.compile(r"([\w.+-]+@\w[\w-]*(?:\.[\w-]+)+):([\w~.][\w./~-]*)")
_IP = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3})(?::(\d{1,5}))?(?:/(\d{1,2}))?")
_PORT = re.compile(
    r"(localhost|[\w.-]+\.(?:ai|app|at|cloud|co|com|de|dev|edu|eu|fr|gov|info|io|internal|lan|local|net|nl|org|test|uk|xyz)):(\d{2,5})"
)
_VERSION = re.compile(r"(v?)(\d+(?:\.\d+)*(?:\.[xX*])?)([-+._]?[A-Za-z][0-9A-Za-z.+_-]*)?")
_DAY = re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}")
_FLAG = re.compile(r"(--?)([A-Za-z][\w-]{0,38})")
_PLACE = re.compile(r"(.*?[\w.])(?::(\d+)(?:-(\d+)|:\d+)?|#L(\d+)(?:-L?(\d+))?)")
_ISSUE = re.compile(r"(.*?)#(\d+)")
_THOUSANDS = re.compile(r"\d{1,3}(?:_\d{3})+")
_DIMENSIONS = re.compile(r"(\d+)[x×](\d+)")
_TIMES = re.compile(r"(?:(\d+(?:\.\d+)?)-)?(\d+(?:\.\d+)?)[x×]")
_SHARP = re.compile(r"([A-Z])#")
_DOTTED = re.compile(r"\.?[\w*~+-]+(?:\.[\w*~+-]+)*", re.ASCII)
_STARRED = re.compile(r"(\*{1,2})([A-Za-z_]\w*)")
_INITIALS = re.compile(r"[A-Za-z](?:\.[A-Za-z])+|[BMD]\.[A-Z][a-z]{1,3}")
_VOWEL = re.compile(r"[aeiouy0-9]", re.IGNORECASE)
_SPELLED = frozenset({"ai", "api", "cpp", "io", "ui", "yml", "exe", "avi", "aac"})
_SAID = {"txt": "text", "*": "star", "**": "star star", "~": "tilde", "..": "dot dot", ".": "dot"}


def identifier(word: str, *, english: bool = True) -> str:
    """`getUserName`, `snake_case`, `MAX_RETRIES` and `__init__` as words; letters stay as they are."""
    bare = word.strip("_")
    parts = [_camel(part) for part in bare.split("_") if part]
    if "_" in bare and bare.isupper():
        parts = [part.lower() if len(part) > 3 and _VOWEL.search(part) else part for part in parts]
    said = " ".join(parts)
    return f"dunder {said}" if english and said and word == f"__{bare}__" else said


def say_plain_name(name: str) -> str:
    """What is the same in all languages: hashes are shortened and spelled, identifiers become words."""
    if _is_hash(name):
        return _spelled(name)
    return _RUN.sub(lambda run: identifier(run.group(), english=False), name)


def say_name(name: str) -> str:
    """A name without spaces, as English reads it. What is no name is given back."""
    if name.isalpha() and (name.islower() or name[1:].islower() or name.isupper()):
        return name
    for say in (_number, _address, _flag):
        if said := say(name):
            return said
    if place := _PLACE.fullmatch(name):
        first, last = place[2] or place[4], place[3] or place[5]
        if not place[1].isdigit() and ("." in place[1] or "/" in place[1]):
            return f"{say_name(place[1])} {f'lines {first} to {last}' if last else f'line {first}'}"
    if (issue := _ISSUE.fullmatch(name)) and not issue[1].endswith("#"):
        return f"{say_name(issue[1])} number {issue[2]}".strip() if issue[1] else f"number {issue[2]}"
    if "/" in name:
        return _path(name, "/", "slash")
    if "\\" in name and name.strip("\\"):
        return _path(name, "\\", "backslash")
    return _dotted(name)


def _number(name: str) -> str:
    """Hashes, UUIDs, versions, sizes and factors."""
    if _is_hash(name):
        return _spelled(name)
    if digest := _DIGEST.fullmatch(name):
        what = f"{say_name(digest[1])} at {digest[2]}" if digest[1] else digest[2]
        return f"{what} {_spelled(digest[3])}"
    if (ends := _RANGE.fullmatch(name)) and all(re.search(r"\d", end) for end in ends.groups()):
        return f"{say_name(ends[1])} to {say_name(ends[2])}"
    if starred := _STARRED.fullmatch(name):
        return f"{' '.join(['star'] * len(starred[1]))} {say_name(starred[2])}"
    if name[0] == "." and name[1:].isdecimal():
        return f"point {name[1:]}"
    if _UUID.fullmatch(name):
        return f"UUID {_spelled(name)}"
    if hexadecimal := _HEX.fullmatch(name):
        return f"hex {_spelled(hexadecimal[1], most=16)}"
    if _THOUSANDS.fullmatch(name):
        return name.replace("_", ",")
    if size := _DIMENSIONS.fullmatch(name):
        return f"{size[1]} by {size[2]}"
    if factor := _TIMES.fullmatch(name):
        return f"{factor[1]} to {factor[2]} times" if factor[1] else f"{factor[2]} times"
    if _DAY.fullmatch(name):
        return name
    version = _VERSION.fullmatch(name)
    if version and (version[1] or version[2].count(".") > 1) and not _IP.fullmatch(name):
        rest = " ".join(re.findall(r"[A-Za-z]+|\d+", version[3] or ""))
        numbers = version[2].replace(".", " point ").replace("*", "star")
        return f"{'version ' if version[1] else ''}{numbers} {rest}".rstrip()
    return ""


def _address(name: str) -> str:
    """E-mail, IP addresses, hosts with their port."""
    if url := _URL.fullmatch(name):
        return say_name(url[1])
    if mail := _MAIL.fullmatch(name):
        local = mail[1].replace(".", " dot ").replace("+", " plus ").replace("_", " underscore ")
        return f"{' '.join(local.split())} at {_dotted(mail[2])}"
    if remote := _REMOTE.fullmatch(name):
        return f"{_address(remote[1])} {say_name(remote[2])}"
    if address := _IP.fullmatch(name):
        said = address[1].replace(".", " dot ")
        said += f" port {address[2]}" if address[2] else ""
        return said + (f" slash {address[3]}" if address[3] else "")
    if port := _PORT.fullmatch(name):
        return f"{_dotted(port[1])} port {port[2]}"
    return ""


def _flag(name: str) -> str:
    flag = _FLAG.fullmatch(name)
    if flag is None:
        return ""
    words = [identifier(word) for word in flag[2].split("-") if word]
    if flag[1] == "-" and len(flag[2]) <= 3 and flag[2].isalpha():
        words = list(flag[2])
    return " ".join([*(["dash"] * len(flag[1])), *words])


def _path(name: str, mark: str, said: str) -> str:
    names = name.replace(":\\", "\\", 1).split(mark)
    inner = [each for each in names if each]
    if not inner or all(each.isdigit() for each in inner):
        return name
    if len(names) == 2 and all(each.isalnum() for each in names):
        return f"{say_plain_name(names[0])}/{say_plain_name(names[1])}" if mark == "/" else name
    if len(inner) > LONGEST_PATH_NAMES and (not names[0].isalnum() or "." in inner[-1]):
        names = inner[-2:]
    spoken: list[str] = []
    for place, each in enumerate(names):
        if place:
            spoken.append(said)
        if each:
            spoken.append(each if each.isdigit() else say_name(each))
    return " ".join(spoken)


def _dotted(name: str) -> str:
    """File names, host names, `module.function`; anything else has its identifiers read."""
    if said := _SAID.get(name):
        return said
    if sharp := _SHARP.fullmatch(name):
        return f"{sharp[1]} sharp"
    name = name.replace("++", " plus plus") if name.endswith("++") else name
    prefix = ""
    if name[0] in "@+$" and name[1:2].isalpha():
        prefix = {"@": "at ", "+": "plus ", "$": ""}[name[0]]
        name = name[1:]
    parts = name.split(".")
    if (
        "." not in name
        or not _DOTTED.fullmatch(name)
        or _INITIALS.fullmatch(name)
        or parts[0].strip("+-").isdigit()
    ):
        return prefix + _RUN.sub(lambda run: identifier(run.group()), name)
    first, last = parts[0], parts[-1]
    if len(last) == 1 and last.isupper():
        return name
    if last.isdigit() and parts[-2][-1:].isdigit():
        return f"{prefix}{_words('.'.join(parts[:-1]))}.{last}"
    spoken = [first, *(["dot " + part for part in parts[1:-1]]), "dot " + _extension(last)]
    return prefix + " ".join(_words(part) for part in spoken if part)


def _words(part: str) -> str:
    if part in ("*", "**"):
        return _SAID[part]
    return _RUN.sub(lambda run: identifier(run.group()), part)


def _extension(last: str) -> str:
    """`md` letter by letter, `json` as a word."""
    if last in _SAID:
        return _SAID[last]
    spelled = last.isalpha() and len(last) <= 4 and (last in _SPELLED or not _VOWEL.search(last))
    return " ".join(last.upper()) if spelled else last


def _camel(part: str) -> str:
    return part if part in _ONE_WORD else _CAMEL.sub(" ", part)


def _is_hash(name: str) -> bool:
    if not _HASH.fullmatch(name):
        return False
    return len(name) in (32, 40, 56, 64, 96, 128) or (
        not name.isalpha() and not _WORD_AND_NUMBER.fullmatch(name)
    )


def _spelled(digits: str, *, most: int = SHOWN_HASH_CHARACTERS) -> str:
    return " ".join(digits[:most].upper())
