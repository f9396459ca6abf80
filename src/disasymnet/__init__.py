"""DisAsymNet: bilateral mammograms compared by a network. Research use only, not for diagnosis."""

__version__ = "0.1.0"
