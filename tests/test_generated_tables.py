"""Documents say what the code says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from scripts import readme_tables, specs_from_code
from scripts.generated import ROOT, NoMarkers, markers, with_table

TABLES = [
    (module.NAME, module.table, document)
    for module in (readme_tables, specs_from_code)
    for document in module.DOCUMENTS
    if (ROOT / document).exists()
]


@pytest.mark.parametrize(("name", "table", "document"), TABLES, ids=[row[2] for row in TABLES])
def test_the_table_in_the_document_is_the_codes(name: str, table: Callable[[], str], document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert with_table(text, name, table()) == text


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    begin, end = markers("x")
    assert with_table(f"a\n{begin}\nold\n{end}\nb\n", "x", "new\n") == f"a\n{begin}\nnew\n{end}\nb\n"
    with pytest.raises(NoMarkers, match="x"):
        with_table(f"a\n{end}\n{begin}\n", "x", "new")
