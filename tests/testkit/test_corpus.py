"""The corpus is the same for the same seed, and the reader answers each of its files as it should."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from disasymnet.errors import PictureError
from disasymnet.images.decode import is_dicom
from disasymnet.images.picture import Picture
from disasymnet.images.read import read_picture
from disasymnet.images.refusals import NEXT_STEP
from disasymnet.testkit.corpus import make, write_corpus
from disasymnet.testkit.damage import KINDS

FILES = 6 * len(KINDS)


def test_same_seed_same_bytes_and_more_files_leave_the_others_alone() -> None:
    def contents(seed: int, files: int) -> list[bytes]:
        return [bad.content for _, bad in make(seed, files)]

    few = contents(3, len(KINDS))
    assert contents(3, len(KINDS) + 3)[: len(KINDS)] == few
    assert contents(4, len(KINDS)) != few


def test_every_expected_code_is_one_of_the_readers() -> None:
    for entry, _ in make(1, FILES):
        assert set(entry.expect) <= {*NEXT_STEP, "ok", "refused"}
        assert entry.kind in KINDS


def test_no_file_gets_through_wrongly_and_each_refusal_helps(tmp_path: Path) -> None:
    answers = []
    for entry in write_corpus(tmp_path, seed=11, files=FILES):
        path = tmp_path / entry.file
        answer = read(path)
        if isinstance(answer, PictureError):
            answers.append(answer.code)
            assert answer.code not in ("crash", "timeout", "unexpected"), entry
            assert answer.where == str(path)
            assert answer.what
            assert answer.hint
            assert answer.tag is not None or not _dicom(path), entry
        else:
            answers.append("ok")
            assert answer.pixels.min() >= 0
            assert answer.pixels.max() <= 1
        assert entry.accepts(answers[-1]), (entry, answers[-1])
    assert len(set(answers)) > 10
    assert answers.count("ok") < FILES / 3


def read(path: Path) -> Picture | PictureError:
    """Any other exception comes through."""
    try:
        return read_picture(path)
    except PictureError as error:
        return error


def _dicom(path: Path) -> bool:
    try:
        return is_dicom(path)
    except PictureError:
        return False


def test_nothing_outside_is_touched(tmp_path: Path) -> None:
    """DICOMDIRs and archives that name files outside of their folder: those are neither read nor written."""
    inside = tmp_path / "a" / "b"
    outside = tmp_path / "outside.dcm"
    outside.write_bytes(b"untouched")
    outside.chmod(0o000)
    before = outside.stat().st_atime_ns
    for entry in write_corpus(inside, seed=0, files=20 * len(KINDS)):
        if "way out" in entry.what:
            with pytest.raises(PictureError) as caught:
                read_picture(inside / entry.file)
            assert caught.value.code in ("directory", "not_dicom")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "outside.dcm"]
    assert outside.stat().st_atime_ns == before


def test_the_command(tmp_path: Path) -> None:
    words = [sys.executable, "-W", "error", "-m", "disasymnet.testkit.corpus", str(tmp_path / "out"), "--files", "20"]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "20 files" in ended.stdout
    listed = json.loads((tmp_path / "out" / "corpus.json").read_text())
    assert sorted(entry["file"] for entry in listed) == sorted(
        path.name for path in (tmp_path / "out").iterdir() if path.name != "corpus.json"
    )
