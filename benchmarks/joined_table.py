"""Rows of several `reproduce` folders in one table, with the declared tests: what another setting changes.

    disasymnet reproduce table1 ... --out TABLE
    disasymnet reproduce table1 ... --methods disasymnet --set model.losses.refine=0.05 --out CHANGED
    python benchmarks/joined_table.py --tables CHANGED TABLE --out results/NAME.json

A row is that of the first folder which holds it, with the seeds evaluated there. Cells and tests are those of Tables 1
and 2 (docs/reproduce.md); figures of removal are added. The folders must be of one cache; that start and budget are the
same is for the person to see to.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from mini_mias_table import print_cells, print_tests, rows_of

from disasymnet.evaluate.provenance import commit, machine
from disasymnet.reproduce.compare import Filled, cell, paired_tests
from disasymnet.reproduce.rows import KNOWN, OURS, REMOVAL, TARGETS


def joined(tables: list[Path]) -> tuple[dict[str, Filled], dict[str, str]]:
    """The rows in the order of the paper, and the folder that each is from."""
    found: dict[str, Filled] = {}
    origin: dict[str, str] = {}
    for table in tables:
        for name, row in rows_of(table).items():
            if name not in found:
                found[name], origin[name] = row, table.name
    return {name: found[name] for name in KNOWN if name in found}, origin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    rows, origin = joined(options.tables)
    if OURS.name not in rows:
        raise SystemExit(f"no folder holds an evaluated run of {OURS.name}")
    caches = {one["provenance"]["trained_on"]["cache"] for row in rows.values() for one in row.results.values()}
    if len(caches) > 1:
        raise SystemExit(f"the runs are of different caches: {', '.join(sorted(caches))}")
    result: dict[str, Any] = {
        "use": "Research use only. Not for diagnosis.",
        "command": "python benchmarks/joined_table.py " + " ".join(word.split("/")[-1] for word in sys.argv[1:]),
        "commit": commit(),
        "machine": machine(),
        "rows": {},
        "tests": {name: paired_tests(list(rows.values()), TARGETS[name]) for name in ("table1", "table2")},
    }
    columns = (*TARGETS["table1"].columns, *TARGETS["table2"].columns, *REMOVAL)
    for name, row in rows.items():
        result["rows"][name] = {
            "label": row.line.row.label,
            "from": origin[name],
            "seeds": sorted(row.answers),
            "trained": {seed: one["provenance"]["commit"] for seed, one in row.results.items()},
            "cells": {column.key: cell(row, column, None) for column in columns},
        }
        print_cells(name, result["rows"][name]["cells"])
    for tests in result["tests"].values():
        print_tests(tests)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
