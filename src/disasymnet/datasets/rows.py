"""Rows of a user's table with the names of this package's columns, whether CSV or Parquet."""

from __future__ import annotations

import codecs
import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from disasymnet.errors import DatasetError, MissingExtraError

T = TypeVar("T")

NEEDED = ("image_path", "patient_id")
OPTIONAL = (
    "exam_id", "laterality", "view", "abnormal", "birads", "boxes", "circles", "mask_path", "pixel_mm", "chest_wall",
    "detector", "density", "split", "deidentified",
)  # fmt: skip
COLUMN_MAP = "columns.json"

_SUFFIXES = (".csv", ".tsv", ".parquet")
_NOTHING = ("nan", "nat", "<na>", "none", "null")  # how programs write a cell that is not known
_HINT = "Columns: " + ", ".join((*NEEDED, *OPTIONAL)) + "."


@dataclass(frozen=True)
class Row:
    """One row: cells as text, empty where nothing is stated, and where it stands."""

    cells: dict[str, str]
    table: Path
    place: str
    """`line 7` of a CSV, `row 6` of a Parquet file."""
    own_names: dict[str, str]
    """Our column name to the table's, where a column map renames it."""

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")

    def fail(self, column: str, what: str, hint: str | None = None) -> NoReturn:
        """DatasetError naming table, row and column."""
        name = self.own_names.get(column, column)
        raise DatasetError(f"{self.place}, column {name}: {what}", where=self.table, hint=hint)

    def parsed(self, column: str, parse: Callable[[str], T | None], expected: str) -> T | None:
        """The cell's meaning, None if it is empty; DatasetError if `parse` knows none."""
        text = self[column]
        if not text:
            return None
        value = parse(text)
        if value is None:
            self.fail(column, f"{text!r} is not {expected}", "Leave the cell empty if it is not known.")
        return value

    def json(self, column: str) -> Any:
        """The cell's JSON value, None if it is empty."""
        text = self[column]
        try:
            return json.loads(text) if text else None
        except ValueError:
            self.fail(column, f"{text!r} is not JSON")


def read_rows(root: Path) -> tuple[Path, list[Row], tuple[str, ...]]:
    """The table's path, its rows, and warnings on columns that are not used.

    DatasetError if there is not exactly one table, a needed column is missing, or a name looks misspelt;
    MissingExtraError for Parquet without polars.
    """
    table = _table(root)
    names, places, body = _parquet(table) if table.suffix.lower() == ".parquet" else _csv(table)
    renamed = _column_map(table)
    ours = {theirs: name for name, theirs in renamed.items()}
    if lost := [theirs for theirs in ours if theirs not in names]:
        raise DatasetError(f"{COLUMN_MAP} names a column {lost[0]!r} that the table lacks", where=table)
    columns = [ours.get(name, name) for name in names]
    warnings = _check_columns(columns, table)
    rows = [
        Row(dict(zip(columns, cells, strict=True)), table, place, renamed)
        for place, cells in zip(places, body, strict=True)
    ]
    return table, rows, warnings


def _table(root: Path) -> Path:
    if root.is_file():
        if root.suffix.lower() in _SUFFIXES:
            return root
        raise DatasetError("a table is a .csv, .tsv or .parquet file", where=root)
    if not root.is_dir():
        raise DatasetError("there is no such file or folder", where=root)
    tables = sorted(
        path
        for path in root.iterdir()
        # Opening a pipe would wait for ever.
        if path.suffix.lower() in _SUFFIXES and path.name[0] != "." and path.is_file()
    )
    if len(tables) != 1:
        found = ", ".join(path.name for path in tables) or "none"
        raise DatasetError(f"one table is expected in the folder, found: {found}", where=root, hint="Name the file.")
    return tables[0]


def _csv(table: Path) -> tuple[list[str], list[str], list[list[str]]]:
    try:
        with table.open(newline="", encoding=_encoding(table)) as file:
            head = file.readline()
            file.seek(0)
            # Spreadsheets of countries with a decimal comma separate by semicolons, their Unicode text by tabs.
            delimiter = "\t" if "\t" in head else ";" if ";" in head and "," not in head else ","
            reader = csv.reader(file, delimiter=delimiter, strict=True)
            lines = [(reader.line_num, [_cell(cell) for cell in line]) for line in reader if any(line)]
    except UnicodeError:
        hint = "Save it as CSV UTF-8."
        raise DatasetError("the table is neither UTF-8 nor UTF-16 text", where=table, hint=hint) from None
    except csv.Error as error:
        raise DatasetError(f"the table is no CSV: {error}", where=table) from None
    if not lines:
        raise DatasetError("the table is empty", where=table, hint=_HINT)
    names = lines[0][1]
    for number, cells in lines[1:]:
        if len(cells) != len(names):
            what = f"line {number} has {len(cells)} cells, the header has {len(names)}"
            raise DatasetError(what, where=table, hint='JSON cells need quotes: "[[10, 20, 50, 80]]".')
    return names, [f"line {number}" for number, _ in lines[1:]], [cells for _, cells in lines[1:]]


def _encoding(table: Path) -> str:
    """By its first bytes: Excel's "Unicode text" is UTF-16."""
    with table.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _cell(text: str) -> str:
    text = text.strip()
    return "" if text.lower() in _NOTHING else text


def _parquet(table: Path) -> tuple[list[str], list[str], list[list[str]]]:
    try:
        import polars
    except ImportError:
        hint = "Install disasymnet[train], or save the table as CSV."
        raise MissingExtraError("Parquet tables need polars", where=table, hint=hint) from None
    try:
        frame = polars.read_parquet(table)
    except (polars.exceptions.PolarsError, OSError) as error:
        raise DatasetError("the file is no Parquet table", where=table) from error
    body = [[_text(value) for value in line] for line in frame.iter_rows()]
    return frame.columns, [f"row {number}" for number in range(1, len(body) + 1)], body


def _text(value: Any) -> str:
    """A Parquet value as a CSV would hold it."""
    if value is None:
        return ""
    if isinstance(value, list):
        return json.dumps(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # columns of whole numbers with gaps are kept as floats
    return _cell(str(int(value) if isinstance(value, bool) else value))


def _column_map(table: Path) -> dict[str, str]:
    path = table.parent / COLUMN_MAP
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise DatasetError("the column map is not JSON", where=path) from None
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content.values()):
        raise DatasetError("a column map looks like this: {" + '"patient_id": "PatNr"}', where=path)
    if unknown := [name for name in content if name not in (*NEEDED, *OPTIONAL)]:
        raise DatasetError(f"{unknown[0]!r} is no column of ours", where=path, hint=_near(unknown[0]) or _HINT)
    return content


def _check_columns(columns: list[str], table: Path) -> tuple[str, ...]:
    """Warnings on unused columns. An unknown name close to one that is missing is taken for a slip of the pen."""
    if len(set(columns)) < len(columns):
        twice = next(name for name in columns if columns.count(name) > 1)
        raise DatasetError(f"column {twice!r} stands twice", where=table)
    unused = [name for name in columns if name not in (*NEEDED, *OPTIONAL)]
    for name in unused:
        if hint := _near(name, without=columns):
            raise DatasetError(f"column {name!r} is unknown", where=table, hint=hint)
    if lost := [name for name in NEEDED if name not in columns]:
        raise DatasetError(f"no column {lost[0]!r}", where=table, hint=_HINT)
    return (f"columns that are not used: {', '.join(unused)}",) if unused else ()


def _near(name: str, without: Iterable[str] = ()) -> str | None:
    open_names = [known for known in (*NEEDED, *OPTIONAL) if known not in without]
    near = get_close_matches(name.strip().lower(), open_names, n=1, cutoff=0.75)
    return f"Did you mean {near[0]!r}?" if near else None
