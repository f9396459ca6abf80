from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from disasymnet.cli import app
from disasymnet.testkit.mammograms import drawn, mammogram, write


def test_each_step_with_its_range_and_its_picture(tmp_path: Path) -> None:
    stored = drawn()
    tags = {"PixelPaddingValue": int(stored.min()), "RescaleSlope": 2, "RescaleIntercept": -10}
    dataset = mammogram(stored, WindowCenter=2000, WindowWidth=4000, PhotometricInterpretation="MONOCHROME1", **tags)
    (tmp_path / "x.dcm").write_bytes(write(dataset, stored))
    told = CliRunner().invoke(app, ["explain", str(tmp_path / "x.dcm"), "--out", str(tmp_path / "out")])
    assert told.exit_code == 0, told.output
    rows = {line.split()[0]: line.split()[1:3] for line in told.output.splitlines() if line[:1].isalpha()}
    low, high = sorted(set(stored.ravel().tolist()))[1], int(stored.max())
    assert rows["stored"] == [f"{stored.min():g}", f"{high:g}"]
    assert rows["padding"] == [f"{low:g}", f"{high:g}"]
    assert rows["modality"] == [f"{2 * low - 10:g}", f"{2 * high - 10:g}"]
    for words in (
        "breast L (ImageLaterality)",
        "view CC (ViewPosition)",
        "lenient mode",
        "window 1 of 1",
        "Research use",
    ):
        assert words in told.output
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["1-stored.png", "2-padding.png", "3-modality.png", "4-voi.png", "5-inversion.png"]
    with Image.open(tmp_path / "out" / "1-stored.png") as file:
        seen = np.asarray(file)
        assert "Research use only" in file.text["Description"]  # type: ignore[attr-defined]
    expected = np.rint((stored - float(stored.min())) / (stored.max() - stored.min()) * 255)
    np.testing.assert_array_equal(seen, expected.astype(np.uint8))


def test_raster_files_too(tmp_path: Path) -> None:
    Image.fromarray(drawn()).save(tmp_path / "x.png")
    told = CliRunner().invoke(app, ["explain", str(tmp_path / "x.png")])
    assert told.exit_code == 0
    assert "raster file" in told.output
    assert "breast not stated" in told.output
