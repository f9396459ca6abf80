"""DisAsymNet, the paper on one page. The ablations of its tables are switches of this class.

B pairs, both sides in one stack of 2B pictures (right first), H x W model grid, h x w feature grid, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from disasymnet.data.batch import PairBatch
from disasymnet.methods.base import Losses, Method, PairOutput
from disasymnet.methods.losses import (
    blended,
    classification_loss,
    contralateral_loss,
    of_pairs,
    reconstruction_loss,
    synthesis_loss,
)
from disasymnet.networks.asymmetric_transformer import AsymmetricTransformer
from disasymnet.networks.concat_heads import ConcatHeads
from disasymnet.networks.decoder import Decoder
from disasymnet.networks.encoder import Encoder, GreyStatistics
from disasymnet.networks.heads import Answers, Heads, breast_cells, class_activation_map, weigh
from disasymnet.recipe import Recipe

BatchNormMode = Literal["eval", "frozen", "train"]


class DisAsymNet(Method):
    """AsyC (encoder, asymmetric transformer, heads) and AsyD (decoder, frozen copy of AsyC)."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        settings = recipe.model
        width, stride = settings.encoder.widths[-1], settings.encoder.stride
        self.settings = settings
        self.encoder = Encoder(settings.encoder)  # psi_e
        self.transformer = AsymmetricTransformer(width, settings.transformer)  # psi_asyt
        self.heads = (Heads if settings.heads.fusion == "difference" else ConcatHeads)(width, settings.heads)
        self.decoder = (  # psi_g
            Decoder(width, stride, self.encoder.skip_widths, settings.decoder) if settings.decoder.on else None
        )

    def forward(
        self, image: Tensor, breast: Tensor, statistics: GreyStatistics | None = None, decode: bool = True
    ) -> PairOutput:
        """(2B, 1, H, W) grey in [0, 1] and bool masks -> both answers, M, and the two pictures of each side.

        `decode=False` stops after AsyC: that is the classifier that judges pictures as discriminator psi_d.
        """
        features = self.encoder(image, breast, statistics)  # E1
        f_out = self.transformer(features.out)  # E2 to E4
        answers = self.heads(f_out, breast)  # E5
        cam = class_activation_map(answers, self.settings.encoder.stride, self.settings.cam)  # E14
        evidence = self._evidence(features.out, answers)
        if self.decoder is None or not decode:
            return PairOutput(answers.side, answers.asymmetry, cam, evidence=evidence)
        pictures = self.decoder(f_out, features, image, cam * breast)  # E7
        return PairOutput(answers.side, answers.asymmetry, cam, pictures.normal, pictures.abnormal_part, evidence)

    def objectives(self, batch: PairBatch) -> Iterator[Losses]:
        """The two objectives of a training step: all of E13, then E10 on the same x_n."""
        weights = self.settings.losses
        statistics = GreyStatistics.of(batch.image, batch.breast)
        out = self(batch.image, batch.breast, statistics)
        losses: Losses = {
            "diag": (weights.diag, classification_loss(out.side_logit, out.asymmetry_logit, batch.labels))
        }
        if out.evidence is not None:
            before, after = out.evidence
            compared = contralateral_loss(before, after, breast_cells(batch.breast, before))
            losses["contralateral"] = (weights.contralateral, compared)
        if out.normal is None or out.abnormal_part is None:
            yield losses
            return
        where = batch.breast if weights.region == "breast" else torch.ones_like(batch.breast)
        if weights.rec:
            known_abnormal = batch.labels.side.nan_to_num(0)[:, None, None, None]
            gate = out.cam * known_abnormal if weights.label_gate else out.cam
            losses["rec"] = (
                weights.rec,
                reconstruction_loss(batch.image, gate, out.normal, out.abnormal_part, where),
            )
        if weights.disc:
            judged = self.judge(out.normal, batch.breast, statistics)
            normal_labels = batch.labels.all_normal()
            losses["disc"] = (
                weights.disc,
                classification_loss(judged.side_logit, judged.asymmetry_logit, normal_labels),  # E9
            )
        if weights.syn and (syn := self._synthesis(batch, out.normal, where)) is not None:
            losses["syn"] = (weights.syn, syn)
        yield losses  # E13
        if weights.refine:
            x_n = out.normal.detach()
            again = self._classify(
                x_n, batch.breast, statistics, self.settings.adversary.refine_batch_norm, frozen=False
            )
            yield {
                "refine": (
                    weights.refine,
                    classification_loss(again.side_logit, again.asymmetry_logit, batch.labels),  # E10
                )
            }

    def judge(self, image: Tensor, breast: Tensor, statistics: GreyStatistics) -> PairOutput:
        """psi_d: AsyC's answer with today's weights as constants; the gradient reaches only the pictures.

        `statistics` are those of x, for `adversary.grey = "input"`.
        """
        mode = self.settings.adversary.frozen_batch_norm
        return self._classify(image, breast, statistics, mode, frozen=True)

    def _evidence(self, f_in: Tensor, answers: Answers) -> tuple[Tensor, Tensor] | None:
        """The side head's logit of each cell on psi_e's features and on psi_asyt's, where a loss compares them."""
        attends = self.settings.transformer.layers and self.settings.transformer.cross_attention
        if not (self.settings.losses.contralateral and attends and isinstance(self.heads, Heads)):
            return None
        bias = self.heads.side.bias
        return weigh(f_in, self.heads.side.weight) + bias, answers.evidence + bias

    def _synthesis(self, batch: PairBatch, normal: Tensor, where: Tensor) -> Tensor | None:
        """E12, or None where the batch holds no synthesised pair (its mean then has no such term)."""
        weights, extra = self.settings.losses, batch.extra
        if extra is not None and extra.real is not None:
            drawn = self(extra.image, extra.breast).normal
            real, fake = extra.real, extra.image
            inside = extra.breast if weights.region == "breast" else torch.ones_like(extra.breast)
        elif batch.real is not None and batch.synthetic is not None and bool(batch.synthetic.any()):
            drawn, real, fake = normal, batch.real, batch.image
            inside = where & of_pairs(batch.synthetic)
        else:
            return None
        if drawn is None:
            return None
        loss = synthesis_loss(real, drawn, inside)
        if weights.syn_lesion:
            loss = loss + weights.syn_lesion * synthesis_loss(real, drawn, inside & blended(real, fake))
        return loss

    def _classify(
        self, image: Tensor, breast: Tensor, of_input: GreyStatistics, mode: BatchNormMode | str, *, frozen: bool
    ) -> PairOutput:
        """AsyC on given pictures; `frozen` weights are constants, and no unit is dropped: a judge does not waver.

        Running statistics stay untouched except in mode `train` of a pass that is not frozen: x_n is another
        distribution than x, and a mixture of the two spoils every answer in eval mode.
        """
        statistics = of_input if self.settings.adversary.grey == "input" else None
        state: dict[str, Tensor] = {}
        if frozen:
            state |= {name: parameter.detach() for name, parameter in self.named_parameters()}
        if frozen or mode == "frozen":
            state |= {name: buffer.clone() for name, buffer in self.named_buffers()}
        with _evaluating(self, nn.BatchNorm2d, mode == "eval"), _evaluating(self, nn.Dropout, frozen):
            out = functional_call(self, state, (image, breast, statistics, False))
        assert isinstance(out, PairOutput)
        return out


@contextmanager
def _evaluating(module: nn.Module, kind: type[nn.Module], yes: bool) -> Iterator[None]:
    """Layers of a kind in eval mode for a while, and back to what each was."""
    layers = [layer for layer in module.modules() if yes and isinstance(layer, kind) and layer.training]
    for layer in layers:
        layer.eval()
    try:
        yield
    finally:
        for layer in layers:
            layer.train()
