"""What an unnoticed exchange of electrodes, or leads that were not taken, do to the activation map.

    python scripts/benchmark_wiring.py --workdir=RUN [--split=test|validation|train|all] [--dataset=NAME[/VARIANT]]
        [--lead_sets=limb,precordial,I+II+V2] [--data_dir=DIR] [--output=DIR]

RUN is a run of configs/activation_map.py, which knows nothing of what was done. The same records are shown as they are,
with each exchange of ecgjax/leads.py, and with the leads of each set alone: what follows from them is added and the
rest is zero. Intervals are by heart, and differences to the correct record are paired. Writes wiring.json, wiring.md
and wiring.png to --output, by default RUN/wiring_SPLIT, and prints the table; exit status 2 and one line for bad input.
"""

from pathlib import Path

import numpy as np
from absl import flags
from matplotlib.figure import Figure

from ecgjax import cli, leads, plots
from ecgjax.analysis.markdown import table
from ecgjax.data.intracardiac import CHAMBER_NAMES
from ecgjax.errors import InputError
from ecgjax.experiment import build, load
from ecgjax.heart import wiring
from ecgjax.heart.wiring import Errors, Wiring
from ecgjax.metrics import Metric
from ecgjax.runlog import hardware, say, to_json, write_json
from ecgjax.workdir import read_config

_DPI = 150
_HEADINGS = {"correct": "As recorded", "exchanged": "Electrodes exchanged", "reduced": "Leads of a set alone"}
_COLOURS = {"correct": plots.GOOD, "exchanged": plots.ACCENT, "reduced": plots.SECOND}


def wiring_table(shown: list[Wiring], found: dict[str, dict[str, Metric]]) -> str:
    """One row a wiring."""
    header = ["wiring", "MAE (ms)", "to the correct record", *CHAMBER_NAMES, "correlation", "earliest site off (mm)"]
    rows = []
    for entry in shown:
        metrics = found[entry.name]
        names = ("mae_ms", "difference/mae_ms", *(f"mae_ms/{name}" for name in CHAMBER_NAMES), "pearson_r")
        cells = [_cell(metrics[name], name) for name in (*names, "earliest_site_mm")]
        rows.append(["correct" if entry.kind == "correct" else entry.name, *cells])
    return table(header, rows)


def _cell(metric: Metric, name: str) -> str:
    """The value, and its interval where it is a headline."""
    sign = "+" if name.startswith("difference/") else ""
    digits = 3 if name == "pearson_r" else 2
    if not np.isfinite(metric.value):
        return "-"
    interval = ""
    if metric.ci95 and name in ("mae_ms", "difference/mae_ms"):
        interval = f" ({metric.ci95[0]:{sign}.2f} to {metric.ci95[1]:{sign}.2f})"
    return f"{metric.value:{sign}.{digits}f}{interval}"


@plots.styled
def wiring_figure(shown: list[Wiring], found: dict[str, dict[str, Metric]]) -> Figure:
    """The mean absolute error of every wiring with its interval, and a line at that of the correct record."""
    figure = plots.new_figure(6.4, 0.26 * len(shown) + 0.9)
    axes = figure.subplots()
    for row, entry in enumerate(shown):
        metric, colour = found[entry.name]["mae_ms"], _COLOURS[entry.kind]
        axes.barh(row, metric.value, height=0.62, color=colour, alpha=0.85)
        if metric.ci95:
            axes.hlines(row, *metric.ci95, color=plots.INK, linewidth=1.2)
        axes.annotate(
            f" {metric.value:.1f}", (max(metric.value, (metric.ci95 or (0, 0))[1]), row), va="center", fontsize=8
        )
    axes.axvline(found[shown[0].name]["mae_ms"].value, color=plots.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
    names = ["correct" if entry.kind == "correct" else entry.name for entry in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=8.5)
    axes.tick_params(axis="y", colors=plots.INK)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.grid(False, axis="y")
    axes.margins(x=0.1)
    axes.set_xlabel("mean absolute error of the activation map (ms)")
    kinds = {entry.kind for entry in shown}
    handles = [axes.barh([0], [0], color=_COLOURS[kind], label=_HEADINGS[kind]) for kind in _HEADINGS if kind in kinds]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2)
    return figure


def main() -> None:
    """Judges the run of the command line under every wiring."""
    given = flags.FLAGS
    workdir = Path(given.workdir)
    config = read_config(workdir)
    if config.task != "activation_map":
        raise InputError(f"{workdir} holds a run of {config.task}", "give the folder of an activation_map run")
    for text in given.lead_sets:
        if wiring.redundant(text):
            raise InputError(f"from {text} all twelve leads follow", "give --lead_sets that leave some out")
    if given.dataset is not None:
        config.data.name, _, config.data.variant = given.dataset.partition("/")
        config.data.leave_out = ""
    if given.data_dir is not None:
        config.data.dir = given.data_dir
    output = Path(given.output or workdir / f"wiring_{given.split}")
    if (output / "wiring.json").exists():
        raise InputError(f"{output / 'wiring.json'} is already there", "give another --output")
    records = load(config, given.split)
    if records.lead_names != leads.LEADS:
        raise InputError(f"{records.dataset} has other leads than the twelve", "use a dataset of hearts")
    experiment = build(config, records)
    members = experiment.members(workdir)
    shown = wiring.wirings(given.lead_sets)
    errors = {}
    for entry in shown:
        say(f"{entry.name}: {len(records)} records")
        errors[entry.name] = Errors.of(experiment.predict(members, entry.applied(records))[0])
    correct = errors[shown[0].name]
    found = {
        name: wiring.figures(errors_of, correct, records.patient_ids, config.num_bootstrap)
        for name, errors_of in errors.items()
    }
    num_hearts = len(np.unique(records.patient_ids))
    text = "\n\n".join(
        [
            f"# Activation maps under every wiring: {records.dataset}, {given.split}, {len(records)} records of "
            f"{num_hearts} hearts",
            "Mean absolute errors over the sites that fire, in ms. Intervals are 95 %, by resampling hearts; "
            "differences are paired. Where a cable is exchanged with RL, RL is taken to have the potential of LL.",
            wiring_table(shown, found),
        ]
    )
    content = {
        "workdir": str(workdir),
        "dataset": records.dataset,
        "split": given.split,
        "n_records": len(records),
        "n_hearts": num_hearts,
        "hardware": hardware(),
        "wirings": {entry.name: {"kind": entry.kind, "metrics": to_json(found[entry.name])} for entry in shown},
    }
    try:
        output.mkdir(parents=True, exist_ok=True)
        wiring_figure(shown, found).savefig(output / "wiring.png", dpi=_DPI)
        (output / "wiring.md").write_text(f"{text}\n\n![wiring](wiring.png)\n", encoding="utf-8")
        write_json(output / "wiring.json", content)
    except OSError as error:
        raise InputError(f"cannot write to {output}: {error.strerror}", "give another --output") from error
    print(text)


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of the activation_map run", required=True)
    flags.DEFINE_enum("split", "test", ["train", "validation", "test", "all"], "which records")
    flags.DEFINE_string("dataset", None, "NAME or NAME/VARIANT; that of the run by default")
    flags.DEFINE_string("data_dir", None, "where prepared datasets lie; that of the run by default")
    flags.DEFINE_list(
        "lead_sets",
        ["limb", "precordial", "+I", "+II", "+aVF", "I+II+V2", "I+II+V1+V3+V5", "II"],
        "sets of leads, by name or with + between their names",
    )
    flags.DEFINE_string("output", None, "folder to write to; wiring_SPLIT in the workdir by default")
    cli.run(main)
