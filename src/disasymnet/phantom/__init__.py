"""Phantom exams: bilateral mammograms with known lesions and the same breast without them."""

from __future__ import annotations

from disasymnet.phantom.make import make_exams
from disasymnet.phantom.settings import PhantomSettings

__all__ = ["PhantomSettings", "make_exams"]
