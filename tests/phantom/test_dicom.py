from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

from disasymnet.phantom import PhantomSettings, make_exams

ALL = [f"{side}_{view}" for side in "RL" for view in ("CC", "MLO")]


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dicom") / "set"
    make_exams(out, PhantomSettings(exams=1, rows=128, tumours=0), workers=1, say=lambda line: None)
    return out / "phantom-00001"


@pytest.mark.parametrize("name", ALL)
def test_dciodvfy_finds_no_error(patient: Path, name: str) -> None:
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    done = subprocess.run([program, str(patient / f"{name}.dcm")], capture_output=True, text=True, timeout=60)
    report = done.stdout + done.stderr
    assert "MammographyImageForPresentation" in report
    assert "Error" not in report
    assert "Abort" not in report


@pytest.mark.parametrize("name", ALL)
def test_tags_say_side_view_and_hanging(patient: Path, name: str) -> None:
    file = pydicom.dcmread(patient / f"{name}.dcm")
    side, view = name.split("_")
    assert file.SOPClassUID == "1.2.840.10008.5.1.4.1.1.1.2"
    assert (file.ImageLaterality, file.ViewPosition) == (side, view)
    assert file.ViewCodeSequence[0].CodeValue == {"CC": "399162004", "MLO": "399368009"}[view]
    # Left: rows run from the wall to the front, columns to the right body side (CC) or foot and right (MLO).
    wanted = {"L_CC": "A R", "R_CC": "P L", "L_MLO": "A FR", "R_MLO": "P FL"}[name]
    assert list(file.PatientOrientation) == wanted.split()
    assert file.BurnedInAnnotation == "YES"
    assert str(file.PatientName).startswith("PHANTOM^")
    assert file.ImagerPixelSpacing[0] == pytest.approx(240 / 128, abs=1e-6)
    assert (file.BitsAllocated, file.BitsStored) == (16, 12)


@pytest.mark.parametrize("name", ALL)
def test_chest_wall_is_at_the_edge_of_usual_hanging(patient: Path, name: str) -> None:
    pixels = pydicom.dcmread(patient / f"{name}.dcm").pixel_array
    left, right = pixels[:, :20].mean(), pixels[:, -20:].mean()
    assert (left > 5 * right) if name.startswith("L") else (right > 5 * left)


def test_grey_uses_12_bits_and_air_is_not_flat(patient: Path) -> None:
    pixels = pydicom.dcmread(patient / "L_MLO.dcm").pixel_array
    assert pixels.max() <= 4095
    assert len(np.unique(pixels)) > 500
    air = pixels[-40:, -20:]
    assert 0 < air.std() < 0.01 * 4095


def test_instances_of_an_exam_share_the_study_only(patient: Path) -> None:
    files = [pydicom.dcmread(patient / f"{name}.dcm", stop_before_pixels=True) for name in ALL]
    assert len({file.StudyInstanceUID for file in files}) == 1
    assert len({file.SOPInstanceUID for file in files}) == 4
    assert all(len(file.SOPInstanceUID) <= 64 and file.SOPInstanceUID.is_valid for file in files)


def test_other_settings_give_other_uids(patient: Path, tmp_path: Path) -> None:
    settings = PhantomSettings(exams=1, rows=128, tumours=0, lesions="realistic", symmetric=0.0)
    make_exams(tmp_path / "other", settings, workers=1, say=lambda line: None)
    uids = [
        pydicom.dcmread(folder / "R_CC.dcm", stop_before_pixels=True).SOPInstanceUID
        for folder in (patient, tmp_path / "other" / "phantom-00001")
    ]
    assert uids[0] != uids[1]


def test_film_style_has_256_levels(tmp_path: Path) -> None:
    make_exams(
        tmp_path / "film", PhantomSettings(exams=1, rows=128, tumours=0, style="film"), workers=1, say=lambda line: None
    )
    pixels = pydicom.dcmread(tmp_path / "film" / "phantom-00001" / "R_MLO.dcm").pixel_array
    levels = pixels * (255 / 4095)
    assert np.abs(levels - np.rint(levels)).max() < 0.05
