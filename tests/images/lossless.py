"""Lossless JPEG (T.81 process 14) written bit by bit: slow, but with any predictor and any segment in front."""

from __future__ import annotations

import numpy as np

_CODE_BITS = 5  # 17 categories, all with codes of one length


def encode(stored: np.ndarray, *, bits: int, predictor: int, before: bytes = b"") -> bytes:
    """`before` stands between the start of the picture and its tables."""
    rows, columns = stored.shape
    counts = bytes(17 if length == _CODE_BITS else 0 for length in range(1, 17))
    tables = _segment(0xC4, bytes([0]) + counts + bytes(range(17)))
    size = rows.to_bytes(2) + columns.to_bytes(2)
    frame = _segment(0xC3, bytes([bits]) + size + bytes([1, 1, 0x11, 0]))
    scan = _segment(0xDA, bytes([1, 1, 0, predictor, 0, 0]))
    return b"\xff\xd8" + before + tables + frame + scan + _data(stored.astype(int), bits, predictor) + b"\xff\xd9"


def _segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


def _data(stored: np.ndarray, bits: int, predictor: int) -> bytes:
    words = []
    for row in range(stored.shape[0]):
        for column in range(stored.shape[1]):
            difference = (int(stored[row, column]) - _guess(stored, row, column, bits, predictor)) & 0xFFFF
            difference -= 0x10000 if difference > 0x8000 else 0
            category = abs(difference).bit_length()
            words.append(f"{category:0{_CODE_BITS}b}")
            if 0 < category < 16:
                value = difference if difference > 0 else difference + (1 << category) - 1
                words.append(f"{value:0{category}b}")
    text = "".join(words)
    text += "1" * (-len(text) % 8)
    data = int(text, 2).to_bytes(len(text) // 8)
    return data.replace(b"\xff", b"\xff\x00")


def _guess(stored: np.ndarray, row: int, column: int, bits: int, predictor: int) -> int:
    """Table H.1; the first row looks left, the first column up."""
    if row == column == 0:
        return 1 << (bits - 1)
    if row == 0:
        return int(stored[0, column - 1])
    if column == 0:
        return int(stored[row - 1, 0])
    a, b, c = int(stored[row, column - 1]), int(stored[row - 1, column]), int(stored[row - 1, column - 1])
    guesses = {1: a, 2: b, 3: c, 4: a + b - c, 5: a + ((b - c) >> 1), 6: b + ((a - c) >> 1), 7: (a + b) >> 1}
    return guesses[predictor]
