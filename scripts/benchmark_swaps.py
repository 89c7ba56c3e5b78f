"""Exchanges its own cables on held-out records and counts what is found, named and put right.

    python scripts/benchmark_swaps.py --workdir=RUN [--dataset=NAME[/VARIANT]]
        [--split=test|validation|train|all] [--multiple=9] [--threshold=0.7]
        [--max_records=N] [--data_dir=DIR] [--output=DIR]

Every record is shown as it is, with each of the 36 exchanges of two signal electrodes, with the three exchanges that
involve RL and can be seen, and with --multiple random ones of several cables, which follow from --seed. A decision is
made four times over: where 50, 5, 2 and 0.5 % of records are taken to be wrong. A record counts as exactly right when
every sample is that of the rightly wired record. Writes swaps.json, swaps.md and figures to --output, by default
RUN/swaps_SPLIT, and prints the tables; exit status 2 and one line for bad input.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from ecgjax import cli, leads, plots
from ecgjax.analysis.markdown import table, value_and_interval
from ecgjax.bundled import workdir_of
from ecgjax.errors import InputError
from ecgjax.metrics import Metric
from ecgjax.placements import held_out
from ecgjax.placements.evidence import Evidence
from ecgjax.placements.held_out import EXPLAINED, Part
from ecgjax.placements.hypotheses import SINGLE_SWAPS
from ecgjax.placements.posterior import log_posterior
from ecgjax.placements.prior import clinical_prior, even_prior
from ecgjax.placements.repair import THRESHOLD
from ecgjax.placements.trials import (
    NONE,
    PREVALENCES,
    SINGLE,
    Counted,
    Trial,
    decisions,
    figures,
    fixed_trials,
    group_names,
    random_trials,
    written_leads,
)
from ecgjax.runlog import hardware, say, to_json, write_json
from ecgjax.workdir import read_config

_MOST_AT_ONCE = 16
_DPI = 150


PRIORS = {
    "single": "only single exchanges of two cables occur, all equally often",
    "clinical": "mistakes as a clinic may expect them, of several cables too",
}
"""What is expected of the mistakes, in words."""


def log_priors(kind: str) -> dict[float, np.ndarray]:
    """The prior over hypotheses at each of PREVALENCES; `kind` is a key of PRIORS."""
    mistakes = (*SINGLE_SWAPS, *leads.NEUTRAL_SWAPS)
    return {p: clinical_prior(p).log_prior() if kind == "clinical" else even_prior(mistakes, p) for p in PREVALENCES}


def run(
    parts: Sequence[Part], threshold: float, *, multiple: int, seed: int, neutral_noise_mv: float
) -> tuple[dict[str, dict[float, Counted]], list[list[Trial]]]:
    """What became of every record under every trial, by prior and prevalence, and the trials of each record."""
    priors = {(kind, prevalence): log_prior for kind in PRIORS for prevalence, log_prior in log_priors(kind).items()}
    trials: list[list[Trial]] = []
    outcomes: dict[tuple[str, float], list[np.ndarray]] = {key: [] for key in priors}
    num_records = sum(len(part.records) for part in parts)
    for part in parts:
        for record_id, ecg in zip(part.records.record_ids, part.records.ecg, strict=True):
            # Rounding in the files breaks Einthoven's law by a microvolt or two; the true record obeys it.
            signal_mv = leads.CORRECT.apply(ecg / part.records.gain).astype(np.float32)
            rng = np.random.default_rng([seed, *str(record_id).encode()])
            neutral_mv = neutral_noise_mv * rng.normal(size=len(signal_mv))
            trials.append([*fixed_trials(), *random_trials(rng, multiple)])
            written = written_leads(signal_mv, trials[-1], neutral_mv)
            likelihood = _likelihood(part.evidence, written)
            for key, log_prior in priors.items():
                posterior = np.exp(np.asarray(log_posterior(likelihood, log_prior)))
                outcomes[key].append(decisions(signal_mv, written, trials[-1], posterior, threshold))
            if len(trials) % 10 == 0 or len(trials) == num_records:
                say(f"{len(trials)} of {num_records} records")
    counted = {key: Counted(*np.moveaxis(np.stack(found), 2, 0)) for key, found in outcomes.items()}
    return {kind: {p: counted[kind, p] for p in PREVALENCES} for kind in PRIORS}, trials


def _likelihood(evidence: Evidence, written: np.ndarray) -> jax.Array:
    """`[trial, hypothesis]`, in batches of one size, the last filled up."""
    num_batches = -(-len(written) // _MOST_AT_ONCE)
    size = -(-len(written) // num_batches)
    padded = np.concatenate([written, np.repeat(written[:1], num_batches * size - len(written), axis=0)])
    batches = [evidence.log_likelihood(jnp.asarray(batch)) for batch in np.split(padded, num_batches)]
    return jnp.concatenate(batches)[: len(written)]


def summary_table(by_group: dict[str, dict[str, Metric]], groups: Sequence[str]) -> str:
    """One row a group and prevalence."""
    names = ("recall", "ppv", "type_accuracy", "repair_exact", "repair_exact_best_guess", "cannot_tell")
    rows = [
        [group, f"{100 * p:g} %", *(value_and_interval(by_group[group][f"{name}_at_{100 * p:g}pct"]) for name in names)]
        for group in groups
        for p in PREVALENCES
    ]
    return table(["mistake", "prevalence", *(name.replace("_", " ") for name in names)], rows)


def correct_table(by_group: dict[str, dict[str, Metric]]) -> str:
    names = ("specificity", "repair_harm", "cannot_tell")
    rows = [
        [f"{100 * p:g} %", *(value_and_interval(by_group[NONE][f"{name}_at_{100 * p:g}pct"]) for name in names)]
        for p in PREVALENCES
    ]
    return table(["prevalence", *(name.replace("_", " ") for name in names)], rows)


def swap_table(by_group: dict[str, dict[str, Metric]]) -> str:
    names = ("recall_at_50pct", "type_accuracy_at_50pct", "repair_exact_at_50pct", "repair_exact_at_2pct")
    rows = [
        [trial.placement.name, *(value_and_interval(by_group[trial.placement.name][name]) for name in names)]
        for trial in fixed_trials()[1:]
    ]
    header = ["found at 50 %", "named at 50 %", "exactly right at 50 %", "exactly right at 2 %"]
    return table(["exchange", *header], rows)


def draw(by_group: dict[str, dict[str, Metric]], groups: Sequence[str], folder: Path, kind: str) -> list[str]:
    """Writes the figures and returns the names of their files."""
    swaps = [trial.placement.name for trial in fixed_trials()[1:]]
    pictures = {
        f"{kind}_exchanges_at_50pct.png": (swaps, [by_group[name] for name in swaps], "_at_50pct"),
        f"{kind}_exchanges_at_2pct.png": (swaps, [by_group[name] for name in swaps], "_at_2pct"),
        f"{kind}_groups_at_2pct.png": (list(groups), [by_group[name] for name in groups], "_at_2pct"),
    }
    for file, (names, found, at) in pictures.items():
        figure = plots.by_class(
            names,
            np.array([of["repair_exact" + at].value for of in found]),
            [of["repair_exact" + at].ci95 for of in found],
            label="exactly right in the end (95 % interval)",
            is_share=True,
            second=np.array([of["recall" + at].value for of in found]),
            second_label="found",
        )
        figure.savefig(folder / file, dpi=_DPI)
    return list(pictures)


def drawn(parts: Sequence[Part], max_records: int, seed: int) -> list[Part]:
    """At most `max_records` of all records, all of them where it is 0."""
    sizes = [len(part.records) for part in parts]
    if not 0 < max_records < sum(sizes):
        return list(parts)
    is_chosen = np.zeros(sum(sizes), bool)
    is_chosen[np.random.default_rng(seed).choice(sum(sizes), max_records, replace=False)] = True
    masks = np.split(is_chosen, np.cumsum(sizes)[:-1])
    chosen = [
        dataclasses.replace(part, records=part.records.select(mask)) for part, mask in zip(parts, masks, strict=True)
    ]
    return [part for part in chosen if len(part.records)]


def main() -> None:
    """Runs the benchmark of the command line."""
    given = flags.FLAGS
    workdir = workdir_of(given.workdir, "reversal")
    num_bootstrap = read_config(workdir).num_bootstrap
    parts = drawn(held_out.parts(workdir, given.split, given.dataset, given.data_dir), given.max_records, given.seed)
    counted, trials = run(
        parts, given.threshold, multiple=given.multiple, seed=given.seed, neutral_noise_mv=given.neutral_noise_mv
    )
    patient_ids = np.concatenate([part.records.patient_ids for part in parts])
    by_prior = {kind: figures(found, trials, patient_ids, num_bootstrap) for kind, found in counted.items()}
    groups = group_names(trials)
    counts = f"{len(patient_ids)} records of {len(np.unique(patient_ids))} patients"
    text = "\n\n".join(
        [
            f"# Exchanged cables: {parts[0].records.dataset}, {given.split}, {counts}",
            *(f"{len(part.records)} records: {part.status}, {EXPLAINED[part.status]}." for part in parts),
            f"Intervals are 95 %, by resampling patients. A verdict needs a probability of {given.threshold:g}, a best "
            "guess none. Where a cable is exchanged with RL a potential is lost, and no record can come out exactly "
            "right.",
            *(part for kind, by_group in by_prior.items() for part in _tables(kind, by_group, groups)),
        ]
    )
    output = Path(given.output or Path(given.workdir) / f"swaps_{given.split}")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {output}: {error.strerror}", "give another --output") from error
    written = [name for kind, by_group in by_prior.items() for name in draw(by_group, groups, output, kind)]
    pictures = "\n\n".join(f"![{Path(name).stem.replace('_', ' ')}]({name})" for name in written)
    (output / "swaps.md").write_text(f"{text}\n\n{pictures}\n", encoding="utf-8")
    write_json(output / "swaps.json", _content(parts, by_prior))
    print(text)


def _tables(kind: str, by_group: dict[str, dict[str, Metric]], groups: Sequence[str]) -> list[str]:
    # What a prior rules out cannot be found: random mistakes of several cables are judged by the other one.
    judged = [group for group in groups if kind == "clinical" or group.startswith(SINGLE)]
    return [
        f"## Expecting that {PRIORS[kind]}",
        "### Wrong records",
        summary_table(by_group, judged),
        "### Correct records",
        correct_table(by_group),
        "### Each exchange",
        swap_table(by_group),
    ]


def _content(parts: Sequence[Part], by_prior: dict[str, dict[str, dict[str, Metric]]]) -> dict[str, Any]:
    """Of swaps.json; its first figures are those of single exchanges at 50 % and of correct records at 2 %."""
    given = flags.FLAGS
    headline = {
        "repair_exact": by_prior["single"][SINGLE]["repair_exact_best_guess_at_50pct"],
        "repair_exact_at_threshold": by_prior["single"][SINGLE]["repair_exact_at_50pct"],
        "repair_harm_at_2pct": by_prior["clinical"][NONE]["repair_harm_at_2pct"],
    }
    patient_ids = np.concatenate([part.records.patient_ids for part in parts])
    return {
        "workdir": given.workdir,
        "dataset": parts[0].records.dataset,
        "split": given.split,
        "n_records": len(patient_ids),
        "n_patients": len(np.unique(patient_ids)),
        "judged": {part.status: EXPLAINED[part.status] for part in parts},
        "hardware": hardware(),
        **{name: given[name].value for name in ("threshold", "multiple", "seed", "neutral_noise_mv")},
        "metrics": to_json(headline),
        "by_prior": {
            kind: {group: to_json(found) for group, found in by_group.items()} for kind, by_group in by_prior.items()
        },
    }


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of the reversal or lead_id run that judges", required=True)
    flags.DEFINE_enum("split", "test", ["train", "validation", "test", "all"], "which records")
    flags.DEFINE_string("dataset", None, "NAME or NAME/VARIANT; that of the run by default")
    flags.DEFINE_string("data_dir", None, "where prepared datasets lie; that of the run by default")
    flags.DEFINE_integer("max_records", 0, "records drawn at most; 0 takes all", lower_bound=0)
    flags.DEFINE_integer("multiple", 9, "random mistakes of several cables for each record", lower_bound=3)
    flags.DEFINE_float("threshold", THRESHOLD, "probability from which a verdict is given")
    flags.DEFINE_float("neutral_noise_mv", 0.015, "deviation of the potential of RL above LL")
    flags.DEFINE_integer("seed", 0, "of the random mistakes and of the drawn records")
    flags.DEFINE_string("output", None, "folder to write to; swaps_SPLIT in the workdir by default")
    cli.run(main)
