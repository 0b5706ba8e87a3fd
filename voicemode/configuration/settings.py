"""The machinery behind the table of variables: rows, problems, and reading with an order of sources.

A part of the configuration is a frozen dataclass whose fields are made by `setting(…)`; the field's metadata is
the row of the table. Pure: mappings in, values out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeVar, cast

from voicemode.configuration.kinds import Kind
from voicemode.text.redaction import Redactor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    P = TypeVar("P", bound=DataclassInstance)

T = TypeVar("T")

SET = "(set)"
"""What is shown in place of a secret that has a value."""


class Origin(StrEnum):
    """Where a value came from, in the order in which they are asked."""

    ENVIRONMENT = "environment"
    PROJECT = "project file"
    USER = "user file"
    DEFAULT = "default"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Something in the configuration that is not used as it stands.

    `value` is as it may be shown (masked for a secret); `allowed` is what would be accepted; `says` is the whole
    sentence for a person, with the next step.
    """

    variable: str
    value: str
    allowed: str
    source: str
    says: str

    def __str__(self) -> str:
        return self.says


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """One row as it stands now. `value` and `default` are as they may be shown."""

    name: str
    value: str
    source: Origin
    default: str
    allowed: str
    help: str
    part: str
    secret: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One variable. `from_project` says whether a project file may set it."""

    name: str
    kind: Kind[object]
    default: object
    help: str
    secret: bool
    from_project: bool
    aliases: tuple[str, ...]

    def shown(self, value: object) -> str:
        if self.secret:
            return SET if value else ""
        return self.kind.show(value)


def setting(
    name: str,
    kind: Kind[T],
    default: T,
    help: str,  # noqa: A002
    *,
    secret: bool = False,
    from_project: bool = True,
    aliases: tuple[str, ...] = (),
) -> T:
    """A dataclass field that is a row of the table."""
    row = Row(
        name=name,
        kind=cast("Kind[object]", kind),
        default=default,
        help=help,
        secret=secret,
        from_project=from_project and not secret,
        aliases=aliases,
    )
    return field(default=default, repr=not secret, metadata={"row": row})


def rows(part: DataclassInstance) -> list[tuple[str, Row]]:
    """(field name, row) of a part, in the order of its fields."""
    return [(each.name, cast("Row", each.metadata["row"])) for each in fields(part)]


Layers = Mapping[Origin, Mapping[str, str]]

MOST_SHOWN = 120
"""Characters of a bad value that are repeated to the reader."""


class Reader:
    """Reads parts from layers of sources, and collects rows and problems on the way."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._redactor = Redactor()
        self.problems: list[Problem] = []
        self.resolved: list[Resolved] = []
        self.origins: dict[str, Origin] = {}

    def read(self, part: str, defaults: P) -> P:
        """The part with every field that some source sets."""
        changes: dict[str, object] = {}
        for name, row in rows(defaults):
            value, origin = self._value(row)
            changes[name] = value
            self.origins[row.name] = origin
            self.resolved.append(
                Resolved(
                    name=row.name,
                    value=self._redactor.redact(row.shown(value)),
                    source=origin,
                    default=row.shown(row.default),
                    allowed=row.kind.allowed,
                    help=row.help,
                    part=part,
                    secret=row.secret,
                )
            )
        return replace(defaults, **changes)

    def _value(self, row: Row) -> tuple[object, Origin]:
        for origin, layer in self._layers.items():
            name = next((name for name in (row.name, *row.aliases) if layer.get(name, "").strip()), None)
            if name is None:
                continue
            text = layer[name].strip()
            if origin is Origin.PROJECT and not row.from_project:
                self._not_from_project(row, name, text)
                continue
            try:
                value = row.kind.parse(text)
            except ValueError:
                self._bad(row, name, text, origin)
                return row.default, Origin.DEFAULT
            if origin is Origin.PROJECT and row.kind.foreign(value):
                self._not_from_project(row, name, text)
                continue
            return value, origin
        return row.default, Origin.DEFAULT

    def _shown(self, row: Row, text: str) -> str:
        if row.secret:
            return SET
        text = self._redactor.redact("".join(char if char.isprintable() else " " for char in text))
        return text if len(text) <= MOST_SHOWN else text[: MOST_SHOWN - 1] + "…"

    def _bad(self, row: Row, name: str, text: str, origin: Origin) -> None:
        shown, default = self._shown(row, text), row.shown(row.default) or "nothing"
        self.add(
            name,
            shown,
            row.kind.allowed,
            origin,
            f"{name} in the {origin} is {shown!r}; allowed: {row.kind.allowed}. The default ({default}) is used.",
        )

    def _not_from_project(self, row: Row, name: str, text: str) -> None:
        shown = self._shown(row, text)
        allowed = "loopback addresses only" if row.from_project else "not in a project file"
        self.add(
            name,
            shown,
            allowed,
            Origin.PROJECT,
            f"{name}={shown} in the project file is not used ({allowed}): a project that somebody else wrote must not "
            "decide where your words, keys and recordings go. Set it in your user file or in the environment.",
        )

    def add(self, variable: str, value: str, allowed: str, source: str, says: str) -> None:
        self.problems.append(
            Problem(variable=variable, value=value, allowed=allowed, source=source, says=says)
        )
