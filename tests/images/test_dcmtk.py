"""The grey of dcmtk, another implementation: at most one level of 255 apart.

Skipped where dcmtk's programs are not, but for a machine that names the real mammograms: it must have them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from disasymnet.images.read import Reading, read_picture
from disasymnet.phantom import PhantomSettings, make_exams
from disasymnet.testkit.mammograms import drawn, mammogram, write
from tests.images.test_grey import lut

PROGRAMS = ("dcmj2pnm", "dcml2pnm", "dcmcjpeg", "dcmcjpls", "dcmcrle")


@pytest.fixture(autouse=True)
def _dcmtk() -> None:
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing and os.environ.get("DISASYMNET_TEST_DATA"):
        pytest.fail(f"DISASYMNET_TEST_DATA asks for every check, and dcmtk's {missing[0]} is missing: install dcmtk")
    if missing:
        pytest.skip(f"dcmtk's {missing[0]} is not installed")


def by_dcmtk(path: Path, *words: str) -> NDArray[np.int64]:
    """The picture as dcmtk's programs draw it, 8 bits."""
    out = path.with_suffix(".pgm")
    syntax = pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID
    program = "dcml2pnm" if syntax in (JPEGLSLossless, JPEGLSNearLossless) else "dcmj2pnm"
    ended = subprocess.run([program, "--no-overlays", *words, path, out], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    with Image.open(out) as file:
        return np.asarray(file).astype(np.int64)


def apart(path: Path, *words: str, voi: str = "auto", least: int = 100) -> int:
    ours = np.rint(read_picture(path, Reading(voi=voi)).pixels * 255).astype(np.int64)
    theirs = by_dcmtk(path, *words)
    assert np.ptp(theirs) > least  # not a flat picture
    return int(np.abs(ours - theirs).max())


def made(path: Path, syntax: str = ExplicitVRLittleEndian, **tags: Any) -> Path:
    stored = drawn(120, 90)
    path.write_bytes(write(mammogram(stored, **tags), stored, syntax))
    return path


WINDOW = {"WindowCenter": [1500, 1000], "WindowWidth": [2600, 1500]}


@pytest.mark.parametrize(
    ("tags", "words", "voi"),
    [
        (WINDOW, ["+Wi", "1"], "auto"),
        (WINDOW, ["+Wi", "2"], "window2"),
        ({}, ["+Wm"], "auto"),
        (WINDOW, ["+Wm"], "none"),
        ({**WINDOW, "VOILUTFunction": "SIGMOID"}, ["+Wi", "1", "+Wfs"], "auto"),
        ({**WINDOW, "PhotometricInterpretation": "MONOCHROME1"}, ["+Wi", "1"], "auto"),
        (
            {**WINDOW, "PhotometricInterpretation": "MONOCHROME2", "PresentationLUTShape": "INVERSE"},
            ["+Wi", "1"],
            "auto",
        ),
        (
            {**WINDOW, "PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
            ["+Wi", "1"],
            "auto",
        ),
        ({**WINDOW, "RescaleSlope": 2, "RescaleIntercept": -700}, ["+Wi", "1"], "auto"),
        ({"VOILUTSequence": [lut(0, [min(i * i // 4096, 4095) for i in range(4096)], 12)]}, ["+Wl", "1"], "auto"),
        ({"VOILUTSequence": [lut(0, [12 * i for i in range(4096)], 16)]}, ["+Wl", "1"], "auto"),
        ({"VOILUTSequence": [lut(100, [4 * i for i in range(3000)], 14)]}, ["+Wl", "1"], "auto"),
    ],
)
def test_voi_and_photometric(tmp_path: Path, tags: dict[str, Any], words: list[str], voi: str) -> None:
    assert apart(made(tmp_path / "x.dcm", **tags), *words, voi=voi) <= 1


@pytest.mark.parametrize(("bits", "top"), [(16, 20000), (16, 40000), (16, 65535), (16, 4095), (14, 4095), (12, 2000)])
def test_a_voi_lut_has_the_range_of_its_declared_bits(tmp_path: Path, bits: int, top: int) -> None:
    table = [round(entry * top / 4095) for entry in range(4096)]
    path = made(tmp_path / "x.dcm", VOILUTSequence=[lut(0, table, bits)])
    assert apart(path, "+Wl", "1", least=0) <= 1


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1,
        JPEGLSLossless, JPEGLSNearLossless,
    ],
)  # fmt: skip
def test_transfer_syntaxes(tmp_path: Path, syntax: str) -> None:
    assert apart(made(tmp_path / "x.dcm", syntax, WindowCenter=2048, WindowWidth=4096), "+Wi", "1") <= 1


@pytest.mark.parametrize(
    ("program", "words", "syntax"),
    [
        ("dcmcjpeg", ["+el"], JPEGLossless),
        ("dcmcjpeg", ["+e1"], JPEGLosslessSV1),
        ("dcmcjpls", ["+el"], JPEGLSLossless),
        ("dcmcrle", [], RLELossless),
    ],
)
def test_what_dcmtk_compresses_is_read_exactly(tmp_path: Path, program: str, words: list[str], syntax: str) -> None:
    plain, packed = made(tmp_path / "plain.dcm"), tmp_path / "packed.dcm"
    subprocess.run([program, *words, plain, packed], check=True, capture_output=True)
    assert pydicom.dcmread(packed, stop_before_pixels=True).file_meta.TransferSyntaxUID == syntax
    np.testing.assert_array_equal(read_picture(packed).pixels, read_picture(plain).pixels)


@pytest.mark.slow
@pytest.mark.parametrize("style", ["digital", "film"])
def test_phantoms(tmp_path: Path, style: str) -> None:
    settings = PhantomSettings(exams=4, rows=256, style=style, seed=3, tumours=0)  # type: ignore[arg-type]
    make_exams(tmp_path / "exams", settings, workers=1, say=lambda line: None)
    files = sorted((tmp_path / "exams").rglob("*.dcm"))
    assert len(files) >= 16
    for path in files:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        assert apart(path, *(["+Wi", "1"] if "WindowCenter" in header else ["+Wm"])) <= 1


@pytest.mark.data
def test_real_samples(tmp_path: Path, real_data: Path) -> None:
    for path in sorted((real_data / "real-samples").glob("*/*.dcm")):
        dataset = pydicom.dcmread(path)
        if "j2k" in path.name.lower():
            dataset.decompress(generate_instance_uid=False)  # dcmtk reads no JPEG 2000; the grey is what is compared
        copy = tmp_path / path.name
        dataset.save_as(copy)
        assert apart(copy, *(["+Wi", "1"] if "WindowCenter" in dataset else ["+Wm"])) <= 1
