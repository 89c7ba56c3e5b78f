"""Shows which parts of the beat and which leads the scores of a trained network hang on.

    python scripts/attribute.py --workdir=DIR [--split=train|validation|test|all] [--target=CLASS] [--record=ID]
        [--method=saliency|input_x_gradient|integrated_gradients|expected_gradients] [--num_steps=N] [--max_records=N]
        [--output=DIR]

Explains the log-odds of the truth, class by class, over the records of that class. Writes attribution.json (the shares
of P, QRS, ST, T and of each lead, with intervals), attribution.npz and figures to attribution/METHOD_SPLIT in the
workdir, or to --output; exit status 2 and one line for bad input.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from matplotlib.figure import Figure

from ecgjax import cli
from ecgjax.explain import figures as explain_plots
from ecgjax.explain.attribution import METHODS, Attribution, Attributor, beat_window, by_class, share_figures
from ecgjax.explain.runs import (
    Run,
    check_output,
    examples,
    examples_of_record,
    open_run,
    summary,
    write_explanation,
)
from ecgjax.explain.waves import WAVES
from ecgjax.metrics import Metric
from ecgjax.runlog import to_json


def attribute(
    run: Run, method: str, *, target: str | None, record: str | None, max_records: int, num_steps: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Figure]]:
    """Table, arrays and figures of the attributions of the class `target`, None for each class in turn."""
    began = time.perf_counter()
    config = run.experiment.config
    chosen = examples(run, max_records, config.seed) if record is None else examples_of_record(run, record)
    attributor = Attributor(run, method, beat_window(config), num_steps, config.seed)
    found = by_class(attributor, chosen, target)
    lead_names = run.lead_names()
    overall, *each = (
        share_figures(attributions, lead_names, config.num_bootstrap)
        for attributions in (list(found.values()), *([attribution] for attribution in found.values()))
    )
    metrics = dict(zip(found, each, strict=True))
    content = {
        **summary(run, chosen, time.perf_counter() - began),
        "method": method,
        "num_steps": num_steps,
        "metrics": to_json(overall),
        "targets": {name: _table(attribution, metrics[name]) for name, attribution in found.items()},
    }
    window = attributor.window
    time_s = (np.arange(window.num_samples) - window.num_before) / window.fs_hz
    return content, _arrays(run, found, time_s), _figures(run, found, metrics, overall, method, time_s)


def _table(attribution: Attribution, metrics: dict[str, Metric]) -> dict[str, Any]:
    gaps = {"mean_gap": float(np.mean(np.abs(attribution.gap)))} if np.isfinite(attribution.gap).all() else {}
    return {
        "n": len(attribution.examples),
        "mean_score": float(attribution.score.mean()),
        **gaps,
        "metrics": to_json(metrics),
    }


def _arrays(run: Run, found: dict[str, Attribution], time_s: np.ndarray) -> dict[str, Any]:
    """Means by class, and every example's attributions; all in the order of `class_names`, `lead_names` and `waves`."""
    each = list(found.values())
    index = np.concatenate([attribution.examples.index for attribution in each])
    return {
        "class_names": list(found),
        "lead_names": run.lead_names(),
        "waves": WAVES,
        "time_s": time_s,
        "beat": np.stack([attribution.mean("beat") for attribution in each]),
        "signed": np.stack([attribution.mean("signed") for attribution in each]),
        "magnitude": np.stack([attribution.mean("magnitude") for attribution in each]),
        "record_ids": run.split.record_ids[index],
        "patient_ids": run.split.patient_ids[index],
        "view": np.concatenate([attribution.examples.view for attribution in each]),
        "target": np.repeat(np.arange(len(each)), [len(attribution.examples) for attribution in each]),
        "score": np.concatenate([attribution.score for attribution in each]),
        "gap": np.concatenate([attribution.gap for attribution in each]),
        "attribution": np.concatenate([attribution.signed for attribution in each]),
        "shares": np.concatenate([attribution.shares() for attribution in each]),
    }


def _figures(
    run: Run,
    found: dict[str, Attribution],
    metrics: dict[str, dict[str, Metric]],
    overall: dict[str, Metric],
    method: str,
    time_s: np.ndarray,
) -> dict[str, Figure]:
    lead_names = run.lead_names()
    means = "signed" if method != "saliency" else "magnitude"
    unit = "mV" if run.experiment.config.preprocess.normalise == "none" else "network's input"
    title = method.replace("_", " ").replace(" x ", " × ")
    figures = {
        f"beat_{name}": explain_plots.attribution_beat(
            attribution.mean("beat"),
            attribution.mean(means),
            attribution.usual_wave(),
            time_s=time_s,
            lead_names=lead_names,
            title=f"{title} of {name}, mean of {len(attribution.examples)} examples",
            unit=unit,
        )
        for name, attribution in found.items()
    }
    shares = [overall[f"share/{wave}"] for wave in WAVES]
    durations = np.concatenate([attribution.durations() for attribution in found.values()]).mean(axis=0)
    figures["waves"] = explain_plots.wave_shares(
        np.array([share.value for share in shares]), [share.ci95 for share in shares], durations, title
    )
    for kind, columns in (("lead", lead_names), ("share", WAVES)):
        matrix = np.array([[of_class[f"{kind}/{column}"].value for column in columns] for of_class in metrics.values()])
        by = "leads" if kind == "lead" else "waves"
        figures[f"{by}_by_class"] = explain_plots.share_matrix(matrix, list(metrics), columns, f"{title}: % by {by}")
    return figures


def main() -> None:
    """Explains the run of the command line."""
    given = flags.FLAGS
    check_output(given.output)
    run = open_run(Path(given.workdir), given.split)
    content, arrays, figures = attribute(
        run,
        given.method,
        target=given.target,
        record=given.record,
        max_records=given.max_records,
        num_steps=given.num_steps,
    )
    folder = Path(given.output or Path(given.workdir) / "attribution" / f"{given.method}_{given.split}")
    write_explanation(folder, "attribution", content, arrays, figures)
    print(f"{given.method} of {content['n_records']} records of {content['dataset']} {given.split}: {folder}")
    for name, entry in content["metrics"].items():
        interval = "" if entry["ci95"] is None else " ({:.3f} to {:.3f})".format(*entry["ci95"])
        print(f"  {name:14} {entry['value']:.3f}{interval}" if entry["value"] is not None else f"  {name:14} -")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of the run", required=True)
    flags.DEFINE_enum("split", "test", ["train", "validation", "test", "all"], "which records")
    flags.DEFINE_enum("method", "expected_gradients", METHODS, "how the score is attributed")
    flags.DEFINE_string("target", None, "class whose score is explained; each in turn by default")
    flags.DEFINE_string("record", None, "id of the one record to explain; many by default")
    flags.DEFINE_integer("max_records", 100, "records, drawn by the run's seed; 0 takes all")
    flags.DEFINE_integer("num_steps", 16, "gradients an example, for integrated and expected gradients")
    flags.DEFINE_string("output", None, "folder to write; attribution/METHOD_SPLIT in the workdir by default")
    cli.run(main)
