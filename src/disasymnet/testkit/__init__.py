"""Small imitations of every data set, in its true folders and file formats, with its known traps planted.

The pictures are phantoms, so nothing has to be downloaded and nobody's data is in them. Each maker of `MAKERS` writes
one data set below a folder and returns what a reader has to find there, counted by hand.
"""

from __future__ import annotations

from disasymnet.testkit.planted import Planted

__all__ = ["Planted"]
