"""Unique, gapless, monotonic IDs from a Sequencer gateway."""

from ._client import Sequencer
from ._errors import Refused, SequencerError, Unanswered
from ._ids import Ids

__all__ = ["Ids", "Refused", "Sequencer", "SequencerError", "Unanswered"]
