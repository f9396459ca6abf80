from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from disasymnet.data.batch import swap_sides
from disasymnet.methods import build
from disasymnet.methods.disasymnet import DisAsymNet
from disasymnet.networks.asymmetric_transformer import AsymmetricTransformer
from disasymnet.networks.encoder import Encoder, GreyStatistics
from disasymnet.networks.heads import Answers, Heads, class_activation_map, enlarge, log_mean_exp
from disasymnet.recipe import Recipe
from disasymnet.settings import CamSettings, EncoderSettings, HeadSettings, TransformerSettings

TORCHVISION_RESNET18 = {  # names and shapes of the public file, its first convolution summed to one channel
    "conv1.weight": (64, 1, 7, 7),
    "bn1.running_var": (64,),
    "layer1.1.conv2.weight": (64, 64, 3, 3),
    "layer2.0.downsample.0.weight": (128, 64, 1, 1),
    "layer3.0.downsample.1.bias": (256,),
    "layer4.1.bn2.num_batches_tracked": (),
}


def test_the_trunk_carries_torchvisions_names_and_size() -> None:
    encoder = Encoder(EncoderSettings())
    state = encoder.state_dict()
    assert {name: tuple(state[name].shape) for name in TORCHVISION_RESNET18} == TORCHVISION_RESNET18
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 11_170_240


@pytest.mark.parametrize(("strides", "stride"), [((1, 2, 2, 2), 32), ((1, 2, 2, 1), 16), ((1, 2, 1, 1), 8)])
def test_output_stride_is_a_setting(strides: tuple[int, int, int, int], stride: int) -> None:
    settings = EncoderSettings(widths=(4, 4, 4, 8), strides=strides)
    encoder = Encoder(settings)
    features = encoder(torch.rand(2, 1, 64, 32), torch.ones(2, 1, 64, 32, dtype=torch.bool))
    assert settings.stride == stride
    assert features.out.shape == (2, 8, 64 // stride, 32 // stride)
    assert {s: f.shape[1] for s, f in features.skips.items()} == encoder.skip_widths


@pytest.mark.parametrize(
    ("changes", "parameters", "gmac"),  # counted on a separate implementation of the same description
    [
        (["model.decoder.skips=none"], 42_001_028, 8.511),
        (["model.decoder.on=false"], 39_574_978, 4.128),
        (
            ["model.transformer.layers=0", "model.heads.fusion=concat-linear", "model.decoder.skips=none"],
            13_598_340,
            6.649,
        ),
        (
            ["model.transformer.layers=0", "model.heads.fusion=concat-linear", "model.decoder.on=false"],
            11_172_290,
            2.266,
        ),
    ],
)
def test_parameters_and_cost(changes: list[str], parameters: int, gmac: float) -> None:
    method = build(Recipe.load("recommended", changes)).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        method(torch.rand(2, 1, 256, 128), torch.ones(2, 1, 256, 128, dtype=torch.bool))
    assert sum(parameter.numel() for parameter in method.parameters()) == parameters
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, rel=0.05)


def test_z_score_is_taken_inside_the_breast_and_kept_for_x_n() -> None:
    image = torch.tensor([[[[0.2, 0.4], [0.9, 0.0]]]])
    breast = torch.tensor([[[[True, True], [False, False]]]])
    encoder = Encoder(EncoderSettings(widths=(4, 4, 4, 4)))
    grey = encoder.normalise(image, breast)
    torch.testing.assert_close(grey, torch.tensor([[[[-1.0, 1.0], [-3.0, -3.0]]]]))  # mean 0.3, std 0.1; air at -3
    changed = encoder.normalise(image - 0.05, breast, GreyStatistics.of(image, breast))
    torch.testing.assert_close(changed[0, 0, 0], torch.tensor([-1.5, 0.5]))


def _transformer(**changes: object) -> AsymmetricTransformer:
    torch.manual_seed(0)
    return AsymmetricTransformer(16, TransformerSettings.model_validate({"layers": 3, "heads": 2} | changes)).eval()


@pytest.mark.parametrize("changes", [{}, {"pool": 2}, {"norm": False, "residual": False}, {"self_attention": False}])
def test_exchanging_the_sides_exchanges_the_features(changes: dict[str, object]) -> None:
    transformer, f = _transformer(**changes), torch.randn(6, 16, 4, 2)
    assert torch.equal(transformer(swap_sides(f)), swap_sides(transformer(f)))


def test_cross_attention_reads_the_other_side_and_self_attention_does_not() -> None:
    f = torch.randn(2, 16, 4, 2)
    other = torch.cat([f[:1], torch.randn(1, 16, 4, 2)])
    alone = _transformer(cross_attention=False)
    torch.testing.assert_close(alone(f)[0], alone(other)[0])
    assert (_transformer()(f)[0] - _transformer()(other)[0]).abs().max() > 1e-3


def test_positions_tell_cells_apart() -> None:
    f = torch.randn(2, 16, 4, 2)
    turned = f.flip(2)
    blind, seeing = _transformer(positions="none"), _transformer()
    torch.testing.assert_close(blind(turned), blind(f).flip(2))
    assert (seeing(turned) - seeing(f).flip(2)).abs().max() > 1e-3


def test_twelve_literal_layers_pass_no_gradient_and_the_repaired_ones_do() -> None:
    def gradient(**changes: object) -> float:
        torch.manual_seed(0)
        f = torch.randn(4, 64, 8, 4).relu().requires_grad_()
        settings = TransformerSettings.model_validate({"layers": 12, "heads": 8} | changes)
        AsymmetricTransformer(64, settings)(f).square().mean().backward()
        assert f.grad is not None
        return float(f.grad.norm())

    assert gradient(norm=False, residual=False) < 1e-10
    assert gradient() > 1e-3


def test_zero_init_starts_as_the_plain_encoder() -> None:
    f = torch.randn(4, 16, 4, 2)
    torch.testing.assert_close(_transformer(zero_init=True)(f), f)


def test_the_difference_is_taken_on_the_map_before_pooling() -> None:
    heads = Heads(2, HeadSettings())
    with torch.no_grad():
        heads.asymmetry.weight.fill_(1)
    f_r = torch.tensor([[1.0, 2.0], [0.0, 1.0]])  # two cells of two channels
    f_l = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    f = torch.stack([f_r.T, f_l.T])[:, :, :, None]  # (2, C, h, w)
    everywhere = torch.ones(2, 1, 2, 1, dtype=torch.bool)
    # mean over cells of |f_r - f_l| is [1, 1]; the difference of the means would be [0, 1]
    assert heads(f, everywhere).asymmetry.item() == pytest.approx(2.0)
    same = heads(torch.cat([f[:1], f[:1]]), everywhere)
    assert torch.equal(same.asymmetry, heads.asymmetry.bias)


def test_log_sum_exp_pooling_by_hand() -> None:
    cells = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    assert log_mean_exp(cells, torch.ones_like(cells, dtype=torch.bool), 6.0).item() == pytest.approx(
        0.770186, abs=1e-6
    )


def test_cells_of_air_take_no_part_where_the_breast_is_pooled() -> None:
    breast = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    breast[:, :, :4] = True
    f = torch.randn(2, 2, 4, 4)
    other = f.clone()
    other[:, :, 2:] += 5
    for pooling in ("average", "lse"):
        heads = Heads(2, HeadSettings.model_validate({"pooling": pooling, "region": "breast"}))
        assert torch.equal(heads(f, breast).side, heads(other, breast).side)
        whole = Heads(2, HeadSettings.model_validate({"pooling": pooling}))
        assert not torch.equal(whole(f, breast).side, whole(other, breast).side)


def _answers(evidence: torch.Tensor, bias: float = 0.0) -> Answers:
    return Answers(torch.zeros(1), torch.zeros(1), evidence, torch.tensor(bias))


@pytest.mark.parametrize(
    ("slope", "expected"),
    [(100.0, [[1.0, 0.0], [0.0, 1.0]]), (8.0, [[0.991837, 0.039166], [0.039166, 0.894101]])],
)
def test_min_max_map_by_hand(slope: float, expected: list[list[float]]) -> None:
    evidence = torch.tensor([[[[3.0, 0.0], [-1.0, 2.0]]]])
    cam = class_activation_map(_answers(evidence), 1, CamSettings(form="minmax", slope=slope))
    torch.testing.assert_close(cam[0, 0], torch.tensor(expected), atol=1e-6, rtol=0)


def test_a_flat_map_marks_nothing_in_the_min_max_form() -> None:
    cam = class_activation_map(_answers(torch.full((1, 1, 2, 2), 0.7)), 4, CamSettings(form="minmax"))
    assert cam.max() < 1e-15


@pytest.mark.parametrize("form", ["minmax", "sigmoid"])
@pytest.mark.parametrize("cell", [(0, 0), (2, 1), (3, 3)])
def test_a_single_hot_cell_peaks_at_its_place(form: str, cell: tuple[int, int]) -> None:
    evidence = torch.zeros(1, 1, 5, 5)
    evidence[0, 0, cell[0], cell[1]] = 4.0
    settings = CamSettings.model_validate({"form": form, "slope": 5.0})
    cam = class_activation_map(_answers(evidence, -2.0), 8, settings)[0, 0]
    assert divmod(int(cam.argmax()), cam.shape[1]) == (8 * cell[0], 8 * cell[1])


def test_cells_are_drawn_where_the_encoder_looks() -> None:
    """The centre of a cell's receptive field, measured by the gradient, is the pixel it is drawn at."""
    encoder = Encoder(
        EncoderSettings(  # no max-pool: on a constant picture its ties all go to the window's first pixel
            stem="5x5", widths=(2, 2, 2, 2), blocks=(1, 1, 1, 1), strides=(2, 2, 2, 1), normalise="imagenet"
        )
    )
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            parameter.fill_(0.05 if parameter.dim() == 4 else (1.0 if name.endswith("weight") else 0.0))
    image = torch.ones(1, 1, 256, 256, requires_grad=True)
    out = encoder.eval()(image, torch.ones(1, 1, 256, 256, dtype=torch.bool)).out
    cells = torch.zeros(1, 1, *out.shape[2:])
    row, column = 8, 7
    cells[0, 0, row, column] = 1
    (out * cells).sum().backward()
    assert image.grad is not None
    weight = image.grad[0, 0]
    centre = (weight.sum(1) @ torch.arange(256.0)) / weight.sum()
    drawn = enlarge(cells, 16)[0, 0]
    assert int(drawn.sum(1).argmax()) == 16 * row
    assert float(centre) == pytest.approx(16 * row, abs=1.0)


def test_the_picture_itself_may_join_the_last_stage() -> None:
    method = build(Recipe.load("mini-mias", ["model.decoder.picture_skip=true", "image.height=64", "image.width=32"]))
    plain = build(Recipe.load("mini-mias", ["model.decoder.picture_skip=false", "image.height=64", "image.width=32"]))
    assert isinstance(method, DisAsymNet)
    assert method.decoder is not None
    torch.nn.init.ones_(method.decoder.last.weight)
    method.eval()
    image, breast = torch.full((2, 1, 64, 32), 0.5), torch.ones(2, 1, 64, 32, dtype=torch.bool)
    features = method.encoder(image, breast)
    grain = image.clone()
    grain[0, 0, 20, 10] = 0.9
    with torch.no_grad():
        drawn = [
            method.decoder(features.out, features, picture, torch.ones_like(image)).abnormal_part
            for picture in (image, grain)
        ]
    changed = (drawn[1] - drawn[0]).abs()[0, 0] > 1e-6
    assert changed[20, 10]
    assert changed.sum() <= 25  # two 3 x 3 convolutions
    counts = [sum(p.numel() for p in one.parameters()) for one in (method, plain)]
    assert counts[0] - counts[1] == 9 * 8
