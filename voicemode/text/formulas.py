"""A formula as TeX writes it → the words in which an English reader says it."""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST_FORMULA_CHARACTERS = 400
"""Nobody follows a longer one by ear; it is read as it stands."""

DEEPEST = 12
"""Brackets within brackets that are still told apart."""

_TOKEN = re.compile(
    r"\\(?:text[a-z]*|operatorname|math(?:rm|it|sf|tt))\*?\s*\{[^{}]*\}|\\[A-Za-z]+\*?|\\.|\d+(?:[.,]\d+)*|[A-Za-z]|\S|\s+",
    re.DOTALL,
)
"""Words within a formula are one token."""

_GREEK = {
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu"),
    *("nu", "xi", "pi", "rho", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega"),
}
_FUNCTIONS = {
    *(
        "arccos",
        "arcsin",
        "arctan",
        "argmax",
        "argmin",
        "cos",
        "cosh",
        "cot",
        "det",
        "dim",
        "exp",
        "gcd",
        "inf",
    ),
    *("ln", "log", "max", "min", "mod", "sin", "sinh", "sup", "tan", "tanh"),
}
_WORDS = {
    **dict.fromkeys(("le", "leq", "leqslant"), "at most"),
    **dict.fromkeys(("ge", "geq", "geqslant"), "at least"),
    **dict.fromkeys(("ne", "neq"), "is not"),
    **dict.fromkeys(("approx", "sim", "simeq"), "about"),
    **dict.fromkeys(("to", "rightarrow", "longrightarrow", "mapsto"), "to"),
    **dict.fromkeys(("leftarrow", "gets"), "becomes"),
    **dict.fromkeys(("implies", "Rightarrow", "Longrightarrow"), "implies"),
    **dict.fromkeys(("iff", "Leftrightarrow"), "if and only if"),
    **dict.fromkeys(("times", "cdot", "ast"), "times"),
    **dict.fromkeys(("ldots", "dots", "cdots", "vdots"), ", and so on,"),
    **dict.fromkeys(("mid", "vert"), "given"),
    **dict.fromkeys(("land", "wedge"), "and"),
    **dict.fromkeys(("lor", "vee"), "or"),
    **dict.fromkeys(("neg", "lnot"), "not"),
    **dict.fromkeys(("subset", "subseteq"), "subset of"),
    "cap": "intersection",
    "circ": "after",
    "cup": "union",
    "div": "divided by",
    "ell": "l",
    "emptyset": "empty set",
    "equiv": "is equivalent to",
    "exists": "there exists",
    "forall": "for all",
    "gg": "much greater than",
    "in": "in",
    "infty": "infinity",
    "int": "integral",
    "ll": "much less than",
    "nabla": "nabla",
    "notin": "not in",
    "oplus": "xor",
    "partial": "partial",
    "pm": "plus or minus",
    "prime": "prime",
    "prod": "product",
    "propto": "proportional to",
    "setminus": "without",
    "sum": "sum",
    "top": "transposed",
}
_SIGNS = {
    "=": "equals",
    "+": "plus",
    "-": "minus",
    "−": "minus",
    "*": "times",
    "/": "over",
    "<": "less than",
    ">": "greater than",
    "'": "prime",
    "!": "factorial",
}
_ACCENTS = {
    "hat": "hat",
    "widehat": "hat",
    "bar": "bar",
    "overline": "bar",
    "tilde": "tilde",
    "dot": "dot",
    "vec": "vector",
}
_RAISED = {
    "2": "squared",
    "3": "cubed",
    "T": "transposed",
    "transposed": "transposed",
    "prime": "prime",
    "after": "degrees",
    "times": "star",
    "plus": "plus",
    "minus 1": "inverse",
}
"""By what has been said for what is raised."""
_LARGE = {"sum", "prod", "int"}
_FRACTIONS = {"frac", "dfrac", "tfrac"}
_APPLIED = re.compile(r"\b([EFGHJLOPTfghpq]) \((?=\S)")
"""`f(x)` is "f of x"; `a(b + c)` is no function of anything."""
_LINE_ENDS = {"\\", "newline"}


def say_formula(formula: str) -> str:
    """`\\frac{x^2}{n}` → "x squared over n". What is unknown is left out, but for its letters and figures."""
    if len(formula) > LONGEST_FORMULA_CHARACTERS:
        return formula
    said = " ".join(_Formula(formula).all().split()).strip(", ")
    said = re.sub(r"(?:,\s*){2,}", ", ", re.sub(r"\s+(?=[,;:.)])", "", said))
    said = re.sub(r"(?<=[.;:]),", "", said)
    return _APPLIED.sub(r"\1 of (", said.replace("( ", "("))


class _Formula:
    def __init__(self, formula: str) -> None:
        self._tokens: list[str] = [token for token in _TOKEN.findall(formula) if not token.isspace()]
        self._at = 0
        self._depth = 0

    def all(self) -> str:
        words: list[str] = []
        while self._at < len(self._tokens):
            words += self._until("}")
        return " ".join(words)

    def _until(self, end: str) -> Iterator[str]:
        while self._at < len(self._tokens):
            token = self._next()
            if token == end:
                return
            yield self._say(token)

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _ahead(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _argument(self) -> str:
        """What a command takes: all within braces, or one sign."""
        return self._say(self._next()) if self._ahead() not in ("", "}") else ""

    def _say(self, token: str) -> str:
        if token == "{":
            if self._depth >= DEEPEST:
                return ""
            self._depth += 1
            inner = " ".join(self._until("}"))
            self._depth -= 1
            return inner
        if token == "^":
            power = " ".join(self._argument().split())
            return _RAISED.get(power, f"to the power of {power}")
        if token == "_":
            return self._argument()
        if token in ("&", "~", "$", "}"):
            return ""
        if token.startswith("\\") and token.endswith("}") and len(token) > 2:
            return token.partition("{")[2].rstrip("}")
        if token.startswith("\\"):
            return self._command(token[1:].rstrip("*"))
        return _SIGNS.get(token, token)

    def _command(self, name: str) -> str:
        if name in _FRACTIONS:
            return f"{self._argument()} over {self._argument()}"
        if name in ("binom", "dbinom"):
            return f"{self._argument()} choose {self._argument()}"
        if name == "sqrt":
            which = f"{self._bracketed()} root" if self._ahead() == "[" else "square root"
            return f"{which} of {self._argument()}"
        if name in _ACCENTS:
            word = _ACCENTS[name]
            return f"{word} {self._argument()}" if word == "vector" else f"{self._argument()} {word}"
        if name in ("begin", "end", "label", "tag"):
            self._argument()
            return ","
        if name in _LARGE or name == "lim":
            return self._ranged(_WORDS.get(name, "limit"))
        if name.lower() in _GREEK or name.removeprefix("var") in _GREEK:
            return name.removeprefix("var").lower()
        if name in _FUNCTIONS:
            return name
        if name in _LINE_ENDS:
            return ","
        if name in "%#_&$":
            return {"%": "percent", "&": "and", "#": "number"}.get(name, "")
        return _WORDS.get(name, "")

    def _bracketed(self) -> str:
        self._next()
        return " ".join(self._until("]"))

    def _ranged(self, what: str) -> str:
        """Sums, products and integrals with their bounds."""
        low = high = ""
        while self._ahead() in ("_", "^"):
            if self._next() == "_":
                low = self._argument()
            else:
                high = self._argument()
        if what == "limit":
            return f"limit as {low} of" if low else "limit of"
        bounds = f" from {low} to {high}" if low and high else f" over {low}" if low else ""
        return f"{what}{bounds} of"
