"""mini-MIAS, real: the rows of `reproduce table1` in full, by density and without CALC, with paired tests.

    disasymnet reproduce table1 --data MIAS --recipe mini-mias --init DRAW --out TABLE
    python benchmarks/mini_mias_table.py --data MIAS --table TABLE

Each pair is judged by the fold that has not seen its woman. Figures are means over the seeds. Tests are made as in
`reproduce` (docs/reproduce.md): paired over women, on the mean logits of the seeds that both rows have; Holm's
correction runs over both AUCs, side accuracy and the CAM's maximum against the five comparators, as far as a method has
the head. Writes results/mini-mias-table.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from disasymnet.data.cache import Cache, CachedPair
from disasymnet.evaluate.provenance import commit, machine
from disasymnet.reproduce.answers import Answers, read_answers
from disasymnet.reproduce.compare import Filled, cell, paired_tests
from disasymnet.reproduce.plan import Line
from disasymnet.reproduce.rows import (
    ABNORMAL,
    ASYMMETRIC,
    DERIVED,
    IOU,
    IOU_CHOSEN,
    KNOWN,
    OURS,
    POINTING,
    REMOVAL,
    SIDES,
    TARGETS,
    TIOU,
)
from disasymnet.terms import FindingKind

SHOWN = (ABNORMAL, SIDES, POINTING, ASYMMETRIC, DERIVED, IOU, IOU_CHOSEN, TIOU)
TESTED = (ABNORMAL, SIDES, POINTING, ASYMMETRIC)


def only(answers: Answers, pairs: set[str]) -> Answers:
    keep = np.array([name in pairs for name in answers.ids])
    parts = ({name: values[keep] for name, values in part.items()} for part in (answers.pair, answers.side))
    ids = tuple(name for name in answers.ids if name in pairs)
    return Answers(ids, answers.patients[keep], *parts)


def rows_of(table: Path) -> dict[str, Filled]:
    """Every row of the table with the answers of its evaluated seeds, in the order of the paper."""
    rows = {}
    for name, row in KNOWN.items():
        seeds = {
            int(done.parents[2].name.removeprefix("seed-")): done.parent
            for done in sorted((table / "runs" / row.folder).glob("seed-*/evaluation/test/results.json"))
        }
        if seeds:
            answers = {seed: read_answers(folder) for seed, folder in seeds.items()}
            results = {seed: json.loads((folder / "results.json").read_text()) for seed, folder in seeds.items()}
            rows[name] = Filled(Line(row, 1.0, ()), answers, results)
    return rows


def print_cells(name: str, cells: dict[str, dict[str, Any]]) -> None:
    shown = ((key, made["value"]) for key, made in cells.items())
    print(f"{name:16}", "  ".join(f"{key} {'NA' if v is None else f'{v:.3f}'}" for key, v in shown), flush=True)


def print_tests(tests: list[dict[str, Any]]) -> None:
    for test in tests:
        if test["difference"] is not None:
            low, high = test["difference"]["ci"]
            corrected = f", corrected {test['p_holm']:.4f}" if test["in_family"] else ""
            said = f"{test['difference']['value']:+.3f} ({low:+.3f} to {high:+.3f}), p {test['p']:.4f}{corrected}"
            print(f"DisAsymNet - {test['row']:16} {test['column']:14} {said}", flush=True)


def has_calc(pair: CachedPair) -> bool:
    return any(finding.kind is FindingKind.CALCIFICATION for side in pair.findings for finding in side)


def subsets_of(cache: Cache) -> dict[str, set[str]]:
    subsets = {"without CALC": {pair.id for pair in cache.pairs if not has_calc(pair)}}
    for density in sorted({pair.density for pair in cache.pairs if pair.density}):
        subsets[f"density {density}"] = {pair.id for pair in cache.pairs if pair.density == density}
    return subsets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("results/mini-mias-table.json"))
    options = parser.parse_args()
    cache = Cache.open(options.data)
    rows = rows_of(options.table)
    if OURS.name not in rows:
        raise SystemExit(f"{options.table} holds no evaluated run of {OURS.name}")
    first = next(iter(rows[OURS.name].results.values()))
    result: dict[str, Any] = {
        "use": "Research use only. Not for diagnosis.",
        "command": "python benchmarks/mini_mias_table.py " + " ".join(word.split("/")[-1] for word in sys.argv[1:]),
        "commit": commit(),
        "machine": machine(),
        "n_pairs": first["n_pairs"],
        "image": cache.image.model_dump(),
        "started_from": first["provenance"]["trained_on"]["start"],
        "outline_asymmetry_auc": first["asymmetry"]["outline_auc"],
        "rows": {},
        "tests": paired_tests(list(rows.values()), replace(TARGETS["table1"], tested=TESTED)),
    }
    subsets = subsets_of(cache)
    for name, row in rows.items():
        result["rows"][name] = {
            "label": row.line.row.label,
            "seeds": sorted(row.answers),
            "cells": {column.key: cell(row, column, None) for column in (*SHOWN, *REMOVAL)},
            "subsets": {
                subset: {
                    column.key: cell(
                        replace(row, answers={seed: only(one, pairs) for seed, one in row.answers.items()}),
                        column,
                        None,
                    )
                    for column in TESTED
                }
                for subset, pairs in subsets.items()
            },
        }
        print_cells(name, result["rows"][name]["cells"])
    print_tests(result["tests"])
    options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
