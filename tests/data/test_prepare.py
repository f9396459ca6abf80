from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from disasymnet.data.cache import Cache
from disasymnet.data.prepare import PrepareOptions, prepare
from disasymnet.datasets.folder import scan as scan_folder
from disasymnet.errors import CacheError, DatasetError, LeakError
from disasymnet.records import Circle, Finding, Mammogram, MaskFile, Rejected, Scan
from disasymnet.terms import Laterality, View
from disasymnet.testkit.mammograms import mammogram as dicom
from disasymnet.testkit.mammograms import write
from disasymnet.testkit.studies import Shot, Study
from tests.images.drawn import breast as drawn_breast

from .exams import COLUMNS, ROWS, SETTINGS, make_scan, mammogram, save_picture
from .killed import kill_when_begun

R, L = Laterality.RIGHT, Laterality.LEFT
OPTIONS = PrepareOptions("made-up", True, workers=1)


def run(scan: Scan, out: Path, options: PrepareOptions = OPTIONS) -> tuple[Cache, list[str]]:
    said: list[str] = []
    return prepare(scan, SETTINGS, out, options, said.append), said


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def rejected(root: Path) -> dict[str, str]:
    with (root / "rejected.csv").open(newline="") as file:
        return {row["picture"].split("/")[-1]: row["code"] for row in csv.DictReader(file)}


def test_pictures_labels_and_lesions_come_to_their_places(tmp_path: Path) -> None:
    cache, said = run(make_scan(tmp_path / "in"), tmp_path / "out")
    assert len(cache.pairs) == 6
    assert any("6 pairs (3 asymmetric, 3 symmetric, 0 unknown" in line for line in said)
    for pair in cache.pairs:
        number = int(pair.patient[4:])
        arrays = cache.arrays(pair.id)
        assert tuple(pair.abnormal) == (number % 2 == 1, False)
        assert pair.pixel_mm == 2.0
        assert arrays.breast[:, 32, 0].all()  # chest wall at column 0 on both sides
        assert (arrays.image[~arrays.breast] == 0).all()
        assert arrays.lesion.any() == (number % 2 == 1)
        if number % 2:
            (finding,) = pair.findings.right
            assert finding.box is not None
            # 30 pixels of 1 mm from the wall are 15 of 2 mm; the breast's middle is at mid-height.
            assert (finding.box.x0, finding.box.x1) == pytest.approx((12.5, 17.5))
            assert (finding.box.y0, finding.box.y1) == pytest.approx((29.5, 34.5))
            assert (finding.circle is not None) == (number % 4 == 1)
            grey = arrays.image[0].astype(float)
            ring = arrays.breast[0] & ~arrays.lesion[0]
            assert grey[arrays.lesion[0]].mean() > grey[ring].mean() + 0.1 * 65535
    assert (tmp_path / "out" / "contact-sheet.png").is_file()


def test_the_same_bytes_from_any_number_of_workers(tmp_path: Path) -> None:
    scan = make_scan(tmp_path / "in")
    run(scan, tmp_path / "one")
    run(scan, tmp_path / "two", replace(OPTIONS, workers=2))
    assert content(tmp_path / "one") == content(tmp_path / "two")


CHILD = """
import sys
from pathlib import Path
from disasymnet.data.prepare import PrepareOptions, prepare
sys.path.insert(0, sys.argv[3])
from tests.data.exams import SETTINGS, make_scan
scan = make_scan(Path(sys.argv[1]), 30)
print("ready", flush=True)
prepare(scan, SETTINGS, Path(sys.argv[2]), PrepareOptions("made-up", False, workers=1), lambda line: None)
"""


def test_a_killed_run_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    root, out = tmp_path / "in", tmp_path / "killed"
    script = [sys.executable, "-c", CHILD, str(root), str(out), str(Path(__file__).parents[2])]
    child = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    kill_when_begun(child, out)
    with pytest.raises(CacheError, match="no prepared cache"):
        Cache.open(out)
    begun = {path: path.stat().st_mtime_ns for path in out.glob("pairs/*.json")}
    torn = next(iter(sorted(out.glob("pairs/*.safetensors"))))
    torn.write_bytes(torn.read_bytes()[:-1])  # and one file is damaged

    scan = Scan(make_scan(root, 30).pictures)
    private = PrepareOptions("made-up", False, workers=1)
    _, said = run(scan, out, private)
    assert f"{len(begun) - 1} of them were finished already" in said
    whole = tmp_path / "whole"
    whole.mkdir()
    shutil.copy(out / "request.json", whole)
    shutil.copy(out / "salt", whole)
    run(scan, whole, private)
    assert content(out) == content(whole)
    assert sum(path.stat().st_mtime_ns == at for path, at in begun.items()) == len(begun) - 1


def test_what_changed_is_made_again_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    scan, out = make_scan(tmp_path / "in"), tmp_path / "out"
    run(scan, out)
    save_picture(scan.pictures[0].path, 99, R)
    relabelled = replace(scan.pictures[3], abnormal=True)
    pictures = (*scan.pictures[:3], relabelled, *scan.pictures[4:-2])
    cache, said = run(Scan(pictures), out)
    assert "3 of them were finished already" in said
    assert len(cache.pairs) == len(list(out.glob("pairs/*.safetensors"))) == 5
    fresh, _ = run(Scan(pictures), tmp_path / "fresh")
    assert content(out) == content(fresh.path)


def test_one_bad_file_is_a_row_and_not_the_end(tmp_path: Path) -> None:
    scan = make_scan(tmp_path / "in")
    bad, gone, black = (scan.pictures[number].path for number in (0, 3, 4))
    bad.write_bytes(bad.read_bytes()[:300])
    gone.unlink()
    Image.fromarray(np.zeros((ROWS, COLUMNS), dtype=np.uint8)).save(black)
    cache, said = run(scan, tmp_path / "out")
    assert len(cache.pairs) == 3
    assert rejected(tmp_path / "out") == {
        "anna00_R.png": "damaged",
        "anna00_L.png": "partner",
        "anna01_L.png": "missing",
        "anna02_R.png": "constant",
        "anna02_L.png": "partner",
    }
    assert [single.patient for single in cache.singles] == ["anna01"]  # whose right breast has a lesion with a place
    assert any("5 files left out (1 constant, 1 damaged, 1 missing, 2 partner)" in line for line in said)


def test_pictures_without_partner_stay_where_they_have_a_region(tmp_path: Path) -> None:
    scan = make_scan(tmp_path / "in", 4)
    # The left breasts of a healthy and of a sick patient are missing; of a third, one view is given twice.
    twice = replace(scan.pictures[0], path=save_picture(tmp_path / "in" / "again.png", 5, R))
    kept = [picture for number, picture in enumerate(scan.pictures) if number not in (3, 5)]
    unknown = Mammogram(tmp_path / "in" / "x.png", "berta", None, None, View.CC)
    cache, _ = run(
        Scan((*kept, twice, unknown), (Rejected(Path("y/notes.txt"), "not_a_picture", "text"),)), tmp_path / "out"
    )
    assert [pair.patient for pair in cache.pairs] == ["anna03"]
    (single,) = cache.singles
    assert (single.patient, single.laterality, single.abnormal) == ("anna01", R, True)
    arrays = cache.arrays(single.id)
    assert arrays.image.shape == (1, 64, 32)
    assert arrays.lesion.any()
    assert rejected(tmp_path / "out") == {
        "anna00_R.png": "duplicate",
        "again.png": "duplicate",
        "anna00_L.png": "unpaired",
        "anna02_R.png": "unpaired",
        "x.png": "no_side",
        "notes.txt": "not_a_picture",
    }


def test_names_of_a_private_set_appear_nowhere(tmp_path: Path) -> None:
    scan = make_scan(tmp_path / "annas", 4)
    scan.pictures[0].path.write_bytes(b"no picture")
    odd = Rejected(tmp_path / "annas" / "anna99_R.png", "odd", "anna99_R.png is odd", "Look at anna99_R.")
    private = replace(OPTIONS, public=False)
    cache, said = run(Scan(scan.pictures, (odd,)), tmp_path / "out", private)
    everything = content(tmp_path / "out")
    assert len(cache.pairs) == 3
    assert b"anna" not in b"".join(everything.values()) + "".join([*everything, *said]).encode()
    patients = {pair.patient for pair in cache.pairs}
    assert len(patients) == 3
    other, _ = run(scan, tmp_path / "other", private)
    assert not patients & {pair.patient for pair in other.pairs}  # another salt
    again, _ = run(Scan(scan.pictures, (odd,)), tmp_path / "out", private)
    assert again.pairs == cache.pairs
    asked, _ = run(scan, tmp_path / "asked", replace(private, names=True))
    assert "anna00_R.png" in rejected(asked.path)


def test_cells_are_no_formulas(tmp_path: Path) -> None:
    scan = make_scan(tmp_path / "in", 2)
    odd = Rejected(Path("=cmd/=a.png"), "odd", "+1 is odd", "@home")
    run(Scan(scan.pictures, (odd,)), tmp_path / "out")
    assert "'=cmd/=a.png,odd,'+1 is odd,'@home" in (tmp_path / "out" / "rejected.csv").read_text()


def test_masks_and_lesion_free_pictures_follow_their_mammogram(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    sick, truth = save_picture(folder / "r.png", 1, R, bright=0.3), save_picture(folder / "free.png", 1, R)
    y, x = np.mgrid[:ROWS, :COLUMNS] + 0.5
    disc = (y - 60) ** 2 + (COLUMNS - x - 30) ** 2 < 25
    Image.fromarray(disc.astype(np.uint8) * 255).save(folder / "mask.png")
    pictures = (
        mammogram(
            sick, "p", R, abnormal=True, findings=(Finding(None, MaskFile(folder / "mask.png")),), lesion_free=truth
        ),
        mammogram(save_picture(folder / "l.png", 2, L), "p", L, abnormal=False),
    )
    cache, _ = run(Scan(pictures), tmp_path / "out")
    arrays = cache.arrays(cache.pairs[0].id)
    assert arrays.lesion_free is not None
    changed = np.abs(arrays.image.astype(int) - arrays.lesion_free) > 655
    assert changed[0].any()
    rows, columns = np.nonzero(changed[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx((29, 34, 12, 17), abs=1)
    np.testing.assert_array_equal(arrays.image[1], arrays.lesion_free[1])
    lesion = np.flatnonzero(arrays.lesion[0].any(0))
    assert (lesion[0], lesion[-1]) == pytest.approx((12, 17), abs=1)

    Image.fromarray(disc[:-1].astype(np.uint8) * 255).save(folder / "mask.png")
    with pytest.raises(DatasetError, match="no picture could be used"):
        run(Scan(pictures), tmp_path / "bad")
    assert rejected(tmp_path / "bad") == {"r.png": "mask_size", "l.png": "partner"}


@pytest.mark.parametrize("voi", ["none", "window1"])
def test_a_lesion_free_picture_is_not_beside_another_grey(tmp_path: Path, voi: str) -> None:
    sick, truth = (save_picture(tmp_path / "in" / name, 1, R) for name in ("r.png", "free.png"))
    well = save_picture(tmp_path / "in" / "l.png", 2, L)
    pictures = (mammogram(sick, "p", R, abnormal=True, lesion_free=truth), mammogram(well, "p", L, abnormal=False))
    settings = SETTINGS.model_copy(update={"voi": voi})
    with pytest.raises(DatasetError, match=f"VOI policy auto, and {voi} was asked for\nPrepare .* without --voi"):
        prepare(Scan(pictures), settings, tmp_path / "out", OPTIONS, lambda line: None)
    assert not (tmp_path / "out").exists()
    plain = Scan(tuple(replace(picture, lesion_free=None) for picture in pictures))
    assert len(prepare(plain, settings, tmp_path / "out", OPTIONS, lambda line: None).pairs) == 1


def test_a_region_smaller_than_a_pixel_keeps_one(tmp_path: Path) -> None:
    scan = make_scan(tmp_path / "in", 2)
    tiny = Finding(None, Circle(COLUMNS - 20.2, 61.3, 0.2))
    pictures = (*scan.pictures[:2], replace(scan.pictures[2], findings=(tiny,)), scan.pictures[3])
    cache, _ = run(Scan(pictures), tmp_path / "out")
    (sick,) = (pair for pair in cache.pairs if pair.asymmetric)
    assert cache.arrays(sick.id).lesion.sum() == 1


def test_a_cache_that_does_not_fit_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = make_scan(tmp_path / "in", 4)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=20_000))
    with pytest.raises(CacheError, match=r"needs 98\.3 KB more, 20\.0 KB are free"):
        run(scan, tmp_path / "out")
    assert not list((tmp_path / "out").glob("pairs/*"))


def test_folders_that_hold_something_else_are_left_alone(tmp_path: Path) -> None:
    scan = make_scan(tmp_path / "in", 4)
    before = content(tmp_path / "in")
    with pytest.raises(CacheError, match="not empty"):
        run(scan, tmp_path / "in")
    assert content(tmp_path / "in") == before
    run(scan, tmp_path / "out")
    other = SETTINGS.model_copy(update={"height": 128})
    with pytest.raises(CacheError, match="a cache of made-up with other settings: height 64, not 128"):
        prepare(scan, other, tmp_path / "out", OPTIONS, print)
    with pytest.raises(CacheError, match="with other settings: seed 0, not 3"):  # women would change their splits
        run(scan, tmp_path / "out", replace(OPTIONS, seed=3))
    with pytest.raises(CacheError, match="official split False, not True"):
        run(scan, tmp_path / "out", replace(OPTIONS, official_split=True))
    with pytest.raises(CacheError, match="a cache of made-up, not of other"):
        run(scan, tmp_path / "out", replace(OPTIONS, dataset="other"))
    whole = content(tmp_path / "out")
    (tmp_path / "out" / "request.json").write_text("{")
    with pytest.raises(CacheError, match="damaged"):
        run(scan, tmp_path / "out")
    (tmp_path / "out" / "request.json").write_bytes(whole["request.json"])
    assert content(tmp_path / "out") == whole


@pytest.mark.parametrize("public", [True, False])
def test_a_cache_of_other_pictures_is_never_replaced(tmp_path: Path, public: bool) -> None:
    """Neither path nor name of a file is kept for it."""
    options = replace(OPTIONS, public=public)
    run(make_scan(tmp_path / "in", 4), tmp_path / "out", options)
    before = content(tmp_path / "out")
    assert b"anna" not in before["request.json"]
    assert str(tmp_path).encode() not in b"".join(before.values())
    with pytest.raises(CacheError) as refused:
        run(make_scan(tmp_path / "other", 3), tmp_path / "out", options)
    assert "a cache of 8 other pictures (made-up); these 6 lie elsewhere" in refused.value.what
    assert refused.value.hint == "Choose another folder, or delete this one."
    assert content(tmp_path / "out") == before


def test_a_cache_whose_salt_was_deleted_is_left_alone(tmp_path: Path) -> None:
    private = replace(OPTIONS, public=False)
    scan = make_scan(tmp_path / "in", 2)
    run(scan, tmp_path / "out", private)
    (tmp_path / "out" / "salt").unlink()
    before = content(tmp_path / "out")
    with pytest.raises(CacheError, match="its salt was deleted"):
        run(scan, tmp_path / "out", private)
    assert content(tmp_path / "out") == before


def test_a_folder_that_was_moved_is_the_same(tmp_path: Path) -> None:
    run(make_scan(tmp_path / "in", 4), tmp_path / "out")
    before = content(tmp_path / "out")
    (tmp_path / "in").rename(tmp_path / "moved")
    _, said = run(make_scan(tmp_path / "moved", 4), tmp_path / "out")
    assert "4 of them were finished already" in said
    changed = {name for name, now in content(tmp_path / "out").items() if now != before[name]}
    assert changed == {"request.json", "pairs.csv"}  # where the place and the pictures' folder stand


def test_a_download_that_grew_is_told_and_goes_on(tmp_path: Path) -> None:
    run(make_scan(tmp_path / "in", 3), tmp_path / "out")
    cache, said = run(make_scan(tmp_path / "in", 4), tmp_path / "out")
    assert said[0] == "warning: 6 pictures were there when the cache was begun, 8 are now"
    assert len(cache.pairs) == 4
    assert run(make_scan(tmp_path / "in", 4), tmp_path / "out")[1][0].startswith("4 pairs will be made")


def test_a_cache_begun_before_its_pictures_were_kept_goes_on(tmp_path: Path) -> None:
    run(make_scan(tmp_path / "in", 2), tmp_path / "out")
    path = tmp_path / "out" / "request.json"
    old = json.loads(path.read_text())
    path.write_text(json.dumps({name: old[name] for name in ("dataset", "public", "image")}))
    run(make_scan(tmp_path / "in", 2), tmp_path / "out")
    assert json.loads(path.read_text()) == old


def test_nothing_to_prepare_is_said_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no pair of pictures"):
        run(Scan(()), tmp_path / "none")
    scan = make_scan(tmp_path / "in", 2)
    with pytest.raises(DatasetError, match="1 of them as 'unpaired'"):
        run(Scan(scan.pictures[:1]), tmp_path / "one")


def test_texts_are_not_the_reason_why_nothing_is_left(tmp_path: Path) -> None:
    films = Study("anna", [Shot("RCC"), Shot("LCC"), Shot("RMLO")], style="film")
    for number, shot in enumerate(films.shots):
        films.write(tmp_path / "in" / f"{shot.name}.dcm", shot, number)
    for name in ("A.md", "B", "README.md", "x.txt", "y.csv"):
        (tmp_path / "in" / name).write_text("a text")
    with pytest.raises(DatasetError) as refused:
        run(scan_folder(tmp_path / "in"), tmp_path / "out", replace(OPTIONS, strict=True))
    expected = (
        "8 files were left out, 3 of them as 'strict_film': it is a Secondary Capture, not a mammography system's"
    )
    assert expected in str(refused.value.hint)
    assert Counter(rejected(tmp_path / "out").values()) == {"not_a_picture": 5, "strict_film": 3}


def test_a_leak_in_the_data_sets_split_stops(tmp_path: Path) -> None:
    scan = make_scan(tmp_path / "in", 2)
    pictures = []
    for picture in scan.pictures[:2]:
        pictures.append(replace(picture, split="train"))
        again = save_picture(tmp_path / "in" / f"mlo_{picture.path.name}", 7, picture.laterality or R)
        pictures.append(replace(picture, path=again, view=View.MLO, split="test"))
    with pytest.raises(LeakError, match="anna00"):
        run(Scan(tuple(pictures)), tmp_path / "out")


def test_the_data_sets_own_split_is_kept(tmp_path: Path) -> None:
    scan = make_scan(tmp_path / "in", 3)
    names = ("test", "val", "train")
    pictures = tuple(replace(picture, split=names[number // 2]) for number, picture in enumerate(scan.pictures))
    cache, _ = run(Scan(pictures), tmp_path / "out")
    assert [pair.split for pair in cache.pairs] == list(names)


def test_the_voi_policy_and_strict_mode_are_part_of_the_request(tmp_path: Path) -> None:
    """Another policy makes other grey; a cache begun in one way is not finished in another."""
    pixels = (drawn_breast() * 4095).astype(np.uint16)
    pictures = []
    for side in (R, L):
        path = tmp_path / f"{side}.dcm"
        stored = pixels if side is L else np.ascontiguousarray(pixels[:, ::-1])
        orientation = ["A", "R"] if side is L else ["P", "L"]
        tags = {"ImageLaterality": side.value, "PatientOrientation": orientation, "ImagerPixelSpacing": [1, 1]}
        path.write_bytes(write(dicom(stored, WindowCenter=1500, WindowWidth=1500, **tags), stored))
        pictures.append(Mammogram(path, "p", "e", side, View.CC))
    scan = Scan(tuple(pictures))
    grey = {}
    for voi in ("auto", "window1", "none"):
        settings = SETTINGS.model_copy(update={"voi": voi})
        cache = prepare(scan, settings, tmp_path / voi, OPTIONS, lambda line: None)
        assert Cache.open(tmp_path / voi).manifest.image.voi == voi
        grey[voi] = cache.arrays(cache.pairs[0].id).image
    np.testing.assert_array_equal(grey["auto"], grey["window1"])
    assert (grey["auto"] != grey["none"]).any()
    with pytest.raises(CacheError, match="other settings: strict False, not True"):
        prepare(scan, SETTINGS, tmp_path / "auto", replace(OPTIONS, strict=True), lambda line: None)
    assert (
        len(prepare(scan, SETTINGS, tmp_path / "strict", replace(OPTIONS, strict=True), lambda line: None).pairs) == 1
    )
