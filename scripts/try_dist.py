"""Build wheel and sdist, install each alone into an empty environment, and go from phantoms to an answer with it.

    python scripts/try_dist.py [--python PYTHON] [--out results/dist.json]

Works in a temporary folder away from the checkout. Where pip takes torch from is pip's configuration. Writes what was
installed and what each command ended with.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    "--version",
    "doctor",
    "phantom exams --exams 12 --rows 128 --contrast easy --val 2 --test 2",
    "prepare phantom exams --out cache --height 64 --width 32",
    "train phantom --data cache --out run --set train.epochs=1",
    "predict exams/phantom-00001/R_CC.dcm exams/phantom-00001/L_CC.dcm --model run --out answer",
)


def try_one(file: Path, python: str, folder: Path) -> dict[str, Any]:
    """Install one file into a new environment and run the commands there."""
    subprocess.run([python, "-m", "venv", str(folder / "env")], check=True)
    there = folder / "env" / "bin"
    pip = [str(there / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "-c", str(ROOT / "constraints.txt"), str(file)], check=True)
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    ended = {}
    for command in COMMANDS:
        words = [str(there / "disasymnet"), *shlex.split(command)]
        done = subprocess.run(words, cwd=folder, env=clean, capture_output=True, text=True, check=False)
        ended[command] = done.returncode
        print(f"{file.name}: disasymnet {command}: exit code {done.returncode}", flush=True)
        if done.returncode:
            print(done.stdout[-2000:], done.stderr[-2000:], flush=True)
    frozen = subprocess.run([*pip, "freeze"], capture_output=True, text=True, check=True).stdout.split("\n")
    version = subprocess.run([str(there / "python"), "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "file": file.name,
        "kib": file.stat().st_size // 1024,
        "python": version.split()[1],
        "installed": [line for line in frozen if "==" in line],
        "exit_codes": ended,
        "answer": sorted(path.name for path in (folder / "answer").glob("*")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="the interpreter of the new environments")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "dist.json")
    options = parser.parse_args()
    from disasymnet.evaluate.provenance import commit, machine

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        subprocess.run(
            [sys.executable, "-m", "build", "--outdir", str(work), str(ROOT)], check=True, capture_output=True
        )
        tried = []
        for pattern in ("*.whl", "*.tar.gz"):
            (file,) = work.glob(pattern)
            folder = work / pattern.strip("*.").replace(".", "-")
            folder.mkdir()
            tried.append(try_one(file, options.python, folder))
    result = {"command": "python scripts/try_dist.py", "commit": commit(), "machine": machine(), "tried": tried}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    if any(code for one in tried for code in one["exit_codes"].values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
