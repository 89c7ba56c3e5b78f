"""Elimination with a network trained anew on the leads of every step, from the same initial weights.

As Lead Elimination was published: the network of a step is shown one lead fewer at a time, without further training,
and the lead goes whose removal costs least. Leads are withheld from a network, never handed to another's place. Where
leads can be rebuilt by algebra their removal costs nothing, and the network stays.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from ecgjax.data.split import Split
from ecgjax.elimination import stability, subsets
from ecgjax.elimination.curves import Judge, along
from ecgjax.elimination.outcome import Outcome, order_arrays
from ecgjax.elimination.scoring import MEAN, Criterion
from ecgjax.elimination.search import TIE, Step, drop_shares, one_fewer
from ecgjax.elimination.stability import Stability
from ecgjax.elimination.sweep import Network, SubsetScores, SubsetSweep, open_network
from ecgjax.leads import LEADS
from ecgjax.metrics import BOOTSTRAP_SEED, bootstrap_weights
from ecgjax.runlog import say
from ecgjax.train import train_and_evaluate
from ecgjax.workdir import predictions_file, read_arrays

NETWORKS = "networks"
"""Folder of the trained networks, each in one that is named after its leads."""


@dataclasses.dataclass(frozen=True)
class Removal:
    """What it cost to remove a lead.

    Attributes:
      tried: [subset] the sets of leads of equal information that were compared.
      figures: [subset, figure] on the validation records.
      resampled: [subset, resample] costs.
      was_drawn: different leads were equal to the last digit in figure and loss, and the seed decided.
    """

    tried: np.ndarray
    figures: np.ndarray
    resampled: np.ndarray
    was_drawn: bool


@dataclasses.dataclass(frozen=True)
class Elimination:
    """One sequence of networks.

    Attributes:
      steps: the leads that are kept, most first; `tied` carry the same information.
      validation: [step, figure] of the step's own network.
      removals: how every step but the first came about.
      tested: what the step's networks make of the test records.
    """

    steps: list[Step]
    validation: np.ndarray
    removals: list[Removal]
    tested: SubsetScores


class Trainer:
    """Trains a network for each set of leads, once, and scores any of them under fewer leads."""

    def __init__(self, config: ConfigDict, workdir: Path, validation: Split, criterion: Criterion, num_resamples: int):
        self._config = config
        self._workdir = workdir
        self._validation = validation
        self._criterion = criterion
        self._weights = np.concatenate(
            [np.ones((1, len(validation))), bootstrap_weights(validation.patient_ids, num_resamples, BOOTSTRAP_SEED)]
        )
        self._networks: dict[int, Network] = {}
        self._sweep: SubsetSweep | None = None

    def folder(self, subset: int) -> Path:
        """Where the network for all that follows from `subset` is trained."""
        return self._workdir / NETWORKS / folder_name(subset)

    def network(self, subset: int) -> Network:
        """The network for all that follows from `subset`; trained where it is not yet."""
        known = int(subsets.known_leads(subset))
        if known not in self._networks:
            folder, config = self.folder(known), leads_config(self._config, known)
            say(f"leads {subsets.describe([subset])}: {folder}")
            train_and_evaluate(config, folder)
            self._networks[known] = open_network(folder, config, self._validation)
        return self._networks[known]

    def judged(self, network: Network, wanted: np.ndarray) -> tuple[SubsetScores, np.ndarray]:
        """Its scores of the validation records under the leads of each of `wanted`, and figures
        `[subset, figure, 1 + resample]`."""
        if self._sweep is None:
            self._sweep = SubsetSweep(network.experiment, network.stride_s)
        scores = self._sweep.score(network, self._validation, wanted)
        return scores, scores.figures(self._criterion, self._weights)


def folder_name(subset: int) -> str:
    """Name of the folder of the network for all that follows from `subset`."""
    return subsets.name_of(int(subsets.known_leads(subset)))


def leads_config(config: ConfigDict, subset: int) -> ConfigDict:
    """`config` for a network that is shown what follows from `subset` alone, and always."""
    own = config.copy_and_resolve_references()
    names = subsets.names_of(int(subsets.known_leads(subset)))
    own[config.task].leads = "all" if names == LEADS else ",".join(names)
    own[config.task].random_leads = 0.0
    return own


def eliminate(
    trainer: Trainer, criterion: Criterion, *, candidates: tuple[str, ...], until: int, retrains_each: bool, seed: int
) -> Elimination:
    """Drops lead after lead down to `until` of them.

    With `retrains_each` every set with one lead fewer gets a network of its own before one is dropped; without, the
    network of the step is shown them. Sets that are equal in figure are told apart by the loss, and where that is
    equal, too, without carrying the same information, by `seed`.
    """
    tied: tuple[int, ...] = (subsets.subset_of(candidates),)
    network = trainer.network(tied[0])
    own = trainer.judged(network, np.array(tied))[1][0, :, 0]
    steps = [Step(len(candidates), tied, float(criterion.cost(own[0])))]
    validation, removals = [own], []
    while steps[-1].num_leads > until:
        fewer = one_fewer(tied)
        tried = np.unique(subsets.known_leads(fewer))
        if retrains_each:
            results = [trainer.judged(trainer.network(int(known)), np.array([known])) for known in tried]
        else:
            results = [trainer.judged(network, tried)]
        figures = np.concatenate([of_some for _, of_some in results])
        loss = np.concatenate([scores.loss for scores, _ in results])
        costs = criterion.cost(figures[:, 0])
        place, was_drawn = _cheapest(costs[:, 0], loss, [seed, steps[-1].num_leads])
        removals.append(Removal(tried, figures[..., 0], costs[:, 1:], was_drawn))
        tied = tuple(int(subset) for subset in fewer if subsets.known_leads(subset) == tried[place])
        steps.append(Step(steps[-1].num_leads - 1, tied, float(costs[place, 0])))
        network = trainer.network(tied[0])
        validation.append(trainer.judged(network, np.array(tied))[1][0, :, 0])
        say(f"{steps[-1].num_leads} leads: {subsets.describe(tied)}")
    return Elimination(steps, np.stack(validation), removals, _tested(trainer, steps))


def _cheapest(costs: np.ndarray, loss: np.ndarray, seed: Sequence[int]) -> tuple[int, bool]:
    """Place of the least of `costs` `[n]`, of those the least `loss` `[n]`; whether it took a draw."""
    best = np.flatnonzero(costs <= np.nanmin(costs) + TIE)
    best = best[loss[best] == loss[best].min()]
    return int(np.random.default_rng(seed).choice(best)), len(best) > 1


def _tested(trainer: Trainer, steps: Sequence[Step]) -> SubsetScores:
    """The test records, each set of leads by its own network."""
    evaluated = np.unique([subsets.known_leads(step.tied[0]) for step in steps])
    files = [read_arrays(trainer.folder(int(known)) / predictions_file("test")) for known in evaluated]
    return SubsetScores(
        evaluated=evaluated,
        scores=np.stack([file["scores"] for file in files]),
        loss=np.array([file["loss"].mean(dtype=np.float64) for file in files]),
        targets=files[0]["targets"],
        patient_ids=files[0]["patient_ids"],
        records_per_s=0.0,
    )


def outcome(
    runs: Sequence[Elimination],
    criterion: Criterion,
    class_names: tuple[str, ...],
    *,
    candidates: tuple[str, ...],
    num_bootstrap: int,
) -> Outcome:
    """What sequences with different seeds found together."""
    names = criterion.figure_names(class_names)
    judge = Judge([run.tested for run in runs], criterion, len(names) - 1, num_bootstrap)
    steps = [run.steps for run in runs]
    curves = [
        along(judge, steps, [list(run.validation[:, place]) for run in runs], (place, name), MEAN, "retrained")
        for place, name in enumerate(names)
    ]
    orders = [drop_shares(run.steps) for run in runs]
    sure = {"patients": _over_resamples(runs)}
    if len(runs) > 1:
        sure["seeds"] = stability.between(orders)
    order = np.mean(orders, axis=0)
    notes = [
        f"run {number}: two sets of {step.num_leads} leads were equal in figure and loss; the seed decided"
        for number, run in enumerate(runs, 1)
        for step, removal in zip(run.steps[1:], run.removals, strict=True)
        if removal.was_drawn
    ]
    arrays: dict[str, np.ndarray] = {"figure_names": np.array(names), "lead_names": np.array(LEADS)}
    for number, run in enumerate(runs):
        arrays[f"validation_{number}"] = run.validation
        arrays[f"step_{number}"] = np.repeat(np.arange(1, len(run.steps)), [len(r.tried) for r in run.removals])
        arrays[f"tried_{number}"] = np.concatenate([removal.tried for removal in run.removals])
        arrays[f"tried_figures_{number}"] = np.concatenate([removal.figures for removal in run.removals])
    return Outcome(
        criterion=criterion,
        figure_names=names,
        candidates=candidates,
        curves=curves,
        order=order,
        stability=sure,
        wearables={},
        arrays={**arrays, **order_arrays(order, sure)},
        notes=notes,
        num_runs=len(runs),
    )


def _over_resamples(runs: Sequence[Elimination]) -> Stability:
    """Share of the resamples in which each lead is the one to go, given what went before; there is no other path."""
    shares = []
    for run in runs:
        of_run = np.zeros((len(LEADS), len(run.steps)))
        for rank, (step, removal) in enumerate(zip(run.steps, run.removals, strict=False)):
            costs = removal.resampled[:, ~np.isnan(removal.resampled).any(0)]
            is_best = costs <= costs.min(0) + TIE
            weight = np.mean(is_best / is_best.sum(0), axis=1)
            for known, share in zip(removal.tried, weight, strict=True):
                of_run[:, rank] += share * _leads_to(step.tied, int(known))
        of_run[:, -1] = subsets.is_in(run.steps[-1].tied).mean(0)
        shares.append(of_run)
    return Stability(runs[0].removals[0].resampled.shape[1], np.mean(shares, axis=0), float("nan"), None)


def _leads_to(tied: Sequence[int], known: int) -> np.ndarray:
    """`[12]`: which leads may go from one of `tied` so that what is left carries the information `known`; sum 1."""
    count = np.zeros(len(LEADS))
    for subset in tied:
        for lead in range(len(LEADS)):
            if subset >> lead & 1 and int(subsets.known_leads(subset & ~(1 << lead))) == known:
                count[lead] += 1
    return count / count.sum()
