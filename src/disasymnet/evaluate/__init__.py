"""A run and a cache in, honest numbers out: results.json, predictions.csv and a gallery."""

from disasymnet.evaluate.evaluation import evaluate, summary

__all__ = ["evaluate", "summary"]
