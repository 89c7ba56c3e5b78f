"""Times of blocks of steps: rates with their spread, and blocks during which the machine paused."""

import dataclasses
from collections.abc import Sequence

import numpy as np

FAR = 1.3
"""Over the median: a block that took longer by this factor met a pause of the machine, or other work."""


@dataclasses.dataclass(frozen=True)
class Block:
    """Steps timed together, from before the first is started until the last is done.

    Attributes:
      steps: how many.
      records: that they saw.
      wall_s, cpu_s: seconds on the clock, and of all cores together.
    """

    steps: int
    records: int
    wall_s: float
    cpu_s: float

    @property
    def step_s(self) -> float:
        """Seconds a step."""
        return self.wall_s / self.steps


@dataclasses.dataclass(frozen=True)
class Spread:
    """A median, and the 5th and 95th percentile."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float] | np.ndarray) -> "Spread":
        """Of at least one value."""
        return cls(*(float(value) for value in np.percentile(values, (5, 50, 95))))


def is_far(blocks: Sequence[Block]) -> np.ndarray:
    """bool `[block]`: those that took `FAR` times the median or longer."""
    step_s = np.array([block.step_s for block in blocks])
    return step_s >= FAR * np.median(step_s)


def records_per_s(blocks: Sequence[Block]) -> Spread:
    """Over the blocks without a pause."""
    kept = ~is_far(blocks)
    return Spread.of(np.array([block.records / block.wall_s for block in blocks])[kept])


def step_s(blocks: Sequence[Block]) -> Spread:
    """Over the blocks without a pause."""
    return Spread.of(np.array([block.step_s for block in blocks])[~is_far(blocks)])


def speed_up(blocks: Sequence[Block], others: Sequence[Block]) -> Spread:
    """By how much more records a second come than in the blocks of `others` of the same rounds."""
    pairs = zip(blocks, others, ~(is_far(blocks) | is_far(others)), strict=True)
    ratios = [(a.records / a.wall_s) / (b.records / b.wall_s) for a, b, is_kept in pairs if is_kept]
    return Spread.of(ratios) if ratios else Spread(np.nan, np.nan, np.nan)
