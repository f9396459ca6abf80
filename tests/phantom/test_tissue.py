from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass

from disasymnet.phantom.fibres import fading
from disasymnet.phantom.fields import Frame, power_law, shared_noise
from disasymnet.phantom.lesions import KINDS, Lesion, draw_lesion, shape
from disasymnet.phantom.plan import plan_exams
from disasymnet.phantom.settings import PhantomSettings
from disasymnet.phantom.shoot import shoot_exam
from disasymnet.terms import FindingKind, View

FRAME = Frame(256, 256, 0.5)


def spectrum_slope(field: np.ndarray, low: int, high: int) -> float:
    power = np.abs(np.fft.fft2(field)) ** 2
    k = np.fft.fftfreq(field.shape[0], 1 / field.shape[0])
    ring = np.rint(np.hypot(k[:, None], k[None, :])).astype(int).ravel()
    mean = np.bincount(ring, power.ravel()) / np.bincount(ring)
    r = np.arange(low, high)
    return float(-np.polyfit(np.log(r), np.log(mean[low:high]), 1)[0])


@pytest.mark.parametrize("beta", [2.0, 2.9])
def test_field_follows_the_power_law_it_is_asked_for(beta: float) -> None:
    fields = [power_law(np.random.default_rng(seed), FRAME, beta) for seed in range(6)]
    # From 6 cycles a picture (1 in 21 mm, well above the flat part) on; ring averages of 6 fields scatter by 0.05.
    assert np.mean([spectrum_slope(field, 6, 100) for field in fields]) == pytest.approx(beta, abs=0.15)
    assert np.mean([field.var() for field in fields]) == pytest.approx(1, abs=0.35)


def test_shared_noise_makes_fields_alike_but_not_equal() -> None:
    shared = (shared_noise(np.random.default_rng(0)), 0.9)
    a, b = (power_law(np.random.default_rng(seed), FRAME, 3.0, shared=shared) for seed in (1, 2))
    c = power_law(np.random.default_rng(3), FRAME, 3.0)
    alike = np.corrcoef(a.ravel(), b.ravel())[0, 1]
    assert 0.4 < alike < 0.95
    assert abs(np.corrcoef(a.ravel(), c.ravel())[0, 1]) < alike


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["easy", "realistic"]), st.sampled_from([0.2, 0.47, 1.0]))
def test_lesion_keeps_to_its_preset_and_mask(seed: int, preset: str, pixel_mm: float) -> None:
    lesion = draw_lesion(np.random.default_rng(seed), preset, 100.0)  # type: ignore[arg-type]
    if preset == "easy":
        assert 0.40 <= lesion.contrast <= 0.60
        low, high = (18, 30) if lesion.kind is FindingKind.CALCIFICATION else (20, 40)
        assert low <= lesion.diameter_mm <= high
    else:
        assert 5 <= lesion.diameter_mm <= 40
        assert 0.015 <= lesion.contrast <= 0.5
    for view in (View.CC, View.MLO):
        signal, mask = shape(lesion, pixel_mm, view)
        assert signal.min() >= 0
        assert mask.any()
        edge = np.concatenate([signal[0], signal[-1], signal[:, 0], signal[:, -1]])
        assert edge.max() < 1e-3
        area = mask.sum() * pixel_mm**2
        # Masses fill their disc up to lobes and spicules; grains and rays leave gaps or reach beyond it.
        least, most = {
            FindingKind.MASS: (0.55, 1.1),
            FindingKind.ASYMMETRY: (0.45, 1.4),
            FindingKind.ARCHITECTURAL_DISTORTION: (0.4, 1.9),
            FindingKind.CALCIFICATION: (0.25, 1.9),
        }[lesion.kind]
        disc = np.pi * (lesion.diameter_mm / 2) ** 2
        assert least * disc < area < most * disc + 4 * pixel_mm**2


def test_realistic_lesions_have_the_sizes_of_mini_mias() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_lesion(rng, "realistic", 150.0) for _ in range(2000)]
    # Median diameters of its circles, all classes: 16.4 mm; spots of calcification 9.6 mm.
    assert np.median([one.diameter_mm for one in drawn]) == pytest.approx(15.5, abs=1.5)
    clusters = [one.diameter_mm for one in drawn if one.kind is FindingKind.CALCIFICATION]
    assert np.median(clusters) == pytest.approx(10, abs=1)


def test_mask_is_a_quarter_of_the_peak() -> None:
    lesion = Lesion(FindingKind.MASS, "round", 20.0, 0.2, 0.5, shape_seed=1)
    signal, mask = shape(lesion, 0.5, View.CC)
    np.testing.assert_array_equal(mask, signal > 0.25 * signal.max())
    assert signal.max() == pytest.approx(1, abs=1e-5)


def test_an_easy_cluster_survives_64_rows() -> None:
    # 240 mm on 64 rows: cells of 3.75 mm. Its brightest cell keeps at least a tenth of the grey range.
    for seed in range(10):
        lesion = Lesion(FindingKind.CALCIFICATION, "cluster", 11.0, 0.2, 0.5, shape_seed=seed)
        signal, _ = shape(lesion, 240 / 512, View.CC)
        cells = signal.shape[0] // 8
        mean = signal[: cells * 8, : cells * 8].reshape(cells, 8, cells, 8).mean((1, 3))
        assert lesion.contrast * mean.max() > 0.10


def test_kinds_are_shares() -> None:
    for table in KINDS.values():
        assert sum(share for _, _, share in table) == pytest.approx(1)


def test_lesions_lie_in_the_breast_at_like_distance_to_the_nipple() -> None:
    several = PhantomSettings(exams=8, rows=192, symmetric=0.0, second_lesion=0.0, tumours=0)
    apart = []
    for plan in plan_exams(several):
        distances: dict[str, list[float]] = {}
        for shot in shoot_exam(several, plan):
            for one in shot.placed:
                rows, cols = np.nonzero(one.mask)
                rows, cols = rows + one.corner[0], cols + one.corner[1]
                assert (shot.anatomy.depth[rows, cols] > 0).mean() > 0.95
                pixel = shot.anatomy.frame.pixel_mm
                x, y = (cols.mean() + 0.5) * pixel, (rows.mean() + 0.5) * pixel
                nipple = shot.anatomy.nipple
                distances.setdefault(shot.side.value, []).append(float(np.hypot(x - nipple[0], y - nipple[1])))
        apart += [abs(a - b) for a, b in distances.values()]
    # Radiologists accept about 10 mm between the views; compression moves some farther.
    assert np.median(apart) < 15


def test_denser_breasts_are_brighter_inside() -> None:
    means = []
    for density in range(4):
        only = tuple(1.0 if grade == density else 0.0 for grade in range(4))
        same = PhantomSettings(exams=4, rows=128, symmetric=1.0, densities=only, views=("MLO",), tumours=0)
        grey = [
            shot.without[shot.anatomy.depth > 10].mean() for plan in plan_exams(same) for shot in shoot_exam(same, plan)
        ]
        means.append(np.mean(grey))
    assert means[0] < means[2] < means[3]
    assert means[1] < means[3]


def test_a_fibre_fades_to_nothing_at_both_ends_and_never_to_nan() -> None:
    length = np.linspace(3, 44, 2001, dtype=np.float32)
    for place, light in ((0 * length, 0), (length / 2, 1), (np.nextafter(length, np.float32(0)), 0), (length, 0)):
        assert fading(place, length) == pytest.approx(np.full(2001, light), abs=1e-4)


def test_islands_stand_in_both_breasts_at_about_mirrored_places() -> None:
    plain = PhantomSettings(exams=20, rows=160, symmetric=1.0, lesions="realistic", islands=0, seed=5)
    apart, ratios = [], []
    for plan in plan_exams(plain)[:10]:
        without, shown = (shoot_exam(plain.model_copy(update={"islands": mean}), plan) for mean in (0.0, 0.5))
        for view in range(2):
            added = [np.maximum(shown[at].without.astype(float) - without[at].without, 0) for at in (view, view + 2)]
            assert (added[0].max() > 0) is (added[1].max() > 0)  # never in one breast alone
            if added[0].max() > 0:
                right, left = (np.array(center_of_mass(one)) * plain.pixel_mm for one in added)
                apart.append(np.hypot(*(right - left)))
                ratios.append(added[0].sum() / added[1].sum())
    assert len(apart) >= 6
    assert np.median(apart) < 15
    assert min(ratios) > 0.2
    assert max(ratios) < 5
    assert len(set(np.round(ratios, 3))) == len(ratios)  # alike, never equal


def test_lesions_keep_away_from_islands() -> None:
    full = PhantomSettings(exams=10, rows=160, symmetric=0.0, lesions="realistic", islands=4, seed=5)
    bare = full.model_copy(update={"islands": 0.0})
    for plan in plan_exams(full)[:6]:
        for shot, plain in zip(shoot_exam(full, plan), shoot_exam(bare, plan), strict=True):
            for lesion in shot.placed:
                added = shot.without[lesion.window].astype(float) - plain.without[lesion.window]
                assert (added[lesion.mask] < 40).mean() > 0.9  # of 4095; an island's foot may reach into the rim
