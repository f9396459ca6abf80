"""From a DICOM file to the cache: pictures a second and core, and memory, against plain pydicom and scikit-image.

    python benchmarks/preprocess.py [--repeats 5] [--out results/prepare-speed.json]

Files are made on the spot: 3328 x 2560 pixels, 12 bits in 16, uncompressed, JPEG lossless and JPEG 2000 lossless, a
textured half ellipse with a marker as breast. The plain path does what a first draft would: pydicom's own look-ups,
Otsu's threshold, the largest region, closing, resize with anti-aliasing; it ends on the model grid. pydicom decodes no
JPEG lossless without a GPL package: there the plain path is lent our decoder.

Both paths run interleaved, on the same files and in the same process; times are CPU seconds of this process and of the
child that decodes, so that waiting does not count and a second thread does. Neighbours on the same core still slow both
paths, and not alike: beside the ratio of medians stands that of the fastest runs, and the load of the machine at the
start is written down. The masks of both are compared with the drawn breast, so that speed is not bought by a bad mask.

`to_cache_s` is the whole of `prepare` for one picture of a pair: digests, reading, model grid, lossless item on disk.
Memory is that of a worker, which makes one pair in a fresh process: the highest resident size of the worker and of its
child.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.measure import label
from skimage.morphology import closing, disk, remove_small_objects
from skimage.transform import resize

from disasymnet.data.files import replace_file
from disasymnet.data.making import make
from disasymnet.data.tasks import Task
from disasymnet.images import child, codecs
from disasymnet.images.breast import find_breast
from disasymnet.images.preprocess import preprocess_single
from disasymnet.images.read import read_picture
from disasymnet.images.skeleton import walk
from disasymnet.records import Mammogram
from disasymnet.settings import ImageSettings
from disasymnet.terms import Laterality, View
from disasymnet.testkit.mammograms import mammogram, write

ROWS, COLUMNS, PIXEL_MM = 3328, 2560, 0.07
SETTINGS = ImageSettings()


def drawn() -> tuple[NDArray[np.uint16], NDArray[np.bool_]]:
    """Pixels of 12 bits and the breast's true mask."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(np.float32)
    depth = 1 - (x / 1500) ** 2 - ((y - ROWS / 2) / 1400) ** 2
    cloud = ndimage.zoom(rng.standard_normal((ROWS // 16, COLUMNS // 16)).astype(np.float32), 16, order=1)
    tissue = 500 + 900 * np.sqrt(np.clip(depth, 0, 1)) + 150 * cloud + 12 * rng.standard_normal(depth.shape)
    pixels = np.where(depth > 0, tissue, 20 + 4 * rng.standard_normal(depth.shape))
    pixels[150:400, 2100:2350] = 4000
    return np.clip(pixels, 0, 4095).astype(np.uint16), depth > 0


SYNTAXES = {
    "uncompressed": ExplicitVRLittleEndian,
    "jpeg-lossless": JPEGLosslessSV1,
    "jpeg-2000": JPEG2000Lossless,
}


def write_files(folder: Path, pixels: NDArray[np.uint16]) -> dict[str, Path]:
    """One file of each transfer syntax."""
    tags = {"ImagerPixelSpacing": [PIXEL_MM, PIXEL_MM], "WindowCenter": 2048, "WindowWidth": 4096}
    files = {}
    for name, syntax in SYNTAXES.items():
        files[name] = folder / f"{name}.dcm"
        files[name].write_bytes(write(mammogram(pixels, **tags), pixels, syntax))
    return files


def task(path: Path, root: Path) -> Task:
    """A pair of twice the same file."""
    sides = tuple(Mammogram(path, "p", "p-1", side, View.CC) for side in (Laterality.RIGHT, Laterality.LEFT))
    return Task("p", "p", "p", "p-1", View.CC, sides, SETTINGS, root)


def to_cache(path: Path) -> None:
    """A pair into a new cache."""
    with tempfile.TemporaryDirectory() as root:
        assert make(task(path, Path(root))).record is not None


def ours(path: Path) -> NDArray[np.bool_]:
    """The whole path; the breast's mask on the model grid, taken back to the file's."""
    prepared = preprocess_single(read_picture(path), None, SETTINGS)
    return prepared.geometry.mask_back(prepared.breast)


def plain_pixels(dataset: Dataset) -> NDArray[Any]:
    if dataset.file_meta.TransferSyntaxUID == JPEGLosslessSV1:
        decoded: NDArray[Any] = imagecodecs.jpeg8_decode(get_frame(dataset.PixelData, 0, number_of_frames=1))
        return decoded
    return dataset.pixel_array


def plain(path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The first draft's path: the picture on the model grid, and the mask on the file's."""
    dataset = pydicom.dcmread(path)
    values = apply_voi_lut(apply_modality_lut(plain_pixels(dataset), dataset), dataset).astype(np.float32)
    values = (values - values.min()) / (values.max() - values.min())
    mask = remove_small_objects(values > threshold_otsu(values), max_size=10_000)
    regions = label(mask)
    mask = regions == np.bincount(regions.ravel())[1:].argmax() + 1
    mask = closing(mask, disk(5))
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    crop = (values * mask)[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = min(SETTINGS.height / crop.shape[0], SETTINGS.width / crop.shape[1])
    small = resize(crop, (round(crop.shape[0] * scale), round(crop.shape[1] * scale)), anti_aliasing=True)
    frame = np.zeros((SETTINGS.height, SETTINGS.width), dtype=np.float32)
    top = (SETTINGS.height - small.shape[0]) // 2
    frame[top : top + small.shape[0], : small.shape[1]] = small
    return frame, mask


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process and of the child that decodes."""
    start = time.process_time() + child_seconds()
    work()
    return time.process_time() + child_seconds() - start


def child_seconds() -> float:
    return int(Path(f"/proc/{child_pid()}/schedstat").read_text(encoding="ascii").split()[0]) / 1e9


def child_pid() -> int:
    assert child._child is not None
    return child._child._process.pid


def highest(pid: int | str) -> int:
    """The highest resident size of a process so far, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024)


def memory(path: Path) -> dict[str, int]:
    """MiB of a worker and its child after one pair, in a fresh process."""
    words = [sys.executable, __file__, "--worker", str(path)]
    ended = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, int] = json.loads(ended.stdout)
    return found


def decode_only(path: Path) -> None:
    """The decoder alone: from the file to stored integers."""
    with path.open("rb") as file:
        skeleton = walk(file, path)
        codecs.decode(skeleton.read_pixels(), skeleton.syntax, codecs.Layout(ROWS, COLUMNS, 16, signed=False))


def measure(path: Path, repeats: int) -> dict[str, Any]:
    """Medians over the repeats, the two paths and the stages interleaved."""
    picture = read_picture(path)
    parts: dict[str, Callable[[], object]] = {
        "ours": lambda: preprocess_single(read_picture(path), None, SETTINGS),
        "plain": lambda: plain(path),
        "decode": lambda: decode_only(path),
        "read": lambda: read_picture(path),
        "to_cache": lambda: to_cache(path),
        "mask": lambda: find_breast(picture.pixels),
        "prepare": lambda: preprocess_single(picture, None, SETTINGS),
    }
    times: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(repeats):
        for name, work in parts.items():
            times[name].append(seconds(work))
    median = {name: statistics.median(values) for name, values in times.items()}
    stages = {
        "decode": median["decode"],
        "grey_and_transport": median["read"] - median["decode"],
        "mask": median["mask"],
        "resample": median["prepare"] - median["mask"],
    }
    total = sum(stages.values())
    return {
        "n": repeats,
        "ours_s": round(median["ours"], 3),
        "to_cache_s": round(median["to_cache"] / 2, 3),
        "ours_range_s": [round(min(times["ours"]), 3), round(max(times["ours"]), 3)],
        "ours_without_decoding_s": round(median["ours"] - median["decode"], 3),
        "plain_s": round(median["plain"], 3),
        "plain_range_s": [round(min(times["plain"]), 3), round(max(times["plain"]), 3)],
        "pictures_per_second_and_core": round(1 / median["ours"], 2),
        "ratio": round(median["plain"] / median["ours"], 2),
        "ratio_of_fastest": round(min(times["plain"]) / min(times["ours"]), 2),
        "ratio_without_decoding": round((median["plain"] - median["decode"]) / (median["ours"] - median["decode"]), 2),
        "shares": {name: round(value / total, 3) for name, value in stages.items()},
        "worker_memory_mib": memory(path),
    }


def overlap(one: NDArray[np.bool_], two: NDArray[np.bool_]) -> float:
    return round(float((one & two).sum() / (one | two).sum()), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results/prepare-speed.json"))
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker is not None:
        to_cache(chosen.worker)
        print(json.dumps({"worker": highest("self"), "child": highest(child_pid())}))
        return
    load = os.getloadavg()[0]
    pixels, truth = drawn()
    with tempfile.TemporaryDirectory() as folder:
        files = write_files(Path(folder), pixels)
        results = {name: measure(path, chosen.repeats) for name, path in files.items()}
        masks = {
            "ours": overlap(ours(files["uncompressed"]), truth),
            "plain": overlap(plain(files["uncompressed"])[1], truth),
        }
    # Not above: it brings torch, which would count as the reader's memory.
    from disasymnet.evaluate.provenance import commit, machine

    report = {
        "schema": 1,
        "command": "python " + " ".join(sys.argv),
        "commit": commit(),
        "machine": machine(),
        "load_at_start": round(load, 2),
        "from": f"DICOM {ROWS} x {COLUMNS}, 12 bits in 16",
        "to": f"{SETTINGS.height} x {SETTINGS.width}",
        "unit": "CPU seconds of the process and its child, median",
        "syntaxes": results,
        "mask_iou_with_truth": masks,
    }
    replace_file(chosen.out, (json.dumps(report, indent=2) + "\n").encode())
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
