from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from disasymnet.data.batch import Labels, PairBatch
from disasymnet.data.synthesis import Placement, Placements, blend, draw, synthesise
from disasymnet.settings import SynthesisSettings

from .small import HEIGHT, WIDTH, breast_mask, make_tumours

PLAIN = SynthesisSettings(harmonise="none")
BREAST = np.stack([breast_mask()] * 2)


def patch(value: float, corner: tuple[int, int], size: int = 3, side: int = 0, peak: float = 1.0) -> Placement:
    return Placement(np.full((size, size), value, dtype=np.float32), corner, side, peak, size / 3)


def one_pair(x: float, size: int = 9) -> tuple[Tensor, Tensor]:
    return torch.full((2, 1, size, size), x), torch.ones(2, 1, size, size, dtype=torch.bool)


def blended(x: float, *placements: Placement, settings: SynthesisSettings = PLAIN) -> tuple[Tensor, Tensor]:
    image, breast = one_pair(x)
    return blend(image, breast, Placements.of([placements], settings))


def test_one_tumour_at_its_centre() -> None:
    # 0.3 * 0.5 + 0.9 * 0.5
    fake, mask = blended(0.3, patch(0.9, (3, 3), peak=0.5))
    assert fake[0, 0, 4, 4].item() == pytest.approx(0.6, abs=1e-7)
    assert mask[0, 0, 4, 4].item() == pytest.approx(0.5, abs=1e-7)


def test_two_tumours_at_one_place_add_up_and_not_one_after_the_other() -> None:
    # 0.3 * 0.25 + 0.45 + 0.4, and 1 - 0.25; one after the other would give 0.7
    fake, mask = blended(0.3, patch(0.9, (3, 3), peak=0.5), patch(0.8, (3, 3), peak=0.5))
    assert fake[0, 0, 4, 4].item() == pytest.approx(0.925, abs=1e-6)
    assert mask[0, 0, 4, 4].item() == pytest.approx(0.75, abs=1e-7)


def test_what_leaves_the_range_is_clipped() -> None:
    # 0.9 + 0.8 = 1.7
    fake, mask = blended(0.3, patch(0.9, (3, 3)), patch(0.8, (3, 3)))
    assert fake[0, 0, 4, 4].item() == 1.0
    assert mask[0, 0, 4, 4].item() == 1.0


def test_alpha_is_a_gaussian_in_units_of_the_patch() -> None:
    # A 3 x 3 patch with sigma one pixel: 1, exp(-1/2), exp(-1), and nothing outside.
    sigma = PLAIN.model_copy(update={"sigma": 1 / 3})
    fake, mask = blended(0.4, patch(0.9, (3, 3)), settings=sigma)
    for (y, x), alpha, grey in (((4, 4), 1, 0.9), ((3, 4), 0.606531, 0.703265), ((3, 3), 0.367879, 0.583940)):
        assert mask[0, 0, y, x].item() == pytest.approx(alpha, abs=1e-6)
        assert fake[0, 0, y, x].item() == pytest.approx(grey, abs=1e-6)
    assert int((mask[0] > 0).sum()) == 9
    assert torch.equal(fake[1], torch.full((1, 9, 9), 0.4))


def test_a_bell_higher_than_one_has_a_flat_top() -> None:
    # The same patch times 1.5, cut at 1: 1, 0.909796, 0.551819; 0.4 (1 - alpha) + 0.9 alpha.
    sigma = PLAIN.model_copy(update={"sigma": 1 / 3})
    fake, mask = blended(0.4, patch(0.9, (3, 3), peak=1.5), settings=sigma)
    for (y, x), alpha, grey in (((4, 4), 1, 0.9), ((3, 4), 0.909796, 0.854898), ((3, 3), 0.551819, 0.675910)):
        assert mask[0, 0, y, x].item() == pytest.approx(alpha, abs=1e-6)
        assert fake[0, 0, y, x].item() == pytest.approx(grey, abs=1e-6)


def test_sigma_follows_each_axis_of_a_long_patch() -> None:
    pixels = np.full((9, 3), 1.0, dtype=np.float32)
    image, breast = one_pair(0.0, 15)
    wide = PLAIN.model_copy(update={"sigma": 0.25})
    placements = Placements.of([[Placement(pixels, (3, 6), 1, 1.0, 3.0)]], wide)
    _, mask = blend(image, breast, placements)
    # sigma = 0.25 * 9 along y, 0.25 * 3 along x; centre (7, 7)
    assert mask[1, 0, 5, 7].item() == pytest.approx(np.exp(-0.5 * (2 / 2.25) ** 2), abs=1e-6)
    assert mask[1, 0, 7, 6].item() == pytest.approx(np.exp(-0.5 * (1 / 0.75) ** 2), abs=1e-6)


def test_no_seam_at_the_edge_of_a_patch() -> None:
    # sigma is a quarter of the lesion's box, so that the edge of 1.5 boxes lies at 3 sigma; its last
    # pixel is centred half a pixel before: exp(-(150 * 6 / 301)^2 / 2) = 0.011446
    image, breast = one_pair(0.3, 301)
    _, mask = blend(image, breast, Placements.of([[patch(0.9, (0, 0), size=301)]], SynthesisSettings()))
    assert mask[0, 0, 150, 150].item() == pytest.approx(1, abs=1e-6)
    assert mask[0, 0, 0, 150].item() == pytest.approx(0.011446, abs=1e-6)


def test_a_patch_reaches_beyond_the_picture_without_harm() -> None:
    fake, mask = blended(0.2, patch(0.9, (-1, -1)), patch(0.9, (8, 7)), patch(0.9, (-3, 2), side=1))
    assert fake[0, 0, 0, 0].item() == pytest.approx(0.9, abs=1e-6)  # the first patch's centre
    assert mask[0, 0, 8, 8].item() > 0
    assert torch.equal(fake[1], torch.full((1, 9, 9), 0.2))
    assert int((mask[0] > 0).sum()) == 4 + 2


def test_air_stays_zero_and_what_alpha_does_not_reach_stays_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    breast = torch.from_numpy(BREAST).unsqueeze(1)
    image = torch.rand(2, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * breast
    for _ in range(20):
        drawn = draw(rng, BREAST, make_tumours(), PLAIN, 0.6)
        fake, mask = blend(image, breast, Placements.of([drawn], PLAIN))
        assert torch.equal(fake[mask == 0], image[mask == 0])
        assert fake[~breast].max() == 0
        assert mask[~breast].max() == 0
        assert 0 <= fake.min() <= fake.max() <= 1


@given(st.integers(0, 10_000), st.sampled_from(["none", "shift"]))
@settings(max_examples=30, deadline=None)
def test_a_picture_pasted_into_itself_does_not_change(seed: int, harmonise: str) -> None:
    chosen = SynthesisSettings.model_validate({"harmonise": harmonise, "peak": (0.3, 1.0)})
    rng = np.random.default_rng(seed)
    image = torch.rand(2, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(seed))
    breast = torch.from_numpy(BREAST).unsqueeze(1)
    own = []
    for placement in draw(rng, BREAST, make_tumours(), chosen, 0.8):
        (y, x), (height, width) = placement.corner, placement.pixels.shape
        around = np.zeros((HEIGHT + 2 * HEIGHT, WIDTH + 2 * HEIGHT), dtype=np.float32)
        around[HEIGHT : 2 * HEIGHT, HEIGHT : HEIGHT + WIDTH] = image[placement.side, 0].numpy()
        tissue = around[HEIGHT + y : HEIGHT + y + height, HEIGHT + x : HEIGHT + x + width]
        own.append(Placement(tissue, placement.corner, placement.side, placement.peak, placement.half))
    fake, mask = blend(image, breast, Placements.of([own], chosen))
    assert mask.max() > 0.25
    if len(own) == len({placement.side for placement in own}):  # tails of neighbours may overlap and add up
        assert (fake - image).abs().max().item() <= 1e-6


def test_shift_brings_the_rim_to_the_grey_of_its_place() -> None:
    pixels = np.full((13, 13), 0.5, dtype=np.float32)
    pixels[5:8, 5:8] = 0.7
    image, breast = one_pair(0.2, 15)
    drawn = [[Placement(pixels, (1, 1), 0, 1.0, 4.0)]]
    fake, _ = blend(image, breast, Placements.of(drawn, SynthesisSettings(harmonise="shift")))
    assert fake[0, 0, 7, 7].item() == pytest.approx(0.4, abs=1e-6)  # 0.7 + (0.2 - 0.5)
    assert fake[0, 0, 1, 1].item() == pytest.approx(0.2, abs=1e-6)  # no seam
    plain, _ = blend(image, breast, Placements.of(drawn, PLAIN))
    assert plain[0, 0, 7, 7].item() == pytest.approx(0.7, abs=1e-6)


def test_shift_looks_at_the_breast_only() -> None:
    pixels = np.full((13, 13), 0.5, dtype=np.float32)
    image, breast = one_pair(0.2, 15)
    breast[:, :, 8:] = False
    image = image * breast
    fake, _ = blend(
        image, breast, Placements.of([[Placement(pixels, (1, 1), 0, 1.0, 4.0)]], SynthesisSettings(harmonise="shift"))
    )
    assert fake[0, 0, 7, 7].item() == pytest.approx(0.2, abs=1e-6)


def test_a_batch_is_what_its_pairs_are_alone() -> None:
    rng = np.random.default_rng(3)
    chosen = SynthesisSettings(most=3, both_sides=0.5)
    pairs = [draw(rng, BREAST, make_tumours(), chosen, 0.5 + 0.1 * number) for number in range(4)]
    image = torch.rand(8, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    breast = torch.from_numpy(BREAST).unsqueeze(1)
    together, mask = blend(image, torch.cat([breast[:1]] * 4 + [breast[1:]] * 4), Placements.of(pairs, chosen))
    for number, placements in enumerate(pairs):
        rows = [number, 4 + number]
        alone, own = blend(image[rows], breast, Placements.of([placements], chosen))
        torch.testing.assert_close(together[rows], alone, rtol=0, atol=1e-7)
        torch.testing.assert_close(mask[rows], own, rtol=0, atol=1e-7)


def test_draws_depend_on_the_generator_only() -> None:
    def once(seed: int) -> tuple[Placement, ...]:
        return draw(np.random.default_rng(seed), BREAST, make_tumours(), SynthesisSettings(), 0.6)

    for one, other in zip(once(5), once(5), strict=True):
        assert (one.corner, one.side, one.peak, one.half) == (other.corner, other.side, other.peak, other.half)
        np.testing.assert_array_equal(one.pixels, other.pixels)
    assert len({tuple(placement.corner for placement in once(seed)) for seed in range(10)}) == 10


def test_places_sides_and_numbers() -> None:
    rng = np.random.default_rng(0)
    chosen = SynthesisSettings(most=3, both_sides=0.2, peak=(0.5, 1.0))
    drawn = [draw(rng, BREAST, make_tumours(), chosen, 1.5) for _ in range(1500)]
    sides = [frozenset(placement.side for placement in placements) for placements in drawn]
    for wanted, share in ((frozenset({0}), 0.4), (frozenset({1}), 0.4), (frozenset({0, 1}), 0.2)):
        assert sides.count(wanted) / len(drawn) == pytest.approx(share, abs=0.04)  # 3 standard errors
    counts = [sum(p.side == side for p in placements) for placements in drawn for side in (0, 1)]
    for count in (1, 2, 3):
        assert counts.count(count) / sum(count > 0 for count in counts) == pytest.approx(1 / 3, abs=0.05)
    for placements in drawn:
        for number, one in enumerate(placements):
            y, x = round(one.centre[0] + 0.01), round(one.centre[1] + 0.01)
            half = round(one.half - 0.5)
            assert BREAST[0, y - half : y + half + 1, x - half : x + half + 1].all()
            assert 0.5 <= one.peak <= 1
            for other in placements[:number]:
                if one.side == other.side:
                    assert np.hypot(one.centre[0] - other.centre[0], one.centre[1] - other.centre[1]) > (
                        one.half + other.half
                    )


def test_tumours_come_at_the_scale_of_the_picture() -> None:
    fixed = SynthesisSettings(resize=(1.0, 1.0))
    for pixel_mm, side in ((1.0, 12), (2.0, 6), (0.5, 24)):  # the crops are 12 pixels of 1 mm
        drawn = draw(np.random.default_rng(0), BREAST, make_tumours(), fixed, pixel_mm)
        assert {placement.pixels.shape for placement in drawn} == {(side, side)}
        assert drawn[0].half == pytest.approx(side / 3)
    sizes = {
        placement.pixels.shape[0]
        for seed in range(60)
        for placement in draw(np.random.default_rng(seed), BREAST, make_tumours(), SynthesisSettings(), 0.6)
    }
    assert min(sizes) == 16  # 20 * 0.8
    assert max(sizes) == 25  # 20 * 1.25


def test_a_small_breast_takes_tumours_anywhere_and_an_empty_side_none() -> None:
    breast = np.zeros_like(BREAST)
    breast[0, 30:33, 0:3] = True
    both = SynthesisSettings(both_sides=1.0)
    drawn = draw(np.random.default_rng(0), breast, make_tumours(), both, 1.0)
    assert {placement.side for placement in drawn} == {0}
    assert all(30 <= placement.centre[0] + 0.5 <= 33 for placement in drawn)


def batch_of(labels: list[float], lesion: NDArray[np.bool_] | None = None) -> PairBatch:
    count = len(labels) // 2
    breast = torch.from_numpy(BREAST[:1]).unsqueeze(0).repeat(2 * count, 1, 1, 1)
    image = torch.rand(2 * count, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * breast
    ids = tuple(f"p{number}" for number in range(count))
    marked = None if lesion is None else torch.from_numpy(lesion).view(2 * count, 1, HEIGHT, WIDTH)
    return PairBatch(image, breast, Labels.of_sides(torch.tensor(labels)), ids, lesion=marked)


def test_labels_and_truth_of_a_synthesised_batch() -> None:
    lesion = np.zeros((6, HEIGHT, WIDTH), dtype=np.bool_)
    lesion[0, 5, 5] = True
    batch = batch_of([1.0, 0.0, 0.0, torch.nan, 0.0, 0.0], lesion)
    left_only, both = [patch(0.9, (30, 4), side=1)], [patch(0.9, (30, 4)), patch(0.9, (40, 4), side=1)]
    made = synthesise(batch, [[], left_only, both], PLAIN)
    assert made.synthetic is not None
    assert made.lesion is not None
    assert made.synthetic.tolist() == [False, True, True]
    torch.testing.assert_close(
        made.labels.side, torch.tensor([1.0, 0.0, 1.0, torch.nan, 1.0, 1.0]), equal_nan=True, rtol=0, atol=0
    )
    assert made.labels.asymmetric.tolist() == [1.0, 1.0, 1.0]
    assert made.real is batch.image
    assert torch.equal(made.image[[0, 1, 3]], batch.image[[0, 1, 3]])
    assert made.lesion[0].sum() == 1  # the real one is kept
    assert made.lesion[1].sum() == 0
    assert made.lesion[4, 0, 31, 5]
