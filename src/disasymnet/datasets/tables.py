"""Tables as data sets hand them out, CSV or Excel, as rows of text."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from disasymnet.errors import DatasetError, MissingExtraError

Record = dict[str, str]


def read_table(path: Path, needed: Iterable[str], *, delimiter: str = ",") -> list[Record]:
    """The rows of a .csv, .xls or .xlsx as column -> cell; names and cells without blanks and newlines at their ends.

    Whole numbers that Excel keeps as 7.0 become 7 again; rows that are empty are left out. DatasetError if the file is
    no such table or a column is missing; MissingExtraError for Excel without python-calamine.
    """
    lines = _csv(path, delimiter) if path.suffix.lower() == ".csv" else _excel(path)
    if not lines:
        raise DatasetError("the table is empty", where=path, hint="Download it again.")
    names = [name.strip() for name in lines[0]]
    if lost := [name for name in needed if name not in names]:
        found = ", ".join(names[:12])
        hint = f"Found: {found}. Use the table as it was published."
        raise DatasetError(f"no column {lost[0]!r}", where=path, hint=hint)
    return [dict(zip(names, (cell.strip() for cell in line), strict=False)) for line in lines[1:] if any(line)]


def _csv(path: Path, delimiter: str) -> list[list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.reader(file, delimiter=delimiter))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"the table is no CSV ({error})", where=path, hint="Download it again.") from None


def _excel(path: Path) -> list[list[str]]:
    try:
        import python_calamine
    except ImportError:
        hint = "Install disasymnet[datasets]."
        raise MissingExtraError("Excel tables need python-calamine", where=path, hint=hint) from None
    try:
        sheet: Sequence[Sequence[Any]] = (
            python_calamine.CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0).to_python()
        )
    except Exception as error:
        # The library raises kinds of its own for each way in which a file can be damaged.
        what = f"the file is no Excel table ({type(error).__name__})"
        raise DatasetError(what, where=path, hint="Download it again.") from error
    return [[_text(cell) for cell in row] for row in sheet]


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, date) else str(cell)
