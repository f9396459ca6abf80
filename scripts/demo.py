"""The whole path on phantoms: exams, preparation, training, evaluation, prediction, report.

    python scripts/demo.py --out out/demo [--seed 0] [--epochs N] [--threads N]

Each step prints the command it runs, so that it can be repeated by hand. A step that is done is not done again.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

from disasymnet.progress import clock

EXAMS = ["--exams", "440", "--val", "20", "--test", "150"]  # two pairs an exam: 540 to learn from, 300 to test on


def run(number: int, what: str, expected_s: int, left_s: int, words: list[str]) -> None:
    print(
        f"\nStep {number} of 6: {what}\n  $ disasymnet {shlex.join(words)}\n"
        f"  takes about {clock(expected_s)}, whole demo about {clock(left_s)} more",
        flush=True,
    )
    finished = subprocess.run([sys.executable, "-m", "disasymnet.cli", *words], check=False)
    if finished.returncode:
        sys.exit(finished.returncode)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, help="default: the preset's")
    parser.add_argument("--threads", type=int, help="torch threads; default: all cores")
    options = parser.parse_args()
    out: Path = options.out
    exams, cache, trained = out / "exams", out / "cache", out / "run"
    changes = ["--set", f"train.seed={options.seed}"]
    if options.threads:
        changes += ["--threads", str(options.threads)]
    if options.epochs:
        changes += ["--set", f"train.epochs={options.epochs}"]
    if (trained / "recipe.json").is_file():
        changes.append("--resume")

    first = exams / "phantom-00002"
    steps = [
        (
            "phantom exams, written as DICOM mammograms with known truth",
            60,
            ["phantom", str(exams), *EXAMS, "--rows", "512", "--contrast", "easy", "--seed", str(options.seed)],
        ),
        (
            "read, check, pair and scale the pictures",
            40,
            ["prepare", "phantom", str(exams), "--out", str(cache), "--height", "64", "--width", "32"],
        ),
        ("train the small preset", 330, ["train", "phantom", "--data", str(cache), "--out", str(trained), *changes]),
        ("measure it on exams it has not seen", 30,
         ["evaluate", str(trained), "--data", str(cache), "--out", str(out)]),
        ("answer one pair", 5, ["predict", str(first / "R_CC.dcm"), str(first / "L_CC.dcm"),
                                "--model", str(trained), "--out", str(out / "prediction")]),
        ("write the report", 10, ["report", str(trained), "--out", str(out / "report.html"), "--results", str(out)]),
    ]  # fmt: skip
    start = time.monotonic()
    for number, (what, expected, words) in enumerate(steps, 1):
        if number == 1 and (exams / "phantom.json").is_file():
            continue
        left = sum(step[1] for step in steps[number - 1 :])
        run(number, what, expected, left, words)
    print(
        f"\nDone in {clock(time.monotonic() - start)}.\n  report   {out / 'report.html'}\n"
        f"  figures  {out / 'results.json'}\n  model    {trained}\nResearch use only. Not for diagnosis."
    )


if __name__ == "__main__":
    main()
