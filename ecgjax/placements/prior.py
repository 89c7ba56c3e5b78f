"""How likely every hypothesis of wiring is before the record is looked at."""

import dataclasses
import functools
from collections.abc import Iterable

import numpy as np

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.leads import Placement
from ecgjax.placements.hypotheses import (
    CORRECT,
    KINDS,
    LIMB_CHEST_SWAPS,
    NUM_CHEST_ORDERS,
    NUM_GRID,
    NUM_HYPOTHESES,
    chest_orders,
    cycles,
    index_of,
    is_undoable,
    kinds,
)

NUM_LIKELY = 128


@dataclasses.dataclass(frozen=True)
class Prior:
    """How likely mistakes are, before the record is looked at.

    Attributes:
      prevalence: records that are wired wrongly.
      limb_swap, limb_cycle, neutral, adjacent_chest_swap, other_chest_swap, chest_order, limb_chest_swap,
        limb_and_chest: the share of each kind among these; shares need not sum to one. Within a kind the hypotheses are
        equally likely, except chest orders, and limb and chest at once, which are so in proportion to either alone.
      per_exchange: how much likelier a chest order of more than one exchange is than one that takes one more.
    """

    prevalence: float
    limb_swap: float
    limb_cycle: float
    neutral: float
    adjacent_chest_swap: float
    other_chest_swap: float
    chest_order: float
    limb_chest_swap: float
    limb_and_chest: float
    per_exchange: float

    def __post_init__(self):
        _check_prevalence(self.prevalence)
        shares = {kind: getattr(self, kind.replace(" ", "_").replace("-", "_")) for kind in KINDS[1:]}
        wrong = [kind for kind, share in shares.items() if share < 0]
        if wrong or not sum(shares.values()) > 0:
            raise InputError(f"the shares of mistakes are {shares}", "give none below 0, and one above")
        if not self.per_exchange > 1:
            raise InputError(f"per_exchange is {self.per_exchange}", "give a number above 1")

    def log_prior(self) -> np.ndarray:
        """[hypothesis] float32; sums to one as probabilities."""
        limb_kind, chest_kind = kinds()[:NUM_GRID:NUM_CHEST_ORDERS], kinds()[:NUM_CHEST_ORDERS]
        limb = sum(getattr(self, kind.replace(" ", "_")) * _even(limb_kind == KINDS.index(kind)) for kind in KINDS[1:4])
        exchanges = np.array([_num_exchanges(order) for order in chest_orders()])
        orders = (chest_kind == KINDS.index("chest order")) / self.per_exchange**exchanges
        chest = (
            self.adjacent_chest_swap * _even(chest_kind == KINDS.index("adjacent chest swap"))
            + self.other_chest_swap * _even(chest_kind == KINDS.index("other chest swap"))
            + self.chest_order * orders / orders.sum()
        )
        grid = self.limb_and_chest * np.outer(_shared(limb), _shared(chest))
        grid[:, CORRECT] += limb
        grid[CORRECT] += chest
        limb_chest = np.full(len(LIMB_CHEST_SWAPS), self.limb_chest_swap / len(LIMB_CHEST_SWAPS))
        weights = self.prevalence * _shared(np.concatenate([grid.reshape(-1), limb_chest]))
        weights[CORRECT] = 1 - self.prevalence
        return _log(weights)


def clinical_prior(prevalence: float) -> Prior:
    """Shares of mistakes as a clinic may expect them: the arms first, then neighbours on the chest; simple ones first.

    A judgement, in keeping with what is reported (0.4 to 4 % of records are wired wrongly, most of them by an exchange
    of two limb cables: Batchvarov, Malik and Camm, Europace 2007, 9(11):1081-1090), not a measurement.
    """
    return Prior(
        prevalence=prevalence,
        limb_swap=0.45,
        limb_cycle=0.03,
        neutral=0.10,
        adjacent_chest_swap=0.22,
        other_chest_swap=0.06,
        chest_order=0.05,
        limb_chest_swap=0.04,
        limb_and_chest=0.05,
        per_exchange=5.0,
    )


@functools.cache
def likely_hypotheses() -> np.ndarray:
    """[NUM_LIKELY]: the hypotheses that are likeliest by `clinical_prior` and, at the end, the three with RL alone.

    The first is the correct one.
    """
    with_rl = [index_of(wrong) for wrong in leads.NEUTRAL_SWAPS]
    prior = np.where(is_undoable(), clinical_prior(0.5).log_prior(), -np.inf)
    return np.append(np.argsort(-prior, kind="stable")[: NUM_LIKELY - len(with_rl)], with_rl)


def even_prior(mistakes: Iterable[Placement], prevalence: float) -> np.ndarray:
    """[hypothesis]: log-prior under which only `mistakes` occur, all equally often."""
    _check_prevalence(prevalence)
    wrong = {index_of(mistake) for mistake in mistakes} - {CORRECT}
    if not wrong:
        raise InputError("no mistake is named", "list one placement or more besides the correct one")
    weights = np.zeros(NUM_HYPOTHESES)
    weights[list(wrong)] = prevalence / len(wrong)
    weights[CORRECT] = 1 - prevalence
    return _log(weights)


def _check_prevalence(prevalence: float) -> None:
    if not 0 < prevalence < 1:
        raise InputError(f"the prevalence of mistakes is {prevalence}", "give a share between 0 and 1")


def _num_exchanges(order: np.ndarray) -> int:
    """Exchanges of two that it takes to undo a chest order."""
    moved = {str(jack): str(source) for jack, source in enumerate(order) if jack != source}
    return len(moved) - len(cycles(moved))


def _even(members: np.ndarray) -> np.ndarray:
    return members / members.sum()


def _shared(weights: np.ndarray) -> np.ndarray:
    """`weights` as shares of their sum; all zero where they are."""
    total = weights.sum()
    return weights / total if total > 0 else weights


def _log(weights: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # what does not occur has a log-prior of -inf
        return np.log(weights).astype(np.float32)
