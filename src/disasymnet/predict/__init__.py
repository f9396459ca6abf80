"""Two files or a folder in, answers out, on the files' own pixel grids. Needs no part of training."""

from disasymnet.predict.answer import Prediction, SidePrediction
from disasymnet.predict.folder import pairs_in, predict_folder
from disasymnet.predict.model import Model
from disasymnet.predict.pair import Source, as_pair

__all__ = ["Model", "Prediction", "SidePrediction", "Source", "as_pair", "pairs_in", "predict_folder"]
