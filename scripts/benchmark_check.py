"""Exchanges cables of held-out records and counts what `ecgjax check` finds and `ecgjax repair` puts right.

    python scripts/benchmark_check.py [--workdir=bundled|RUN] [--dataset=ptbxl/100hz] [--split=test|validation]
        [--num_records=100] [--seed=0] [--prevalence=P] [--threshold=P] [--data_dir=DIR] [--files] [--output=DIR]

Records are judged by `ecgjax.check` as those of a user are, with its default settings unless others are given: each as
it is, with every exchange of two of the nine signal electrodes, and with the three that involve RL and can be seen. How
many wrong records are found and put right is told twice: of --num_records records with one exchange each, drawn by
--seed, and of all records under all exchanges, weighed alike or as a clinic may expect them. Put right is what comes
out as the rightly wired record, every sample; where RL takes part a potential is lost, and the exchange has to be named
and all else put in its place. A correct record is left alone where nothing is changed. One whose own report says that
electrodes were exchanged is no correct record; the figures are given without and with it.

With --files the drawn records are written as WFDB files and checked by path. Writes check.json and check.md to
--output, by default into the current folder, and prints the latter; exit status 2 and one line for bad input.
"""

import dataclasses
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import wfdb
from absl import flags

from ecgjax import cli, leads
from ecgjax.analysis.markdown import table
from ecgjax.api.check import PREVALENCE, THRESHOLD, Checked, check, check_all
from ecgjax.bundled import BUNDLED
from ecgjax.command.options import output_folder
from ecgjax.data.records import load_split
from ecgjax.data.split import Split
from ecgjax.metrics import Metric, with_intervals
from ecgjax.placements import repair
from ecgjax.placements.hypotheses import index_of
from ecgjax.placements.prior import clinical_prior
from ecgjax.placements.trials import SINGLE, SINGLE_GROUPS, WITH_RL, Trial, fixed_trials
from ecgjax.recordings.recording import Recording
from ecgjax.runlog import hardware, say, to_json, write_json

NEUTRAL_NOISE_MV = 0.015
"""Deviation of the potential of RL above LL, as in training."""

NUM_BOOTSTRAP = 1000

SAYS_EXCHANGED = re.compile(r"interchang|revers(ed|al)|misplac|swapped|vertausch|verpol", re.IGNORECASE)
"""In a report, English or German, that electrodes were not where they belong."""

WEIGHTS = {
    "uniform": "all 39 exchanges equally often",
    "clinical": "exchanges as often as a clinic may expect them",
}

_TOLERANCE_MV = 2.5e-3
"""Files and exchanges are rounded to whole microvolts."""


@dataclasses.dataclass(frozen=True)
class Outcomes:
    """What became of each record under each of `fixed_trials()`, `[record, trial]` bool, the correct wiring first.

    Attributes:
      found: held to be wrong in its electrodes.
      put_right: the repaired record is the rightly wired one.
      cannot_tell: neither held to be right nor repaired.
    """

    found: np.ndarray
    put_right: np.ndarray
    cannot_tell: np.ndarray


def written_as(signal_mv: np.ndarray, trial: Trial, record_id: str) -> np.ndarray:
    """What the recorder writes of `[time, lead]` under a trial, in whole microvolts."""
    neutral_mv = NEUTRAL_NOISE_MV * np.random.default_rng(list(record_id.encode())).normal(size=len(signal_mv))
    return np.round(trial.placement.apply(signal_mv, neutral_mv), 3).astype(np.float32)


def outcome(signal_mv: np.ndarray, trial: Trial, checked: Checked) -> tuple[bool, bool, bool]:
    """One entry of Outcomes, from the true `[time, lead]`."""
    decided, found = checked.repair, checked.repair.placement
    if trial.placement.uses_neutral:
        is_right = found is not None and found.name == trial.placement.name and decided.undoing is not None
    else:
        is_right = bool(np.allclose(decided.signal, signal_mv, rtol=0, atol=_TOLERANCE_MV))
    is_undecided = decided.verdict == repair.CANNOT_TELL
    return decided.undoing is not None, is_right and not is_undecided, is_undecided


def all_trials(records: Split, options: dict[str, Any]) -> Outcomes:
    """Checks every record under every trial."""
    true_mv = true_signals(records)
    trials = fixed_trials()
    every = [
        (signal_mv, trial, str(name))
        for name, signal_mv in zip(records.record_ids, true_mv, strict=True)
        for trial in trials
    ]
    recordings = (Recording.from_array(written_as(*one), records.fs_hz, name=one[2]) for one in every)
    rows = []
    for (signal_mv, trial, _), checked in zip(every, check_all(recordings, **options), strict=True):
        rows.append(outcome(signal_mv, trial, checked))
        if len(rows) % (25 * len(trials)) == 0:
            say(f"{len(rows) // len(trials)} of {len(records)} records")
    return Outcomes(*np.array(rows).reshape(len(records), len(trials), 3).transpose(2, 0, 1))


def true_signals(records: Split) -> np.ndarray:
    """`[record, time, lead]` in mV, rightly wired: Einthoven's law holds, which rounding in files breaks."""
    return leads.CORRECT.apply(records.ecg / records.gain).astype(np.float32)


def weights() -> dict[str, np.ndarray]:
    """Name -> `[trial]`: how often each wrong trial is drawn, 0 for the correct wiring."""
    clinical = np.exp(clinical_prior(0.5).log_prior().astype(float))
    wrong = fixed_trials()[1:]
    shares = {"uniform": np.ones(len(wrong)), "clinical": np.array([clinical[index_of(t.placement)] for t in wrong])}
    return {name: np.append(0.0, share / share.sum()) for name, share in shares.items()}


def drawn(num_records: int, is_correct: np.ndarray, share: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Records that were correct, and one wrong trial for each."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(np.flatnonzero(is_correct))[:num_records]
    return chosen, rng.choice(len(share), len(chosen), p=share)


def figures(outcomes: Outcomes, patient_ids: np.ndarray, is_correct: np.ndarray) -> dict[str, dict[str, Metric]]:
    """Group -> name -> figure, over the records of `is_correct`."""
    shares = weights()
    groups = [trial.group for trial in fixed_trials()]
    for group in (*SINGLE_GROUPS, WITH_RL):
        shares[group] = np.array([float(one == group) for one in groups])
    shares[SINGLE] = sum((shares[group] for group in SINGLE_GROUPS), np.zeros(len(groups)))
    for place, trial in enumerate(fixed_trials()[1:], 1):
        shares[trial.placement.name] = np.eye(len(groups))[place]
    names = ("found", "put_right", "cannot_tell")
    columns = {
        f"{group}\t{name}": getattr(outcomes, name) @ (share / share.sum())
        for group, share in shares.items()
        for name in names
    }
    columns["correct\tleft_alone"] = ~outcomes.found[:, 0]
    columns["correct\tcannot_tell"] = outcomes.cannot_tell[:, 0]
    values = np.stack([column.astype(float) for column in columns.values()], axis=1)

    def weighted(weight: np.ndarray) -> dict[str, np.ndarray]:
        means = weight @ values / weight.sum(axis=-1)[..., None]
        return {name: means[..., i] for i, name in enumerate(columns)}

    by_group: dict[str, dict[str, Metric]] = {}
    for key, metric in with_intervals(weighted, is_correct.astype(float), patient_ids, NUM_BOOTSTRAP).items():
        group, name = key.split("\t")
        by_group.setdefault(group, {})[name] = metric
    return by_group


def of_drawn(outcomes: Outcomes, patient_ids: np.ndarray, chosen: np.ndarray, trial: np.ndarray) -> dict[str, Metric]:
    """How many of the drawn records, one exchange each, are found and put right."""
    columns = {name: getattr(outcomes, name)[chosen, trial].astype(float) for name in ("found", "put_right")}
    return with_intervals(
        lambda weight: {name: weight @ values / weight.sum(axis=-1) for name, values in columns.items()},
        np.ones(len(chosen)),
        patient_ids[chosen],
        NUM_BOOTSTRAP,
    )


def through_files(records: Split, pairs: Iterable[tuple[int, int]], options: dict[str, Any]) -> Iterator[bool]:
    """Whether each pair of a record and a trial is put right that was written as a WFDB file and checked by path."""
    true_mv, trials = true_signals(records), fixed_trials()
    with tempfile.TemporaryDirectory() as folder:
        for row, place in pairs:
            name, trial = str(records.record_ids[row]), trials[place]
            written = written_as(true_mv[row], trial, name)
            names = [lead.upper() for lead in leads.LEADS]
            wfdb.wrsamp(
                name, records.fs_hz, ["mV"] * len(names), names, written.astype(float), fmt=["16"] * len(names),
                adc_gain=[1000.0] * len(names), baseline=[0] * len(names), write_dir=folder,
            )  # fmt: skip
            yield outcome(true_mv[row], trial, check(Path(folder) / f"{name}.hea", **options))[1]


def text(
    content: dict[str, Any],
    by_group: dict[str, dict[str, Metric]],
    with_named: Metric,
    samples: dict[str, dict[str, Metric]],
) -> str:
    """check.md."""
    rows = [
        [
            f"{one['put_right'].n} records, one exchange each: {WEIGHTS[kind]}",
            *map(_percent, (one["found"], one["put_right"])),
        ]
        for kind, one in samples.items()
    ]
    rows += [
        [
            f"all records, {WEIGHTS.get(group, group)}",
            _percent(by_group[group]["found"]),
            _percent(by_group[group]["put_right"]),
        ]
        for group in (*WEIGHTS, *SINGLE_GROUPS, WITH_RL)
    ]
    correct = by_group["correct"]
    named = content["reports_that_name_an_exchange"]
    lines = [
        f"# What `ecgjax check` finds and puts right: {content['dataset']}, {content['split']}",
        f"{content['n_records']} records of {content['n_patients']} patients, prevalence {content['prevalence']:g}, "
        f"threshold {content['threshold']:g}; 95 % intervals by resampling patients.",
        table(["wrong records", "found", "found and put right"], rows),
        f"Correct records left alone: {_percent(correct['left_alone'])} of {correct['left_alone'].n}; among them "
        f'{_percent(correct["cannot_tell"])} "cannot tell". Changed: {_listed(content["changed"])}.',
    ]
    if named:
        lines.append(
            f"Not counted, since the report itself names an exchange: {_listed(named)}. Counted as correct, they would "
            f"make it {_percent(with_named)} of {with_named.n}."
        )
    if content["through_files"] is not None:
        done = content["through_files"]
        lines.append(f"As WFDB files, checked by path: {done['put_right']} of {done['n']} put right.")
    exchanges = [
        [
            trial.placement.name,
            *(_percent(by_group[trial.placement.name][name]) for name in ("found", "put_right", "cannot_tell")),
        ]
        for trial in fixed_trials()[1:]
    ]
    lines.append(table(["exchange", "found", "found and put right", "cannot tell"], exchanges))
    return "\n\n".join(lines) + "\n"


def _percent(metric: Metric) -> str:
    interval = "" if metric.ci95 is None else " [{:.1f} to {:.1f}]".format(*(100 * end for end in metric.ci95))
    return f"{100 * metric.value:.1f} %{interval}"


def _listed(entries: Sequence[dict[str, str]]) -> str:
    return "; ".join(f"{one['record']} ({one['sentence']})" for one in entries) or "none"


def sentences(records: Split, rows: np.ndarray, options: dict[str, Any]) -> list[dict[str, str]]:
    """What is said of records as they are."""
    true_mv, right = true_signals(records), fixed_trials()[0]
    ids = [str(records.record_ids[row]) for row in rows]
    given = [
        Recording.from_array(written_as(true_mv[row], right, name), records.fs_hz, name=name)
        for row, name in zip(rows, ids, strict=True)
    ]
    return [
        {"record": name, "sentence": checked.sentence}
        for name, checked in zip(ids, check_all(given, **options), strict=True)
    ]


def main() -> None:
    """Runs the benchmark of the command line."""
    given = flags.FLAGS
    options = {name: given[name].value for name in ("workdir", "prevalence", "threshold")}
    output = output_folder(Path(given.output))
    name, _, variant = given.dataset.partition("/")
    records = load_split(name, variant, given.split, given.data_dir, None, given.seconds)
    records = records.select(np.array([not repair.unusable(mv) for mv in true_signals(records)]))
    says_exchanged = np.array(
        [bool(SAYS_EXCHANGED.search(str(said))) for said in records.labels.get("report", records.record_ids)]
    )
    patient_ids, is_correct = records.patient_ids, ~says_exchanged
    outcomes = all_trials(records, options)
    by_group = figures(outcomes, patient_ids, is_correct)
    pairs = {kind: drawn(given.num_records, is_correct, share, given.seed) for kind, share in weights().items()}
    samples = {kind: of_drawn(outcomes, patient_ids, *pair) for kind, pair in pairs.items()}
    with_named = figures(outcomes, patient_ids, np.ones(len(records), bool))["correct"]["left_alone"]
    through = None
    if given.files:
        through = list(through_files(records, zip(*pairs["uniform"], strict=True), options))
    content = {
        **options,
        "dataset": records.dataset,
        "split": given.split,
        "n_records": len(records),
        "n_patients": len(np.unique(patient_ids)),
        "seed": given.seed,
        "hardware": hardware(),
        "drawn": {kind: to_json(found) for kind, found in samples.items()},
        "all": {group: to_json(found) for group, found in by_group.items()},
        "left_alone_with_reports_that_name_an_exchange": with_named.to_json(),
        "changed": sentences(records, np.flatnonzero(is_correct & outcomes.found[:, 0]), options),
        "reports_that_name_an_exchange": sentences(records, np.flatnonzero(says_exchanged), options),
        "through_files": through and {"put_right": sum(through), "n": len(through)},
    }
    said = text(content, by_group, with_named, samples)
    write_json(output / "check.json", content)
    (output / "check.md").write_text(said, encoding="utf-8")
    print(said)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", BUNDLED, "reversal run that judges")
    flags.DEFINE_string("dataset", "ptbxl/100hz", "NAME/VARIANT of a prepared dataset of twelve leads")
    flags.DEFINE_enum("split", "test", ["train", "validation", "test", "all"], "which records")
    flags.DEFINE_string("data_dir", "", "where prepared datasets lie; TFDS's own default otherwise")
    flags.DEFINE_float("seconds", 10.0, "of each record, its middle")
    flags.DEFINE_integer("num_records", 100, "records that are drawn for one exchange each", lower_bound=1)
    flags.DEFINE_integer("seed", 0, "of what is drawn")
    flags.DEFINE_float("prevalence", PREVALENCE, "records that are expected to be wired wrongly", 0, 1)
    flags.DEFINE_float("threshold", THRESHOLD, "probability from which a verdict is given", 0, 1)
    flags.DEFINE_bool("files", False, "have the drawn records checked as files, too")
    flags.DEFINE_string("output", ".", "folder for check.json and check.md")
    cli.run(main)
