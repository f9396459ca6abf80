"""How like real mammograms the phantoms are: the same measures on phantoms of both styles and on mini-MIAS.

    python benchmarks/phantom_targets.py [--exams 30] [--workers 2] [--no-real]

Measures, all at 0.2 mm pixels: power-law exponent of the texture (256 x 256 windows wholly inside the breast, plane
removed, Hann window, ring-averaged power, line over 0.078 to 0.78 cycles per mm), standard deviation in such a
window, grey quantiles inside the breast, mean grey by depth under the mask's edge, white noise, and the likeness of
right and left breast. Real pictures are read where DISASYMNET_TEST_DATA names them. A phantom measure is `inside` if
its median lies between the 5 and 95 % quantiles of the real one; the digital style has other targets for grey and is
only shown. Writes results/phantom-targets.json and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from disasymnet.phantom.plan import plan_exams
from disasymnet.phantom.settings import PhantomSettings
from disasymnet.phantom.shoot import Plan, shoot_exam

ROWS = 1200  # 240 mm at 0.2 mm, the pixel size of mini-MIAS
QUANTILES = (1, 5, 25, 50, 75, 95, 99)
DEPTHS = ((0, 4), (8, 12), (16, 20), (32, 36), (64, 68), (96, 100))
Grey = NDArray[np.float32]
Mask = NDArray[np.bool_]
Measures = dict[str, float]


def find_breast(grey: Grey) -> Mask:
    """Half size, 5 x 5 median, above 18 of 255, opened, largest component, closed, filled."""
    half = np.asarray(Image.fromarray(grey).reduce(2))
    mask = ndimage.median_filter(half, 5) > 18
    mask = ndimage.binary_opening(mask, iterations=4)
    labels, count = ndimage.label(mask)
    if count:
        mask = labels == 1 + np.argmax(ndimage.sum_labels(mask, labels, range(1, count + 1)))
    padded = np.pad(mask, 8, mode="edge")
    mask = ndimage.binary_fill_holes(ndimage.binary_closing(padded, iterations=3))[8:-8, 8:-8]
    return np.kron(mask, np.ones((2, 2), dtype=bool))[: grey.shape[0], : grey.shape[1]]


def texture(grey: Grey, mask: Mask) -> Measures:
    """Exponent over radii 4..40 of 256 and 64..120, and the standard deviation in a window."""
    size, step = 256, 64
    u = np.linspace(-1, 1, size)
    plane = np.stack([np.ones((size, size)), *np.meshgrid(u, u)], axis=-1).reshape(-1, 3)
    inverse = np.linalg.pinv(plane)
    hann = np.outer(np.hanning(size), np.hanning(size))
    hann /= np.sqrt((hann**2).mean())
    power, spread = [], []
    for top in range(0, grey.shape[0] - size + 1, step):
        for left in range(0, grey.shape[1] - size + 1, step):
            if not mask[top : top + size, left : left + size].all():
                continue
            window = grey[top : top + size, left : left + size].astype(np.float64).ravel()
            window = (window - plane @ (inverse @ window)).reshape(size, size)
            spread.append(window.std())
            power.append(np.abs(np.fft.fft2(window * hann)) ** 2)
    if not power:
        return {}
    k = np.fft.fftfreq(size, 1 / size)
    ring = np.rint(np.hypot(k[:, None], k[None, :])).astype(int).ravel()
    mean = np.bincount(ring, np.mean(power, axis=0).ravel()) / np.bincount(ring)
    out = {"window std": float(np.mean(spread))}
    for name, low, high in (("beta", 4, 40), ("beta fine", 64, 120)):
        r = np.arange(low, high + 1)
        out[name] = float(-np.polyfit(np.log(r), np.log(mean[low : high + 1]), 1)[0])
    return out


def grey_inside(grey: Grey, mask: Mask) -> Measures:
    """Quantiles, spread, profile under the skin, noise and the air's grey."""
    inside = grey[mask]
    out = {f"grey {q} %": float(value) for q, value in zip(QUANTILES, np.percentile(inside, QUANTILES), strict=True)}
    out["grey std"] = float(inside.std())
    out["area share"] = float(mask.sum() * 0.04 / 204.8**2)
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    for low, high in DEPTHS:
        out[f"depth {low}-{high}"] = float(grey[mask & (depth > low) & (depth <= high)].mean())
    kernel = np.outer([1, -2, 1], [1, -2, 1])
    second = ndimage.convolve(grey, kernel.astype(np.float32))[mask]
    out["noise"] = float(np.median(np.abs(second)) / 0.6745 / 6)
    return out


def likeness(right: tuple[Grey, Mask], left: tuple[Grey, Mask]) -> Measures:
    """Both with the chest wall at column 0: mask overlap and grey correlation after scaling and a vertical shift."""
    boxes = []
    for grey, mask in (right, left):
        rows, cols = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
        cut = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        boxes.append((grey[cut], mask[cut]))
    scale = min(min(256 / mask.shape[0], 128 / mask.shape[1]) for _, mask in boxes)
    small = [_shrink(grey, mask, scale) for grey, mask in boxes]
    (ga, ma), (gb, mb) = small
    best = max(range(-24, 25), key=lambda shift: _overlap(ma, np.roll(mb, shift, 0)))
    gb, mb = np.roll(gb, best, 0), np.roll(mb, best, 0)
    both = ma & mb
    areas = sorted([right[1].sum(), left[1].sum()])
    return {
        "mask IoU": _overlap(ma, mb),
        "grey correlation": float(np.corrcoef(ga[both], gb[both])[0, 1]),
        "grey difference": float(np.abs(ga[both] - gb[both]).mean()),
        "area ratio": float(areas[0] / areas[1]),
    }


def _overlap(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


def _shrink(grey: Grey, mask: Mask, scale: float) -> tuple[Grey, Mask]:
    rows, cols = max(1, round(mask.shape[0] * scale)), max(1, round(mask.shape[1] * scale))
    canvas, over = np.zeros((304, 128), np.float32), np.zeros((304, 128), bool)
    box = (slice(24, 24 + min(rows, 256)), slice(0, min(cols, 128)))
    canvas[box] = np.asarray(Image.fromarray(grey).resize((cols, rows), Image.Resampling.BOX))[:256, :128]
    shrunk = Image.fromarray(mask.astype(np.float32)).resize((cols, rows), Image.Resampling.BOX)
    over[box] = np.asarray(shrunk)[:256, :128] > 0.5
    return canvas, over


def measure_pair(right: tuple[Grey, Mask], left: tuple[Grey, Mask], about: dict[str, str]) -> list[dict[str, Any]]:
    """One entry a picture; the pair's measures stand with the first."""
    entries: list[dict[str, Any]] = [{**about, **grey_inside(*side), **texture(*side)} for side in (right, left)]
    entries[0] |= likeness(right, left)
    return entries


def phantom_pair(settings: PhantomSettings, plan: Plan) -> list[dict[str, Any]]:
    shots = shoot_exam(settings, plan)
    sides = []
    for shot in shots:
        grey = shot.with_lesions.astype(np.float32) * np.float32(255 / 4095)
        grey = np.rint(grey) if settings.style == "film" else grey
        # The digital style's rim is brighter than the threshold's film; there the known outline is the mask.
        sides.append((grey, find_breast(grey) if settings.style == "film" else shot.anatomy.depth > 0.5))
    return measure_pair(sides[0], sides[1], {"density": plan.density})


def real_pair(archive: Path, density: dict[str, str], woman: int) -> list[dict[str, Any]]:
    """mini-MIAS files 2k-1 (left breast, stored with the wall at the right edge) and 2k (right breast)."""
    sides = []
    with zipfile.ZipFile(archive) as packed:
        for number in (2 * woman, 2 * woman - 1):
            with Image.open(io.BytesIO(packed.read(f"mdb{number:03d}.webp"))) as picture:
                grey = np.asarray(picture.convert("RGB").getchannel("G"), dtype=np.float32)
            grey = np.ascontiguousarray(grey[:, ::-1] if number % 2 else grey)
            sides.append((grey, find_breast(grey)))
    return measure_pair(sides[0], sides[1], {"density": density[f"mdb{2 * woman:03d}"]})


def summary(entries: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """5, 25, 50, 75 and 95 % over the pictures (or pairs) of each measure."""
    names = dict.fromkeys(name for entry in entries for name in entry if name != "density")
    out = {}
    for name in names:
        values = [entry[name] for entry in entries if name in entry]
        out[name] = {f"{q}": round(float(np.percentile(values, q)), 3) for q in (5, 25, 50, 75, 95)}
        out[name]["n"] = len(values)
    for grade in sorted({entry["density"] for entry in entries}):
        values = [entry["window std"] for entry in entries if entry["density"] == grade and "window std" in entry]
        if values:
            out[f"window std, density {grade}"] = {"50": round(float(np.median(values)), 3), "n": len(values)}
    return out


def table(sets: dict[str, dict[str, dict[str, float]]]) -> Iterator[str]:
    """Markdown: 5 / 50 / 95 % of each set, and whether the film style's median is inside the real range."""
    yield "| measure | " + " | ".join(sets) + " | film inside |"
    yield "|" + "---|" * (len(sets) + 2)
    for name in dict.fromkeys(name for measured in sets.values() for name in measured):
        cells = []
        for measured in sets.values():
            value = measured.get(name)
            cells.append("" if value is None else " / ".join(f"{value[q]:g}" for q in ("5", "50", "95") if q in value))
        yield f"| {name} | " + " | ".join(cells) + f" | {verdict(sets, name)} |"


def verdict(sets: dict[str, dict[str, dict[str, float]]], name: str) -> str:
    real, film = sets.get("mini-MIAS", {}).get(name), sets["film MLO"].get(name)
    if not real or not film or "5" not in real:
        return ""
    return "yes" if real["5"] <= film["50"] <= real["95"] else "**no**"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exams", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-real", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "phantom-targets.json")
    options = parser.parse_args()
    sets = {}
    with ProcessPoolExecutor(options.workers) as pool:
        data = os.environ.get("DISASYMNET_TEST_DATA")
        if data and not options.no_real:
            folder = Path(data) / "mini-mias"
            lines = [line.split() for line in (folder / "Info.txt").read_text("latin-1").splitlines()]
            density = {line[0]: line[1] for line in lines if line and line[0].startswith("mdb") and len(line) > 2}
            job = partial(real_pair, folder / "mini-mias-webp.zip", density)
            sets["mini-MIAS"] = summary([entry for some in pool.map(job, range(1, 162)) for entry in some])
        for style, view in (("film", "MLO"), ("film", "CC"), ("digital", "MLO"), ("digital", "CC")):
            # Even shares of density: mini-MIAS has 53 fatty, 52 glandular and 56 dense pairs.
            settings = PhantomSettings(
                lesions="realistic",
                exams=options.exams,
                rows=ROWS,
                views=(view,),
                style=style,
                seed=1,
                densities=(0.2, 0.3, 0.3, 0.2),
            )
            job = partial(phantom_pair, settings)
            sets[f"{style} {view}"] = summary([entry for some in pool.map(job, plan_exams(settings)) for entry in some])
    options.out.write_text(json.dumps({"schema": 1, "exams": options.exams, "sets": sets}, indent=1) + "\n")
    print("\n".join(table(sets)))


if __name__ == "__main__":
    main()
