"""The comparison methods' formulas against numbers computed by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from disasymnet.data.batch import PairBatch
from disasymnet.methods import build
from disasymnet.methods.asym_attention import AsymAttention
from disasymnet.methods.asymmirai import AsymMirai
from disasymnet.methods.base import Method
from disasymnet.methods.cvt import CrossViewAttention
from disasymnet.methods.ham import Ham, bound_loss, soft_mask, union_loss
from disasymnet.networks.concat_heads import ConcatHeads, ConcatMlpHeads, slope
from disasymnet.networks.encoder import Features
from disasymnet.networks.heads import Answers
from disasymnet.recipe import Recipe
from disasymnet.settings import CvtSettings, HeadSettings

from .conftest import SMALL

EVERYWHERE = torch.ones(2, 1, 2, 2, dtype=torch.bool)


class Given(nn.Module):
    """An encoder that has seen these features."""

    def __init__(self, f: Tensor) -> None:
        super().__init__()
        self.f = f

    def forward(self, image: Tensor, breast: Tensor) -> Features:
        return Features(self.f, {})


def _on(kind: type, f: Tensor) -> Method:
    """A method whose encoder's last stage is as wide as `f` and answers `f`."""
    torch.manual_seed(0)
    widths = f"model.encoder.widths=[4, 4, 4, {f.shape[1]}]"
    changes = [*SMALL, widths, "model.transformer.heads=1", "model.transformer.positions=none"]
    method: Method = kind(Recipe.load("paper", changes)).eval()
    method.encoder = Given(f)
    return method


# A pair of one picture a side, two channels, 2 x 2 cells.
RIGHT = torch.tensor([[[1.0, 0.0], [0.0, 3.0]], [[0.0, 0.0], [2.0, 0.0]]])
LEFT = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 2.0], [2.0, 4.0]]])
PAIR = torch.stack([RIGHT, LEFT])


def test_ham_bound_and_union() -> None:
    of_class = torch.tensor([[2.0, 0.5], [0.0, 1.0]])[None, None]
    of_anomaly = torch.tensor([[1.0, 1.0], [0.0, 1.0]])[None, None]
    yes = torch.tensor([True])
    assert bound_loss(of_class, of_anomaly, yes).item() == pytest.approx(0.428571, abs=1e-6)
    assert union_loss(of_class, of_anomaly, yes).item() == pytest.approx(0.166667, abs=1e-6)
    assert soft_mask(torch.tensor(0.75)).item() == 0.5


def test_ham_bound_and_union_count_abnormal_sides_only() -> None:
    of_class, of_anomaly = torch.rand(4, 1, 2, 2) + 1, torch.rand(4, 1, 2, 2) + 1
    first = torch.tensor([True, False, False, False])
    for loss in (bound_loss, union_loss):
        assert loss(of_class, of_anomaly, first) == loss(of_class[:1], of_anomaly[:1], first[:1])
        assert loss(of_class, of_anomaly, ~(first | True)).item() == 0


def test_ham_weighs_its_four_losses(batch: PairBatch) -> None:
    torch.manual_seed(0)
    method = build(Recipe.load("paper+ham", SMALL))
    losses = next(method.objectives(batch))
    weights = {name: weight for name, (weight, _) in losses.items()}
    assert weights == {"diag": 1.0, "anomaly": 0.01, "bound": 0.001, "union": 0.001}


def test_hams_maps_teach_the_features_and_not_the_heads(batch: PairBatch) -> None:
    torch.manual_seed(0)
    method = build(Recipe.load("paper+ham", SMALL))
    assert isinstance(method, Ham)
    losses = next(method.objectives(batch))
    (losses["bound"][1] + losses["union"][1]).backward()
    assert method.encoder.conv1.weight.grad is not None
    assert method.abnormal.weight.grad is None
    assert method.anomaly.weight.grad is None


def test_hams_foreground_attention_starts_as_nothing() -> None:
    torch.manual_seed(0)
    method = build(Recipe.load("paper+ham", SMALL))
    assert isinstance(method, Ham)
    attention, x = method.foreground[1], torch.randn(2, 4, 3, 3)
    assert torch.equal(attention(x), x)
    with torch.no_grad():
        attention.gamma.fill_(1.0)
    change = attention(x) - x
    torch.testing.assert_close(change, change[:, :1].expand_as(change))  # the same at all channels of a place


def test_late_fusion_by_hand() -> None:
    heads = ConcatHeads(2, HeadSettings())
    with torch.no_grad():
        heads.side.weight.copy_(torch.tensor([[1.0, 2.0, 3.0, 4.0]]))
        heads.asymmetry.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 2.0]]))
        heads.side.bias.fill_(0.5)
        heads.asymmetry.bias.fill_(0.25)
    answers = heads(PAIR, EVERYWHERE)  # g_r = [1, 0.5], g_l = [0.25, 2]
    assert answers.side is not None
    assert answers.asymmetry is not None
    assert answers.side.tolist() == [1 + 1 + 0.75 + 8 + 0.5, 0.25 + 4 + 3 + 2 + 0.5]
    assert answers.asymmetry.tolist() == [((1 + 4) + (0.25 + 1)) / 2 + 0.25]
    assert torch.equal(answers.evidence[0, 0], RIGHT[0] + 2 * RIGHT[1])


def test_linear_late_fusion_cannot_compare_the_sides_and_the_mlp_can() -> None:
    """Exchange single channels between the sides: their sum is the same, their difference is not."""
    mixed = torch.stack([torch.stack([RIGHT[0], LEFT[1]]), torch.stack([LEFT[0], RIGHT[1]])])
    torch.manual_seed(0)
    linear, mlp = ConcatHeads(2, HeadSettings()), ConcatMlpHeads(2, HeadSettings())
    torch.testing.assert_close(linear(PAIR, EVERYWHERE).asymmetry, linear(mixed, EVERYWHERE).asymmetry)
    assert (mlp(PAIR, EVERYWHERE).asymmetry - mlp(mixed, EVERYWHERE).asymmetry).abs() > 1e-4


def test_the_mlps_map_is_its_gradient_and_adds_up_to_the_logit() -> None:
    torch.manual_seed(0)
    heads, f = ConcatMlpHeads(3, HeadSettings(bias=-1.0)), torch.rand(4, 3, 2, 2, requires_grad=True)
    answers = heads(f, torch.ones(4, 1, 2, 2, dtype=torch.bool))
    both = torch.rand(5, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(heads.side(both).sum(), both)
    torch.testing.assert_close(slope(heads.side, both), gradient)
    assert answers.side is not None
    # z = mean of the own cells' evidence + what the other side adds + bias; the map's mean alone is the own part
    (own,) = torch.autograd.grad(answers.side[0], f, retain_graph=True)
    torch.testing.assert_close((4 * own[0] * f[0]).sum(0), answers.evidence[0, 0])  # d z / d f at a cell is w / 4


def test_cross_view_attention_answers_with_the_other_sides_features() -> None:
    """Without queries every cell asks alike: what it gets is the mean of the other side."""
    attention = CrossViewAttention(2, CvtSettings(pool=1, heads=1))
    with torch.no_grad():
        attention.query.weight.zero_()
        for layer in (attention.merge, attention.add):
            layer.weight.copy_(torch.eye(2))
    f = attention(PAIR)
    torch.testing.assert_close(f[0], RIGHT + torch.tensor([0.25, 2.0])[:, None, None])
    torch.testing.assert_close(f[1], LEFT + torch.tensor([1.0, 0.5])[:, None, None])


def test_cross_view_attention_by_hand() -> None:
    """One head on the cells' own features: softmax(q k / sqrt(32)) over the other side, its values as they are."""
    attention = CrossViewAttention(2, CvtSettings(pool=1, heads=1))
    with torch.no_grad():
        for layer in (attention.query, attention.key):
            layer.weight.zero_()
            layer.weight[:2] = torch.eye(2) * 32**0.25  # q k / sqrt(32) is then f . f'
        for layer in (attention.merge, attention.add):
            layer.weight.copy_(torch.eye(2))
    f_r = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).view(2, 2, 1)  # two cells, identity
    f_l = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).view(2, 2, 1)  # cells [1, 1] and [0, 0]
    change = attention(torch.stack([f_r, f_l])) - torch.stack([f_r, f_l])
    # each cell of the right side: scores [1, 0], softmax [0.731059, 0.268941], times [1, 1] and [0, 0]
    torch.testing.assert_close(change[0], torch.full((2, 2, 1), 0.731059), atol=1e-6, rtol=0)
    # left cells [1, 1]: scores [1, 1]; [0, 0]: scores [0, 0]: the mean of the identity's rows either way
    torch.testing.assert_close(change[1], torch.full((2, 2, 1), 0.5))


def test_pooled_attention_adds_to_the_full_features() -> None:
    attention = CrossViewAttention(2, CvtSettings(pool=2, heads=1))
    with torch.no_grad():
        for layer in (attention.merge, attention.add):
            layer.weight.copy_(torch.eye(2))
    # one pooled cell a side, so its attention is 1: each side gets the other's maxima, at every cell
    torch.testing.assert_close(attention(PAIR)[0], RIGHT + torch.tensor([1.0, 4.0])[:, None, None])
    odd = torch.rand(2, 2, 5, 3)
    assert attention(odd).shape == odd.shape


def test_tokens_are_means_over_the_other_sides_cells() -> None:
    attention = CrossViewAttention(2, CvtSettings(form="token", tokens=3, heads=1))
    with torch.no_grad():
        attention.tokens.weight.zero_()  # type: ignore[union-attr]
        for layer in (attention.merge, attention.add):
            layer.weight.copy_(torch.eye(2))
    torch.testing.assert_close(attention(PAIR)[0], RIGHT + torch.tensor([0.25, 2.0])[:, None, None])


def _answers(method: Method) -> Answers:
    answers: Answers = method.answers(torch.zeros(2, 1, 2, 2), EVERYWHERE)  # type: ignore[operator]
    return answers


def test_asym_attention_by_hand() -> None:
    method = _on(AsymAttention, PAIR)
    with torch.no_grad():
        method.attention.weight.copy_(torch.tensor([0.5, 0.0]).view(1, 2, 1, 1))  # type: ignore[union-attr]
        method.attention.bias.zero_()  # type: ignore[union-attr]
        for head in (method.heads.side, method.heads.asymmetry):  # type: ignore[union-attr]
            head.weight.fill_(1.0)  # type: ignore[union-attr]
            head.bias.zero_()  # type: ignore[union-attr]
    answers = _answers(method)
    # D = [[0, 0], [0, 3]] and [[0, 2], [0, 4]]; A = sigmoid(D_1 / 2) = 0.5 but sigmoid(1.5) = 0.817574 at the last cell
    a = 1.817574
    assert answers.side is not None
    assert answers.asymmetry is not None
    assert answers.side.tolist() == pytest.approx([(1.5 * (1 + 2) + a * 3) / 4, (1.5 * (1 + 2 + 2) + a * 4) / 4])
    assert answers.asymmetry.tolist() == pytest.approx([(1.5 * 2 + a * (3 + 4)) / 4])


def test_asymmirai_by_hand() -> None:
    method = _on(AsymMirai, PAIR)
    with torch.no_grad():
        method.mean.fill_(1.5)  # type: ignore[operator]
        method.log_std.fill_(0.5**0.5).log_()  # type: ignore[operator]
    answers = _answers(method)
    # |f_r - f_l| at the last cell is (3, 4): length 5, in units of sqrt(2) 3.535534; (3.535534 - 1.5) / 0.707107
    assert answers.side is None
    assert answers.asymmetry is not None
    assert answers.asymmetry.item() == pytest.approx(2.878680, abs=1e-5)
    assert answers.evidence[0, 0, 1, 1].item() == pytest.approx(2.878680, abs=1e-5)
    assert answers.evidence[0, 0, 0, 1].item() == pytest.approx((2**0.5 - 1.5) * 2**0.5, abs=1e-5)
    assert torch.equal(answers.evidence[0], answers.evidence[1])


def test_asymmirai_takes_the_maximum_of_each_channel_within_a_place() -> None:
    f = torch.zeros(2, 2, 10, 10)
    f[0, 0, 0, 0], f[1, 1, 1, 1] = 3.0, 4.0  # one place of the 5 x 5
    near = _answers(_on(AsymMirai, f)).asymmetry
    f[1, 1, 1, 1], f[1, 1, 5, 5] = 0.0, 4.0  # two places
    far = _answers(_on(AsymMirai, f)).asymmetry
    assert near is not None
    assert far is not None
    assert near.item() == pytest.approx(5 / 2**0.5 - 1, abs=1e-5)
    assert far.item() == pytest.approx(4 / 2**0.5 - 1, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "taken"),
    [("resnet18", True), ("cvt", True), ("late-fusion-mlp", False), ("ham", False), ("asymmirai", False)],
)
def test_a_detectors_head_starts_a_linear_side_head(name: str, taken: bool) -> None:
    method = build(Recipe.load(f"recommended+{name}", SMALL))
    weight = torch.randn(1, 16, 1, 1)
    assert method.start_from_detector(weight, torch.tensor([-2.0])) is taken
    if taken:
        assert torch.equal(method.heads.side.weight[:, :16], weight[:, :, 0, 0])  # type: ignore[union-attr]
        assert not method.heads.side.weight[:, 16:].any()  # type: ignore[union-attr]


def test_cvt_starts_from_the_trunk_as_it_is() -> None:
    method = build(Recipe.load("recommended+cvt", SMALL)).eval()
    plain = build(Recipe.load("recommended+late-fusion", SMALL)).eval()
    state = method.state_dict()
    plain.load_state_dict({name: state[name] for name in plain.state_dict()})
    image, breast = torch.rand(4, 1, 64, 32), torch.ones(4, 1, 64, 32, dtype=torch.bool)
    with torch.no_grad():
        torch.testing.assert_close(method(image, breast).side_logit, plain(image, breast).side_logit)
        torch.nn.init.ones_(method.attention.add.weight)
        assert not torch.allclose(method(image, breast).side_logit, plain(image, breast).side_logit)
