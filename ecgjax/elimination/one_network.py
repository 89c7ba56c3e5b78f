"""Elimination with one network for every subset of the leads: all are scored, then the best are looked for."""

from collections.abc import Mapping, Sequence

import numpy as np

from ecgjax.data.split import Split
from ecgjax.elimination import stability, subsets
from ecgjax.elimination.curves import Curve, Judge, along, wearables
from ecgjax.elimination.outcome import Outcome, order_arrays, validation_arrays
from ecgjax.elimination.scoring import MEAN, Criterion
from ecgjax.elimination.search import SEARCHES, Step, cost_table
from ecgjax.elimination.sweep import Network, SubsetScores, SubsetSweep
from ecgjax.metrics import BOOTSTRAP_SEED, bootstrap_weights
from ecgjax.runlog import say

Chosen = dict[tuple[str, str], list[Step]]
"""(figure that decides, search) -> steps."""


def eliminate(
    networks: Sequence[Network],
    validation: Split,
    test: Split,
    criterion: Criterion,
    *,
    candidates: tuple[str, ...],
    until: int,
    num_resamples: int,
    search_stride_s: float,
) -> tuple[Outcome, float]:
    """The outcome, and pairs of a record and a subset that were scored in a second.

    Subsets are chosen on `validation` by figures that are means over `networks`, and only they are scored on `test`.
    `search_stride_s` is the stride of windows while all subsets are scored; the test records have that of the runs.
    """
    wanted = subsets.all_subsets(candidates)
    task = networks[0].experiment.task
    names = criterion.figure_names(task.class_names())
    # Wearable sets may be no candidates, although their signals follow from these.
    known = int(subsets.known_leads(subsets.subset_of(candidates)))
    named = [subset for one in subsets.WEARABLE_SETS.values() if not (subset := subsets.subset_of(one)) & ~known]
    asked = np.union1d(wanted, np.array(named, int))
    scored = [SubsetSweep(n.experiment, search_stride_s).score(n, validation, asked) for n in networks]
    evaluated = scored[0].evaluated
    whole = np.ones(len(validation))
    figures = np.stack([of_run.figures(criterion, whole) for of_run in scored])
    chosen = search(wanted, evaluated, dict(zip(names, criterion.cost(figures.mean(0)).T, strict=True)), until)

    say(
        f"{len(wanted)} subsets are scored, {len(np.unique(subsets.known_leads(wanted)))} of them different; resampling"
    )
    place = scored[0].place_of(wanted)
    costs = criterion.cost(figures[:, place, 0])
    resampled = _resampled(scored, criterion, num_resamples)[place]
    sure = {"patients": stability.over_resamples(wanted, costs.mean(0), resampled, until)}
    if len(networks) > 1:
        sure["seeds"] = stability.over_runs(wanted, costs, until)
    order = stability.order_of(wanted, costs.mean(0), until)

    needed = {subset for steps in chosen.values() for step in steps for subset in step.tied}.union(named)
    say("the chosen subsets are scored on the test records")
    tested = [SubsetSweep(n.experiment, n.stride_s).score(n, test, np.array(sorted(needed))) for n in networks]
    judge = Judge(tested, criterion, len(names) - 1, networks[0].experiment.config.num_bootstrap)
    by_known = np.full((subsets.NUM_SUBSETS, len(names)), np.nan)
    by_known[evaluated] = figures.mean(0)
    outcome = Outcome(
        criterion=criterion,
        figure_names=names,
        candidates=candidates,
        curves=_curves(chosen, judge, by_known, names, len(networks)),
        order=order,
        stability=sure,
        wearables=wearables(judge, by_known, names, candidates),
        arrays={**validation_arrays(evaluated, wanted, figures, names), **order_arrays(order, sure)},
        notes=_notes(networks, names, figures),
        num_runs=len(networks),
    )
    return outcome, float(np.mean([of_run.records_per_s for of_run in scored]))


def search(wanted: np.ndarray, evaluated: np.ndarray, costs: Mapping[str, np.ndarray], until: int) -> Chosen:
    """What every search chooses among the subsets `wanted` by each figure of `costs`.

    `costs[figure]` `[n]` are of the subsets `evaluated`, and hold for all that carry the same information. Figures that
    are not defined, as those of labels without positives, choose nothing.
    """
    place = np.searchsorted(evaluated, subsets.known_leads(wanted))
    tables = {name: cost_table(wanted, of_one[place]) for name, of_one in costs.items() if not np.isnan(of_one).any()}
    return {(name, how): find(cost, until) for name, cost in tables.items() for how, find in SEARCHES.items()}


def _resampled(scored: Sequence[SubsetScores], criterion: Criterion, num_resamples: int) -> np.ndarray:
    """Costs `[subset, resample]` by the deciding figure, mean over the runs."""
    weights = bootstrap_weights(scored[0].patient_ids, num_resamples, BOOTSTRAP_SEED)
    return np.mean([criterion.cost(of_run.figures(criterion, weights)[:, 0]) for of_run in scored], axis=0)


def _curves(chosen: Chosen, judge: Judge, validation: np.ndarray, names: Sequence[str], num_runs: int) -> list[Curve]:
    """Of every figure on the subsets chosen by the mean, and of every label on those chosen by itself."""
    curves = []
    for (decider, how), steps in chosen.items():
        for place, figure in enumerate(names):
            if decider not in (MEAN, figure):
                continue
            values = [float(validation[np.unique(subsets.known_leads(step.tied)), place].mean()) for step in steps]
            curves.append(along(judge, [steps] * num_runs, [values] * num_runs, (place, figure), decider, how))
    return curves


def _notes(networks: Sequence[Network], names: Sequence[str], figures: np.ndarray) -> list[str]:
    notes = []
    for network in networks:
        if not network.random_leads:
            notes.append(
                f"the network of {network.workdir} was never shown fewer leads (random_leads=0), so that its figures "
                "tell how it bears zeros, not what the leads are worth"
            )
    undefined = [name for name, column in zip(names, figures[0].T, strict=True) if np.isnan(column).any()]
    if undefined:
        notes.append(f"no validation record has {', '.join(undefined)}, for which nothing is chosen")
    return notes
