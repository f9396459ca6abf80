"""`python -m disasymnet.testkit NAME FOLDER`: write one imitation, to see what a data set looks like on disk."""

from __future__ import annotations

import sys
from pathlib import Path

from disasymnet.errors import DisAsymNetError
from disasymnet.testkit import MAKERS, READ_AS


def main(words: list[str]) -> int:
    """Exit code 0, or 2 after one message."""
    if len(words) != 2 or words[0] not in MAKERS:
        print(f"usage: python -m disasymnet.testkit NAME FOLDER\nnames: {', '.join(MAKERS)}", file=sys.stderr)
        return 2
    name, folder = words[0], Path(words[1])
    if folder.exists() and (folder.is_file() or any(folder.iterdir())):
        print(f"{folder}: it is not an empty folder\nName a new one.", file=sys.stderr)
        return 2
    try:
        planted = MAKERS[name](folder)
    except DisAsymNetError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{folder}: {planted.pictures} pictures of {planted.women} phantom women.")
    print(f"Next: disasymnet describe {READ_AS.get(name, name)} {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
