"""One tumour set from several: masses of one data set and clusters of another.

    python scripts/join_tumours.py OUT FOLDER[:KIND] FOLDER[:KIND] ...

Each FOLDER is a tumour set (tumours.csv with its crops); KIND takes its lesions of one kind only. Sources stay with
their crops, so that a data set is still refused its own. The splits are drawn anew, by woman.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from pathlib import Path

COLUMNS = ("file", "source", "patient", "kind", "box_w", "box_h", "pixel_mm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("sets", nargs="+", metavar="FOLDER[:KIND]")
    options = parser.parse_args()
    (options.out / "crops").mkdir(parents=True)
    with (options.out / "tumours.csv").open("w", newline="") as out:
        table = csv.DictWriter(out, COLUMNS, extrasaction="ignore")
        table.writeheader()
        for number, text in enumerate(options.sets):
            folder, _, kind = text.partition(":")
            with (Path(folder) / "tumours.csv").open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if kind in ("", row["kind"])]
            for row in rows:
                name = f"crops/{number}_{Path(row['file']).name}"
                shutil.copyfile(Path(folder) / row["file"], options.out / name)
                table.writerow(row | {"file": name})
            print(f"{folder}: {len(rows)} lesions")


if __name__ == "__main__":
    main()
