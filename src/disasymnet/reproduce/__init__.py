"""The paper's tables and figures on one's own data: which runs, where they stand, what they say."""

from disasymnet.reproduce.command import Options, reproduce

__all__ = ["Options", "reproduce"]
