"""Two files in, one answer out. Needs no part of training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from disasymnet import checkpoint
from disasymnet.checkpoint import Checkpoint
from disasymnet.images.preprocess import Prepared, preprocess
from disasymnet.images.read import Reading
from disasymnet.methods.base import PairOutput
from disasymnet.predict.answer import Prediction, side_prediction
from disasymnet.predict.outside import warnings_of
from disasymnet.predict.pair import Source, as_pair
from disasymnet.records import Sides
from disasymnet.terms import Laterality


@dataclass(frozen=True)
class Model:
    """A trained method with its recipe and card, ready to answer."""

    checkpoint: Checkpoint

    @classmethod
    def load(cls, run: Path) -> Model:
        """From a run or a checkpoint folder. CheckpointError if there is none or it is damaged."""
        return cls(checkpoint.load(Path(run)))

    def predict(self, right: Path, left: Path, *, strict: bool = False) -> Prediction:
        """The answer on two files.

        Where the files state their side, that decides; else the order of the arguments does, with a warning.
        `strict` refuses what a mammography system would not have made so. PictureError for a file that cannot be used,
        PairingError for two that make no pair.
        """
        # The grey is made as it was for training.
        reading = Reading(strict, self.checkpoint.recipe.image.voi)
        seen = self.predict_pictures(Source.read(Path(right), reading), Source.read(Path(left), reading))
        return replace(seen, strict=strict)

    def predict_pictures(self, right: Source, left: Source) -> Prediction:
        """The answer on two pictures already read; errors and warnings as for `predict`."""
        sources, view, warnings = as_pair(right, left)
        pictures = sources.map(lambda source: source.picture)
        prepared = preprocess(pictures, Sides(None, None), self.checkpoint.recipe.image)
        out = self._answer(prepared)
        side = (None, None) if out.side_logit is None else torch.sigmoid(out.side_logit).tolist()
        numbers = {Laterality.RIGHT: 0, Laterality.LEFT: 1}
        sides = {
            name: side_prediction(sources[name], prepared[name], out, numbers[name], side[numbers[name]])
            for name in Laterality
        }
        asymmetry = None if out.asymmetry_logit is None else float(torch.sigmoid(out.asymmetry_logit[0]))
        return Prediction(
            asymmetry=asymmetry,
            sides=Sides(sides[Laterality.RIGHT], sides[Laterality.LEFT]),
            view=view,
            warnings=(*warnings, *warnings_of(prepared, pictures, view, self.checkpoint.card)),
            card=self.checkpoint.card,
        )

    @torch.no_grad()
    def _answer(self, prepared: Sides[Prepared]) -> PairOutput:
        image = torch.from_numpy(np.stack([side.image for side in prepared]))[:, None]
        breast = torch.from_numpy(np.stack([side.breast for side in prepared]))[:, None]
        out: PairOutput = self.checkpoint.method(image, breast)
        return out
