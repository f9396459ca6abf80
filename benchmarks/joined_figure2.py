"""Figure 2 of several `reproduce` folders: rows that were trained with different settings in one picture.

    disasymnet reproduce figure2 ... --methods late-fusion,asym-attention --out TABLE
    disasymnet reproduce figure2 ... --methods disasymnet --set model.losses.refine=0.05 --out CHANGED
    python benchmarks/joined_figure2.py --tables TABLE CHANGED --out results/figure2.json --picture docs

The folders must be of one cache and whole. Writes the rows as JSON and figure2.svg into the folder `--picture`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from disasymnet.evaluate.provenance import commit, machine
from disasymnet.reproduce.figures import write_figure2
from disasymnet.reproduce.rows import TARGETS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, default=Path("results/figure2.json"))
    parser.add_argument("--picture", type=Path, default=Path("docs"))
    options = parser.parse_args()
    trees: list[dict[str, Any]] = [json.loads((table / "figure2.json").read_text()) for table in options.tables]
    if len({tree["provenance"]["cache"] for tree in trees}) > 1:
        raise SystemExit("the folders are of different caches")
    if left := [run for tree in trees for run in tree["missing"]]:
        raise SystemExit(f"{len(left)} runs are missing, the first: {left[0]}")
    result: dict[str, Any] = {
        "use": "Research use only. Not for diagnosis.",
        "command": "python benchmarks/joined_figure2.py " + " ".join(word.split("/")[-1] for word in sys.argv[1:]),
        "commit": commit(),
        "machine": machine(),
        "dataset": trees[0]["dataset"],
        "recipe": trees[0]["recipe"],
        "rows": [
            {key: row[key] for key in ("name", "label", "share", "seeds", "cells")}
            | {"set": tree["set"], "trained": tree["provenance"]["commit"]}
            for tree in trees
            for row in tree["rows"]
        ],
    }
    for row in result["rows"]:
        shown = ((key, one["value"], one["sd"]) for key, one in row["cells"].items() if one["value"] is not None)
        said = "  ".join(f"{key} {value:.3f}" + (f" +- {sd:.3f}" if sd is not None else "") for key, value, sd in shown)
        print(f"{row['name']:16} {100 * row['share']:3g} %  {said}")
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(write_figure2(options.picture, result, TARGETS["figure2"].columns[0]))


if __name__ == "__main__":
    main()
