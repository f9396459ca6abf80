"""A corpus of broken files, made from a seed: for this reader and for any other.

    python -m disasymnet.testkit.corpus OUT [--files 560] [--seed 0]

Beside the files stands `corpus.json`, a list of {file, kind, what, expect}: `expect` holds the codes of refusals that
are right, `refused` for any refusal and `ok` for a picture. Same seed, same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pydicom import config

from disasymnet.testkit.damage import KINDS, Bad


@dataclass(frozen=True)
class Entry:
    """One file of the corpus."""

    file: str
    kind: str
    what: str
    expect: tuple[str, ...]

    def accepts(self, code: str) -> bool:
        """True if the answer is right: `ok`, or the code of a refusal."""
        return code in self.expect or (code != "ok" and "refused" in self.expect)


def make(seed: int, files: int) -> Iterator[tuple[Entry, Bad]]:
    """The files one by one, kinds in turn. Each has a generator of its own: more files leave the others as they are."""
    kinds = list(KINDS)
    for number in range(files):
        kind = kinds[number % len(kinds)]
        with config.disable_value_validation():  # broken values are what is wanted
            bad = KINDS[kind](np.random.default_rng([seed, number]))
        yield Entry(f"{number:05d}-{kind}{bad.suffix}", kind, bad.what, bad.expect), bad


def write_corpus(out: Path, seed: int = 0, files: int = 560) -> list[Entry]:
    """The files and `corpus.json` in a folder."""
    out.mkdir(parents=True, exist_ok=True)
    entries = []
    for entry, bad in make(seed, files):
        (out / entry.file).write_bytes(bad.content)
        entries.append(entry)
    text = json.dumps([asdict(entry) for entry in entries], indent=1) + "\n"
    (out / "corpus.json").write_text(text, encoding="utf-8")
    return entries


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--files", type=int, default=560)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    entries = write_corpus(chosen.out, chosen.seed, chosen.files)
    print(f"{chosen.out}: {len(entries)} files of {len(KINDS)} kinds, corpus.json lists them")


if __name__ == "__main__":
    main()
