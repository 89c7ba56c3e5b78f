"""Every hypothesis of how a named 12-lead record was wired, and their exact posterior.

Nine ways to connect the limb cables times the 720 orders of the chest cables, and the 18 exchanges of a limb cable with
a chest cable, which change nearly every lead: `NUM_HYPOTHESES` in all. Hypothesis `limb * 720 + chest` is the way
`LIMB_PLACEMENTS[limb]` with the chest order `chest_orders()[chest]`; the 18 come last, and 0 is the correct one.
Arrays over hypotheses are constants, made at first use.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
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
NUM_LIKELY = 128
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
def likely_hypotheses() -> np.ndarray:
    """[NUM_LIKELY]: the hypotheses that are likeliest by `clinical_prior` and, at the end, the three with RL alone.

    The first is the correct one.
    """
    with_rl = [index_of(wrong) for wrong in leads.NEUTRAL_SWAPS]
    prior = np.where(is_undoable(), clinical_prior(0.5).log_prior(), -np.inf)
    return np.append(np.argsort(-prior, kind="stable")[: NUM_LIKELY - len(with_rl)], with_rl)


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
    turns = _cycles(jack_reads)
    swaps, longer = [turn for turn in turns if len(turn) == 2], [turn for turn in turns if len(turn) > 2]
    said = [f"{a} and {b} exchanged" for a, b in swaps]
    for turn in longer:
        steps = ", ".join(f"{jack} reads {jack_reads[jack]}" for jack in turn)
        said.append(f"{', '.join(turn[:-1])} and {turn[-1]} turned: {steps}")
    name = "+".join("-".join(turn) for turn in (*swaps, *longer))
    return Placement(name, ("; " if longer else " and ").join(said), jack_reads)


def _cycles(jack_reads: dict[str, str]) -> list[list[str]]:
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


def same_leads(written: np.ndarray) -> np.ndarray:
    """Groups matrices `[n, 12, 12]` that write the same leads: `[n]`, for each the first of its group."""
    rounded = np.round(written.reshape(len(written), -1), 4) + 0.0  # no negative zeros
    _, first, group = np.unique(rounded, axis=0, return_index=True, return_inverse=True)
    return first[group.reshape(-1)]


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
    return len(moved) - len(_cycles(moved))


def _even(members: np.ndarray) -> np.ndarray:
    return members / members.sum()


def _shared(weights: np.ndarray) -> np.ndarray:
    """`weights` as shares of their sum; all zero where they are."""
    total = weights.sum()
    return weights / total if total > 0 else weights


def _log(weights: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # what does not occur has a log-prior of -inf
        return np.log(weights).astype(np.float32)


def log_posterior(log_likelihood: jax.Array, log_prior: jax.Array | np.ndarray) -> jax.Array:
    """Bayes' rule: `[batch, hypothesis]` and `[hypothesis]` -> `[batch, hypothesis]`, which sums to one."""
    return jax.nn.log_softmax(log_likelihood + log_prior, axis=-1)


def jack_marginals(log_probability: jax.Array) -> jax.Array:
    """`[batch, hypothesis]` -> `[batch, 9 jack, 10 electrode]`: the probability that a jack reads an electrode.

    Jacks in the order of ELECTRODES, electrodes too, with RL last.
    """
    incidence = jnp.asarray(_incidence())
    return (jnp.exp(log_probability) @ incidence).reshape(-1, _NUM_JACKS, len(_ELECTRODES))


@functools.cache
def _incidence() -> np.ndarray:
    """[hypothesis, jack * electrode], one where the jack reads the electrode."""
    return np.eye(len(_ELECTRODES), dtype=np.float32)[reads()].reshape(NUM_HYPOTHESES, -1)


def most_probable(log_probability: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """The likeliest hypotheses `[batch, count]`, best first, and their probabilities."""
    best, hypotheses = jax.lax.top_k(log_probability, count)
    return hypotheses, jnp.exp(best)


@dataclasses.dataclass(frozen=True)
class Flatness:
    """How flat a lead is when a jack reads RL, and when none does.

    The logarithm of its deviation over that of the larger of the other two among I, II and III is normal in both cases,
    with one deviation and so with evidence that is linear in it.
    """

    flat: float
    usual: float
    deviation: float


FLATNESS = Flatness(flat=-1.9, usual=-0.25, deviation=0.5)
"""Measured on the training folds of PTB-XL at 0.5-40 Hz, with 0.015 mV of noise between RL and LL."""

_FLAT_LEADS = np.array([leads.LEADS.index(name) for name in ("II", "III", "I")])
"""Which lead each of NEUTRAL_SWAPS makes flat."""


def flatness_evidence(signal_mv: jax.Array, flatness: Flatness) -> jax.Array:
    """`[batch, time, lead]` -> `[batch, 3]`: log-likelihood ratio of each of NEUTRAL_SWAPS against no use of RL."""
    deviation = jnp.std(signal_mv[:, :, :3], axis=1) + 1e-6
    others = jnp.stack([jnp.roll(deviation, shift, axis=1) for shift in (1, 2)]).max(axis=0)
    ratio = jnp.log(deviation / others)[:, _FLAT_LEADS]
    middle = (flatness.flat + flatness.usual) / 2
    return (flatness.flat - flatness.usual) / flatness.deviation**2 * (ratio - middle)


@functools.cache
def version_matrices() -> np.ndarray:
    """[24, 12, 12]: the versions of a record that a network has to name the leads of, true leads = matrix @ written.

    First the limb placements that can be undone, then the exchanges of a limb with a chest cable, each undone.
    """
    limb = undo_matrices()[: NUM_UNDOABLE_LIMB * NUM_CHEST_ORDERS : NUM_CHEST_ORDERS]
    return np.concatenate([limb, undo_matrices()[NUM_GRID:]])


def evidence_from_lead_names(log_probs: jax.Array, neutral_evidence: jax.Array) -> jax.Array:
    """`[batch, version, 12 lead, 12 name]` and `[batch, 3]` -> log-likelihood `[batch, hypothesis]`.

    `log_probs` holds, for every version of `version_matrices` or for the first six alone, the logarithm of the
    probability that a network gives each name on each lead. A hypothesis says which name every lead of its version has;
    its log-likelihood is the sum over them. Without the last 18 versions the exchanges of a limb with a chest cable are
    impossible. With a jack on RL the names of limb leads mean nothing: chest leads are named in the record as it is,
    limb leads count as on average over the six versions, and `neutral_evidence` (see `flatness_evidence`) is added.
    """
    own = jnp.sum(jnp.diagonal(log_probs, axis1=2, axis2=3)[:, :, :6], axis=-1)
    chest_probs = log_probs[:, :, 6:, 6:].reshape(*log_probs.shape[:2], -1)
    limb, swapped = own[:, :NUM_UNDOABLE_LIMB], own[:, NUM_UNDOABLE_LIMB:]
    chest = chest_probs[:, :NUM_UNDOABLE_LIMB] @ jnp.asarray(_chest_incidence()).T
    undoable = limb[:, :, None] + chest
    limb_mean = jax.nn.logsumexp(limb, axis=1) - jnp.log(float(NUM_UNDOABLE_LIMB))
    neutral = (neutral_evidence + limb_mean[:, None])[:, :, None] + chest[:, :1]
    grid = jnp.concatenate([undoable, neutral], axis=1).reshape(len(log_probs), NUM_GRID)
    if swapped.shape[1]:
        limb_chest = swapped + chest_probs[:, NUM_UNDOABLE_LIMB:] @ jnp.asarray(_chest_incidence()[CORRECT])
    else:
        limb_chest = jnp.full((len(log_probs), len(LIMB_CHEST_SWAPS)), -jnp.inf)
    return jnp.concatenate([grid, limb_chest], axis=1)


@functools.cache
def _chest_incidence() -> np.ndarray:
    """[720, 36], one where chest lead k carries the name that the order gives it."""
    return np.eye(len(leads.PRECORDIAL_LEADS), dtype=np.float32)[chest_orders()].reshape(NUM_CHEST_ORDERS, -1)
