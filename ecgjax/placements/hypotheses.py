"""Every hypothesis of how a named 12-lead record was wired.

Nine ways to connect the limb cables times the 720 orders of the chest cables, and the 18 exchanges of a limb cable with
a chest cable, which change nearly every lead: `NUM_HYPOTHESES` in all. Hypothesis `limb * 720 + chest` is the way
`LIMB_PLACEMENTS[limb]` with the chest order `chest_orders()[chest]`; the 18 come last, and 0 is the correct one.
Arrays over hypotheses are constants, made at first use.
"""

import functools
import itertools

import numpy as np

from ecgjax import leads
from ecgjax.errors import InputError
from ecgjax.leads import Placement

LIMB_PLACEMENTS = (leads.CORRECT, *leads.LIMB_SWAPS, *leads.LIMB_CYCLES, *leads.NEUTRAL_SWAPS)
LIMB_CHEST_SWAPS = tuple(leads.swap((a, v)) for a in leads.LIMB_ELECTRODES for v in leads.PRECORDIAL_LEADS)
SINGLE_SWAPS = tuple(leads.swap(pair) for pair in itertools.combinations(leads.ELECTRODES, 2))
"""The 36 exchanges of two of the nine signal electrodes."""

NUM_UNDOABLE_LIMB = sum(not placement.uses_neutral for placement in LIMB_PLACEMENTS)
NUM_CHEST_ORDERS = 720
NUM_GRID = len(LIMB_PLACEMENTS) * NUM_CHEST_ORDERS
NUM_HYPOTHESES = NUM_GRID + len(LIMB_CHEST_SWAPS)
CORRECT = 0
"""The hypothesis that the record was wired rightly."""

KINDS = (
    "correct",
    "limb swap",
    "limb cycle",
    "neutral",
    "adjacent chest swap",
    "other chest swap",
    "chest order",
    "limb-chest swap",
    "limb and chest",
)
"""What kind of mistake a hypothesis is; the prior is shared out by kind."""

_ELECTRODES = (*leads.ELECTRODES, leads.NEUTRAL)
_NUM_LIMB = len(leads.LIMB_ELECTRODES)
_NUM_JACKS = len(leads.ELECTRODES)


@functools.cache
def chest_orders() -> np.ndarray:
    """[720, 6]: which chest electrode, 0 to 5, the jacks V1 to V6 read; the first row is the correct order."""
    return np.array(list(itertools.permutations(range(len(leads.PRECORDIAL_LEADS)))))


@functools.cache
def reads() -> np.ndarray:
    """[hypothesis, 9 jack]: which electrode each jack reads, as an index into ELECTRODES, or 9 for RL."""
    limb = np.array([_reads(placement)[:_NUM_LIMB] for placement in LIMB_PLACEMENTS])
    grid = np.empty((len(limb), NUM_CHEST_ORDERS, _NUM_JACKS), int)
    grid[:, :, :_NUM_LIMB] = limb[:, None]
    grid[:, :, _NUM_LIMB:] = _NUM_LIMB + chest_orders()
    return np.concatenate([grid.reshape(NUM_GRID, _NUM_JACKS), [_reads(swap) for swap in LIMB_CHEST_SWAPS]])


def _reads(placement: Placement) -> list[int]:
    return [_ELECTRODES.index(placement.reads.get(jack, jack)) for jack in leads.ELECTRODES]


@functools.cache
def is_undoable() -> np.ndarray:
    """[hypothesis]: whether no jack reads RL, so that the true leads can be had exactly."""
    return np.all(reads() < _NUM_JACKS, axis=1)


@functools.cache
def matrices() -> np.ndarray:
    """[hypothesis, 12, 12] float32: written leads = matrix @ true leads, with the potential of RL that of LL."""
    return _matrices(reads())


@functools.cache
def undo_matrices() -> np.ndarray:
    """[hypothesis, 12, 12] float32: true leads = matrix @ written leads.

    A hypothesis that lost a potential to RL has only its chest order undone: its limb leads and Wilson's terminal stay.
    """
    kept = reads().copy()
    kept[~is_undoable(), :_NUM_LIMB] = np.arange(_NUM_LIMB)
    return _matrices(np.argsort(kept, axis=1))


def _matrices(jacks: np.ndarray) -> np.ndarray:
    """`[..., 9 jack]`, indices of electrodes -> `[..., 12, 12]`."""
    ll = leads.ELECTRODES_FROM_LEADS[leads.ELECTRODES.index("LL")]
    potentials = np.vstack([leads.ELECTRODES_FROM_LEADS, ll])[jacks]
    return (leads.LEADS_FROM_ELECTRODES @ potentials).astype(np.float32)


@functools.lru_cache(maxsize=1024)
def placement(hypothesis: int) -> Placement:
    """The hypothesis as a placement, described as a cardiographer would."""
    if not 0 <= hypothesis < NUM_HYPOTHESES:
        raise IndexError(f"hypothesis {hypothesis} is not in 0..{NUM_HYPOTHESES - 1}")
    if hypothesis >= NUM_GRID:
        return LIMB_CHEST_SWAPS[hypothesis - NUM_GRID]
    limb = LIMB_PLACEMENTS[hypothesis // NUM_CHEST_ORDERS]
    chest = _chest_placement(chest_orders()[hypothesis % NUM_CHEST_ORDERS])
    if leads.CORRECT in (limb, chest):
        return chest if limb is leads.CORRECT else limb
    return Placement(
        f"{limb.name}+{chest.name}", f"{limb.description}; {chest.description}", {**limb.reads, **chest.reads}
    )


def _chest_placement(order: np.ndarray) -> Placement:
    names = leads.PRECORDIAL_LEADS
    jack_reads = {names[jack]: names[source] for jack, source in enumerate(order) if jack != source}
    if not jack_reads:
        return leads.CORRECT
    if jack_reads == leads.PRECORDIAL_REVERSED.reads:
        return leads.PRECORDIAL_REVERSED
    turns = cycles(jack_reads)
    swaps, longer = [turn for turn in turns if len(turn) == 2], [turn for turn in turns if len(turn) > 2]
    said = [f"{a} and {b} exchanged" for a, b in swaps]
    for turn in longer:
        steps = ", ".join(f"{jack} reads {jack_reads[jack]}" for jack in turn)
        said.append(f"{', '.join(turn[:-1])} and {turn[-1]} turned: {steps}")
    name = "+".join("-".join(turn) for turn in (*swaps, *longer))
    return Placement(name, ("; " if longer else " and ").join(said), jack_reads)


def cycles(jack_reads: dict[str, str]) -> list[list[str]]:
    """The cycles of a permutation, each from its first jack on in the order in which a jack reads the next."""
    left, turns = dict(jack_reads), []
    while left:
        turn = [next(iter(left))]
        while (following := left.pop(turn[-1])) != turn[0]:
            turn.append(following)
        turns.append(turn)
    return turns


@functools.cache
def _index() -> dict[tuple[int, ...], int]:
    return {tuple(row): hypothesis for hypothesis, row in enumerate(reads().tolist())}


def index_of(wanted: Placement) -> int:
    """The hypothesis that is this placement.

    Raises:
      InputError: it is none of them.
    """
    hypothesis = _index().get(tuple(_reads(wanted)))
    if hypothesis is None:
        raise InputError(
            f"the placement {wanted.name} is none of the {NUM_HYPOTHESES} hypotheses",
            "use a limb placement of ecgjax.leads with any chest order, or one exchange of a limb and a chest cable",
        )
    return hypothesis


@functools.cache
def kinds() -> np.ndarray:
    """[hypothesis]: the index into KINDS."""
    limb = np.repeat([KINDS.index(kind) for kind in KINDS[:4]], [1, 3, 2, 3])[:, None]
    orders = chest_orders()
    distance = np.abs(orders - np.arange(orders.shape[1]))
    is_swap = (distance > 0).sum(axis=1) == 2
    chest = np.select(
        [distance.max(axis=1) == 0, is_swap & (distance.max(axis=1) == 1), is_swap],
        [KINDS.index(kind) for kind in ("correct", "adjacent chest swap", "other chest swap")],
        default=KINDS.index("chest order"),
    )
    grid = np.where(limb == CORRECT, chest, np.where(chest == CORRECT, limb, KINDS.index("limb and chest")))
    return np.concatenate([grid.reshape(-1), np.full(len(LIMB_CHEST_SWAPS), KINDS.index("limb-chest swap"))])
