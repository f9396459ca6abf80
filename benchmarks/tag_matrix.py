"""The tag matrix through `scan`: wrong pairs, missed pairs, what stays unresolved, and how paired pictures lie.

    python benchmarks/tag_matrix.py [--seed 0] [--out results/tag-matrix.json]

Studies, files and the expected table are those of `disasymnet.testkit.tag_matrix`; the table stands, too, in
tests/data/tag-matrix.csv. *Wrong pair*: two files that the table does not pair. *Unresolved*: a file that takes no part
in a pair; each stands in rejected.csv with code, reason and next step. *Lies wrong*: the mark in a picture of a pair is
not, on the model grid, where the table has it (upright, or upside down where no tag tells or the tag is wrong).
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from disasymnet.data.files import replace_file
from disasymnet.testkit.tag_matrix import judge, judge_lie, write_matrix

LIES = ("upright", "upside down", "on its side")
"""How pictures of pairs should lie; of those on their side, which no tag says, nothing is checked."""


def run(folder: Path, seed: int) -> dict[str, Any]:
    rows = write_matrix(folder / "matrix", seed)
    start = time.monotonic()
    words = ["-m", "disasymnet.cli", "scan", str(folder / "matrix" / "files"), "--out", str(folder / "tables")]
    subprocess.run([sys.executable, *words], check=True, capture_output=True)
    took = time.monotonic() - start
    seen = judge(rows, folder / "tables")
    lies_wrong = judge_lie(rows, folder / "tables", folder / "matrix" / "files")
    with (folder / "tables" / "rejected.csv").open(newline="", encoding="utf-8") as file:
        told = all(row["code"] and row["reason"] and row["hint"] for row in csv.DictReader(file))
    return {
        "studies": len({row.study for row in rows}),
        "files": len(rows),
        "pairs_expected": sum(row.expected == "pair" for row in rows) // 2,
        "pairs_made": seen.pairs,
        "wrong_pairs": len(seen.wrong_pairs),
        "missed_pairs": len(seen.missed_pairs),
        "pictures_expected": {kind: sum(row.lies == kind for row in rows) for kind in LIES},
        "pictures_that_lie_wrong": len(lies_wrong),
        "files_with_another_code": len(seen.other_codes),
        "files_in_no_table": len(seen.unlisted),
        "unresolved": sum(seen.codes.values()),
        "unresolved_by_code": seen.codes,
        "each_with_reason_and_next_step": told,
        "scan_s": round(took, 1),
        "troubles": [*seen.wrong_pairs, *seen.missed_pairs, *seen.other_codes, *seen.unlisted, *lies_wrong],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/tag-matrix.json"))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = run(Path(folder), chosen.seed)
    # Not above: it brings torch, which would count as the reader's memory.
    from disasymnet.evaluate.provenance import commit, machine

    report = {
        "schema": 1,
        "command": "python " + " ".join(sys.argv),
        "commit": commit(),
        "machine": machine(),
        "seed": chosen.seed,
        **found,
    }
    replace_file(chosen.out, (json.dumps(report, indent=2) + "\n").encode())
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
