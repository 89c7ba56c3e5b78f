"""Lists the records that the system itself holds to be recorded with exchanged cables, and draws them.

    python scripts/suspects.py --workdir=RUN [--dataset=NAME[/VARIANT]]
        [--split=test|validation|train|all] [--prevalence=0.02] [--probability=0.5] [--max_drawn=30]
        [--data_dir=DIR] [--output=DIR]

Every record as it stands is weighed against all hypotheses of how it was wired. Those that are more probably wrong than
--probability are listed, the strongest evidence first, with the most probable placement in words. Records that the run
trained on are judged by the network of a cross-validated run (kfold) that left them out; without one their scores are
in-sample, and the list says so. Writes suspects.csv, suspects.json and suspects.html, with each record as it was
recorded and as it would be corrected, to --output, by default RUN/suspects_SPLIT; exit status 2 and one line for bad
input.
"""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import scipy.special
from absl import flags

from ecgjax import cli, plots
from ecgjax.analysis.markdown import table
from ecgjax.bundled import workdir_of
from ecgjax.clinical_plot import clinical_figure
from ecgjax.errors import InputError
from ecgjax.placements import held_out, repair
from ecgjax.placements.held_out import EXPLAINED, Part
from ecgjax.placements.hypotheses import CORRECT, placement
from ecgjax.placements.posterior import log_posterior
from ecgjax.placements.prior import clinical_prior
from ecgjax.report.page import Section, image, page, paragraph, side_by_side
from ecgjax.runlog import say, write_json

_BATCH = 16
_SETTINGS = ("workdir", "split", "prevalence", "probability")
_LABELS = ("filename", "report", "age_years", "sex", "device")
"""Labels that are listed where a dataset has them."""


@dataclasses.dataclass(frozen=True)
class Suspect:
    """A record that is held to be wrong.

    Attributes:
      record_id, patient_id: of the dataset.
      probability: that it was wired wrongly, however.
      log10_odds: how many powers of ten likelier that is than that it was wired rightly, all told.
      placement: name of the most probable mistake.
      description: the same in words.
      placement_probability: of that mistake.
      log10_evidence: how many powers of ten likelier the record itself is under that mistake than wired rightly.
      second: the next most probable hypothesis in words, and its probability.
      status: what the networks had to do with the record before, a key of `held_out.EXPLAINED`.
      labels: what the dataset says about it.
    """

    record_id: str
    patient_id: str
    probability: float
    log10_odds: float
    placement: str
    description: str
    placement_probability: float
    log10_evidence: float
    second: str
    status: str
    labels: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Found:
    """A suspect with what it takes to draw it: the record `[time, lead]`, its rate, the number of the mistake."""

    suspect: Suspect
    signal_mv: np.ndarray
    fs_hz: float
    hypothesis: int


def judge(part: Part, log_prior: np.ndarray, probability: float) -> tuple[list[Found], int]:
    """The suspects of a part, and how many of its records cannot be judged for flat or missing leads."""
    signal_mv = part.records.ecg.astype(np.float32) / np.float32(part.records.gain)
    rows = np.array([row for row, signal in enumerate(signal_mv) if not repair.unusable(signal)], int)
    found = []
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH]
        # All batches have one shape, since each shape is compiled.
        filled = np.concatenate([batch, np.full(_BATCH - len(batch), batch[0])])
        likelihood = part.evidence.log_likelihood(jnp.asarray(signal_mv[filled]))[: len(batch)]
        posterior = np.asarray(log_posterior(likelihood, log_prior), np.float64)
        for row, of_record, evidence in zip(batch, posterior, np.asarray(likelihood, np.float64), strict=True):
            if -np.expm1(of_record[CORRECT]) >= probability:
                hypothesis = int(np.argmax(np.delete(of_record, CORRECT))) + 1
                suspect = _suspect(part, row, of_record, evidence, hypothesis)
                found.append(Found(suspect, signal_mv[row], part.records.fs_hz, hypothesis))
        if start // _BATCH % 10 == 9:
            say(f"{start + len(batch)} of {len(rows)} records, {len(found)} suspects")
    return found, len(signal_mv) - len(rows)


def _suspect(part: Part, row: int, log_probability: np.ndarray, likelihood: np.ndarray, hypothesis: int) -> Suspect:
    mistake, records = placement(hypothesis), part.records
    second = next(int(h) for h in np.argsort(-log_probability, kind="stable") if h != hypothesis)
    odds = scipy.special.logsumexp(np.delete(log_probability, CORRECT)) - log_probability[CORRECT]
    return Suspect(
        record_id=str(records.record_ids[row]),
        patient_id=str(records.patient_ids[row]),
        probability=float(-np.expm1(log_probability[CORRECT])),
        log10_odds=float(odds / np.log(10)),
        placement=mistake.name,
        description=mistake.description,
        placement_probability=float(np.exp(log_probability[hypothesis])),
        log10_evidence=float((likelihood[hypothesis] - likelihood[CORRECT]) / np.log(10)),
        second=f"{placement(second).description} ({100 * np.exp(log_probability[second]):.1f} %)",
        status=part.status,
        labels={name: str(records.labels[name][row]) for name in _LABELS if name in records.labels},
    )


def find(parts: Sequence[Part], log_prior: np.ndarray, probability: float) -> tuple[list[Found], int]:
    """The suspects of all parts, the most probable first, and how many records cannot be judged."""
    judged = [judge(part, log_prior, probability) for part in parts]
    found = [entry for of_part, _ in judged for entry in of_part]
    return sorted(found, key=lambda entry: -entry.suspect.log10_odds), sum(number for _, number in judged)


def summary(parts: Sequence[Part], found: Sequence[Found], num_unusable: int, given: dict[str, Any]) -> dict[str, Any]:
    """Content of suspects.json."""
    return {
        **given,
        "dataset": parts[0].records.dataset,
        "n_records": sum(len(part.records) for part in parts),
        "n_unusable": num_unusable,
        "judged": {part.status: EXPLAINED[part.status] for part in parts},
        "suspects": [dataclasses.asdict(entry.suspect) for entry in found],
    }


def write_table(path: Path, found: Sequence[Found]) -> None:
    """Writes suspects.csv, a row each."""
    fields = [field.name for field in dataclasses.fields(Suspect) if field.name != "labels"]
    labels = list(dict.fromkeys(name for entry in found for name in entry.suspect.labels))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["rank", *fields, *labels])
        writer.writeheader()
        for rank, entry in enumerate(found, 1):
            values = dataclasses.asdict(entry.suspect)
            writer.writerow({"rank": rank, **values.pop("labels"), **values})


def write_page(folder: Path, found: Sequence[Found], content: dict[str, Any], max_drawn: int) -> None:
    """Writes suspects.html and its pictures."""
    (folder / "figures").mkdir(exist_ok=True)
    intro = [
        f"Taken to be wrong before looking: {100 * content['prevalence']:g} % of records. "
        f"Listed: records wrong with a probability of at least {content['probability']:g}. A suspicion is no proof.",
        *(f"Records {status}: {meaning}." for status, meaning in content["judged"].items()),
    ]
    if len(found) > max_drawn:
        intro.append(f"The first {max_drawn} of {len(found)} are drawn; all are in suspects.csv.")
    sections = [Section("", "".join(map(paragraph, intro)))]
    for rank, entry in enumerate(found[:max_drawn], 1):
        sections.append(_section(rank, entry, folder / "figures"))
    lead = f"{content['dataset']}, {content['split']}: {len(found)} of {content['n_records']:,} records"
    (folder / "suspects.html").write_text(page("Records held to be interchanged", lead, sections), encoding="utf-8")


def _section(rank: int, entry: Found, folder: Path) -> Section:
    suspect = entry.suspect
    said = (
        f"{suspect.description} ({100 * suspect.placement_probability:.1f} %); next: {suspect.second}. "
        f"Wrong in any way: {100 * suspect.probability:.2f} %, odds of 10 to the {suspect.log10_odds:.1f}. "
        f"This record: {suspect.status}."
    )
    corrected_mv = repair.undoing(placement(entry.hypothesis)).apply(entry.signal_mv)
    pictures = []
    for signal_mv, what, colour in (
        (entry.signal_mv, "as recorded", plots.BAD),
        (corrected_mv, "put right", plots.GOOD),
    ):
        title = f"Record {suspect.record_id}"
        figure = clinical_figure(signal_mv, entry.fs_hz, title, what, colour)
        name = f"suspect_{rank}_{what.replace(' ', '_')}.png"
        pictures.append(image(figure, folder / name, f"{title} {what}", css_class="paper"))
    labels = "; ".join(f"{name}: {value}" for name, value in suspect.labels.items() if value)
    below = paragraph(labels) if labels else ""
    return Section(f"{rank}. Record {suspect.record_id}", paragraph(said) + below + side_by_side(pictures))


def main() -> None:
    """Lists the suspects of the command line."""
    given = flags.FLAGS
    workdir = workdir_of(given.workdir, "reversal")
    output = Path(given.output or Path(given.workdir) / f"suspects_{given.split}")
    if not 0 < given.probability <= 1:
        raise InputError(f"--probability is {given.probability}", "give one above 0 and up to 1")
    log_prior = clinical_prior(given.prevalence).log_prior()
    parts = held_out.parts(workdir, given.split, given.dataset, given.data_dir)
    found, num_unusable = find(parts, log_prior, given.probability)
    settings = {name: given[name].value for name in _SETTINGS}
    content = summary(parts, found, num_unusable, settings)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {output}: {error.strerror}", "give another --output") from error
    write_table(output / "suspects.csv", found)
    write_json(output / "suspects.json", content)
    write_page(output, found, content, given.max_drawn)
    for status, meaning in content["judged"].items():
        print(f"records {status}: {meaning}")
    columns = ["record", "wrong", "most probable", "its probability", "log10 odds", "next"]
    rows = []
    for entry in found:
        s = entry.suspect
        shares = (f"{s.probability:.3f}", f"{s.placement_probability:.3f}", f"{s.log10_odds:.1f}")
        rows.append([s.record_id, shares[0], s.description, *shares[1:], s.second])
    print(table(columns, rows))
    print(
        f"{len(found)} of {content['n_records']} records; {num_unusable} cannot be judged; {output / 'suspects.html'}"
    )


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of the reversal or lead_id run that judges", required=True)
    flags.DEFINE_enum("split", "test", ["train", "validation", "test", "all"], "which records")
    flags.DEFINE_string("dataset", None, "NAME or NAME/VARIANT; that of the run by default")
    flags.DEFINE_string("data_dir", None, "where prepared datasets lie; that of the run by default")
    flags.DEFINE_float("prevalence", 0.02, "wrong records that are expected; fewer in a collection that was curated")
    flags.DEFINE_float("probability", 0.5, "of being wrong, from which a record is listed")
    flags.DEFINE_integer("max_drawn", 30, "records that are drawn", lower_bound=0)
    flags.DEFINE_string("output", None, "folder to write to; suspects_SPLIT in the workdir by default")
    cli.run(main)
