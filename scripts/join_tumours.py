"""One tumour set from several: masses of one data set and clusters of another.

    python scripts/join_tumours.py OUT FOLDER[:KIND] FOLDER[:KIND] ...

Each FOLDER is a tumour set (tumours.csv with its crops); KIND takes its lesions of one kind only. Sources stay with
their crops, so that a data set is still refused its own.

Splits are drawn anew: a detector may have learned the lesions of a data set's train part, so no figure of
removal may rest on them. A source that ends in `train` teaches, one that ends in `test` is shared out between val and
test; of --teach sources all teach; women of others are drawn 70 / 15 / 15.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import shutil
from pathlib import Path

COLUMNS = ("file", "source", "patient", "kind", "box_w", "box_h", "pixel_mm", "split")


def split_of(source: str, patient: str, teach: list[str]) -> str:
    """By the woman alone, whatever stands beside her in the table."""
    drawn = int(hashlib.sha256(f"{source} {patient}".encode()).hexdigest()[:8], 16) / 16**8
    part = source.split()[-1]
    if part == "train" or any(source.startswith(name) for name in teach):
        return "train"
    if part == "test":
        return "val" if drawn < 0.5 else "test"
    return "train" if drawn < 0.7 else "val" if drawn < 0.85 else "test"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("sets", nargs="+", metavar="FOLDER[:KIND]")
    parser.add_argument("--teach", nargs="*", default=[], help="Sources (their first words) whose lesions all teach.")
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
                split = split_of(row["source"], row["patient"], options.teach)
                table.writerow(row | {"file": name, "split": split})
            print(f"{folder}: {len(rows)} lesions")


if __name__ == "__main__":
    main()
