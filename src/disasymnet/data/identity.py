"""What patients, exams and pictures are called in a cache: by name where their set is public, else by a hash."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from pathlib import Path

from disasymnet.data.files import replace_file
from disasymnet.errors import printable
from disasymnet.records import Mammogram


class Names:
    """What patients, exams and pictures are called inside the cache."""

    def __init__(self, salt: str, *, public: bool, show: bool = False) -> None:
        self._public, self._show, self._salt = public, public or show, salt

    @classmethod
    def of_cache(cls, root: Path, *, public: bool, show: bool = False) -> Names:
        """The names of the cache at `root`; `show` lets file names into the list of what was left out.

        A salt is drawn once for each cache of a set that is not public, so that names cannot be found by trying them.
        """
        path = root / "salt"
        if not public and not path.is_file():
            replace_file(path, secrets.token_hex(16).encode())
        return cls("" if public else path.read_text(encoding="ascii"), public=public, show=show)

    def of(self, kind: str, *words: str) -> str:
        """The words themselves of a public set, else a salted hash."""
        return "-".join(dict.fromkeys(words)) if self._public else self._hash(kind, *words)

    def id(self, *words: str) -> str:
        """A name that may be a file's: readable where the set is public and its names are plain."""
        plain = "-".join(dict.fromkeys(words))
        if self._public and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}", plain):
            return plain
        return self._hash("id", *words)

    def secret(self, kind: str, *words: str) -> str:
        """A hash, salted where the set is not public, of words that are shown of no set."""
        return self._hash(kind, *words)

    def picture(self, path: Path) -> str:
        """The last two parts of a public picture's path, else a salted hash."""
        return "/".join(path.parts[-2:]) if self._show else self._hash("picture", str(path))

    def shown(self, pictures: Sequence[Mammogram], plain: str, hidden: str) -> str:
        """What a person reads: with the file names where the set is public."""
        stems = ", ".join(picture.path.stem for picture in pictures)
        return f"{plain} ({printable(stems)})" if self._public else hidden

    def without(self, text: str, path: Path) -> str:
        """The text without the picture's name, where that may not be shown."""
        if not self._show:
            for part in (str(path), path.name, path.stem):
                text = text.replace(part, "the picture") if len(part) > 2 else text
        return text

    def _hash(self, *words: str) -> str:
        return hashlib.sha256("\x1f".join((self._salt, *words)).encode("utf-8", "surrogateescape")).hexdigest()[:16]
