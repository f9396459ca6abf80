"""A `table` data set from two CSV files: one row a picture, and one row a lesion's box.

    python scripts/boxes_table.py FOLDER

FOLDER holds images.csv (file, patient, side, view, split, pixel_mm, density, chest_wall), boxes.csv (file, x0, y0, x1,
y1; pixels of the file) and the pictures. Writes FOLDER/table.csv, which `disasymnet prepare table FOLDER` reads and
`disasymnet pretrain` learns lesions from. The official test part becomes the validation part.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from pathlib import Path

SPLITS = {"train": "train", "test": "val"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    with (folder / "boxes.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            boxes[row["file"]].append([float(row[name]) for name in ("x0", "y0", "x1", "y1")])
    with (folder / "images.csv").open(newline="") as file, (folder / "table.csv").open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(
            ["image_path", "patient_id", "laterality", "view", "split", "pixel_mm", "density", "chest_wall",
             "detector", "abnormal", "boxes"]
        )  # fmt: skip
        for row in csv.DictReader(file):
            table.writerow(
                [row["file"], row["patient"], row["side"], row["view"], SPLITS[row["split"]], row["pixel_mm"],
                 row["density"], row["chest_wall"], "film", 1, json.dumps(boxes[row["file"]])]
            )  # fmt: skip


if __name__ == "__main__":
    main()
