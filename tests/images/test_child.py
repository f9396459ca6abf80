"""A decoder that dies, hangs or eats memory costs one picture; the next one is read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from disasymnet.errors import PictureError
from disasymnet.images import child
from disasymnet.images.child import Bounds
from disasymnet.images.decode import decode_picture
from disasymnet.images.read import read_picture
from disasymnet.testkit.mammograms import drawn, mammogram, write

# Stands before the real imagecodecs on the child's path: JPEG dies, JPEG-LS hangs, JPEG 2000 eats.
DEADLY = """
import os

def jpeg8_decode(data):
    os.kill(os.getpid(), 11)

def jpegls_decode(data):
    while True:
        pass

def jpeg2k_decode(data):
    return bytearray(2**40)

def packbits_decode(data, out):
    print("a codec's own words", flush=True)
    os.write(1, b"and more")
    raise RuntimeError
"""


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "deadly"
    folder.mkdir()
    (folder / "imagecodecs.py").write_text(DEADLY)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setattr(child, "BOUNDS", Bounds(cpu_s=1))
    monkeypatch.setattr(child, "_child", None)
    yield
    if child._child is not None:
        child._child.close()


def made(path: Path, syntax: str = "1.2.840.10008.1.2.1") -> Path:
    path.write_bytes(write(mammogram(drawn()), drawn(), syntax))
    return path


def refused(path: Path) -> PictureError:
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    assert caught.value.where == str(path)
    assert caught.value.hint
    return caught.value


@pytest.mark.usefixtures("deadly")
@pytest.mark.parametrize(
    ("syntax", "code"),
    [
        (JPEGLosslessSV1, "crash"),
        (JPEGLSLossless, "timeout"),
        (JPEG2000Lossless, "memory"),
        ("1.2.840.10008.1.2.5", "damaged"),
    ],
)
def test_one_picture_is_lost_and_the_next_is_read(tmp_path: Path, syntax: str, code: str) -> None:
    good = made(tmp_path / "good.dcm")
    read_picture(good)
    assert refused(made(tmp_path / "bad.dcm", syntax)).code == code
    assert read_picture(good).pixels.shape == (96, 64)


@pytest.mark.usefixtures("deadly")
def test_a_child_that_does_not_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "BOUNDS", Bounds(cpu_s=60, wall_s=3))
    error = refused(made(tmp_path / "bad.dcm", JPEGLSLossless))
    assert (error.code, "3 s" in error.what) == ("timeout", True)


def test_memory_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_child", None)
    monkeypatch.setattr(child, "BOUNDS", Bounds(memory=16 * 2**20))
    large = drawn(2000, 1500)
    (tmp_path / "x.dcm").write_bytes(write(mammogram(large), large))
    assert refused(tmp_path / "x.dcm").code == "memory"
    assert read_picture(made(tmp_path / "small.dcm")).pixels.shape == (96, 64)
    assert child._child is not None
    child._child.close()


def test_the_child_gives_what_this_process_would(tmp_path: Path) -> None:
    path = made(tmp_path / "x.dcm")
    ours, here = read_picture(path), decode_picture(path)
    np.testing.assert_array_equal(ours.pixels, here.pixels)
    assert (ours.facts, ours.steps) == (here.facts, here.steps)
    assert not ours.pixels.flags.writeable


def test_a_child_that_was_killed_between_two_files_is_replaced(tmp_path: Path) -> None:
    path = made(tmp_path / "x.dcm")
    read_picture(path)
    assert child._child is not None
    first = child._child._process
    first.kill()
    first.wait()
    assert read_picture(path).pixels.shape == (96, 64)
    assert child._child._process.pid != first.pid


def test_an_interrupted_question_leaves_no_stale_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = made(tmp_path / "x.dcm"), tmp_path / "other.dcm"
    other.write_bytes(write(mammogram(drawn(40, 30)), drawn(40, 30)))
    read_picture(path)

    def interrupted(self: object, path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(child._Child, "_receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read_picture(path)
    assert read_picture(other).pixels.shape == (40, 30)


def test_paths_of_any_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / os.fsdecode(b"breast \xff\n\xc3\xa9.dcm")
    assert read_picture(made(path)).pixels.shape == (96, 64)
    monkeypatch.chdir(tmp_path)
    assert read_picture(Path(path.name)).pixels.shape == (96, 64)


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    """A plain script at top level: nothing imports it a second time."""
    script = tmp_path / "script.py"
    made(tmp_path / "x.dcm")
    script.write_text(
        "from pathlib import Path\nfrom disasymnet.images.read import read_picture\n"
        "print(read_picture(Path('x.dcm')).pixels.shape)\n"
    )
    ended = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.stderr) == ("(96, 64)\n", "")
