"""The demo's figures over seeds: phantoms, training and evaluation made anew for each.

    python benchmarks/phantom_demo.py out/demo-0 out/demo-1 out/demo-2

Each folder comes from `python scripts/demo.py --out out/demo-N --seed N`. Prints a table and writes
results/phantom-demo.json: mean and range over seeds, and each seed's value with its interval over women.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from disasymnet.evaluate.provenance import commit, machine

FIGURES = (
    "asymmetry.auc",
    "abnormality.auc",
    "side_accuracy",
    "pointing.cam",
    "pointing.x_ab",
    "pointing.difference",
    "localisation.cam.iou",
    "localisation.difference.iou",
    "reconstruction.inside_ratio",
    "reconstruction.outside_error",
    "reconstruction.black_holes",
    "reconstruction.removed_share",
    "reconstruction.missed_share",
)


def figure(results: dict[str, Any], name: str) -> dict[str, Any]:
    found: Any = results
    for key in name.split("."):
        found = found[key]
    return {key: found[key] for key in ("value", "ci", "unit", "n")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("results/phantom-demo.json"))
    options = parser.parse_args()
    seeds = [json.loads((folder / "results.json").read_text()) for folder in options.folders]
    table: dict[str, Any] = {}
    print("| figure | mean of seeds | " + " | ".join(f"seed {number}" for number in range(len(seeds))) + " |")
    print("|---|" + "---|" * (len(seeds) + 1))
    for name in FIGURES:
        each = [figure(results, name) for results in seeds]
        mean = statistics.fmean(entry["value"] for entry in each)
        table[name] = {"mean": mean, "seeds": each}
        cells = [f"{entry['value']:.3f} ({entry['ci'][0]:.3f} to {entry['ci'][1]:.3f})" for entry in each]
        print(f"| {name} | **{mean:.3f}** | " + " | ".join(cells) + " |")
    options.out.write_text(
        json.dumps(
            {
                "command": "python benchmarks/phantom_demo.py " + " ".join(sys.argv[1:]),
                "commit": commit(),
                "machine": machine(),
                "seeds": len(seeds),
                "n_pairs": [results["n_pairs"] for results in seeds],
                "figures": table,
            },
            indent=1,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
