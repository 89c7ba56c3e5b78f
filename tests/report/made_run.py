"""What a run leaves, made up: in memory, and the results in a workdir."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ecgjax import metrics
from ecgjax.report.files import RunFiles

NUM_RECORDS = 12


def made_run(
    results: dict[str, Any],
    figures_dir: Path,
    predictions: Mapping[str, np.ndarray] | None = None,
    examples: Mapping[str, np.ndarray] | None = None,
) -> RunFiles:
    return RunFiles(results, "", [], dict(predictions or {}), dict(examples or {}), figures_dir)


def entry(value, ci95=(0.1, 0.9), n=100):
    return metrics.Metric(value, ci95, n).to_json()


def write_results(workdir, figures, **changes):
    results = {
        "task": "reversal",
        "dataset": "simulated",
        "split": "test",
        "n_records": NUM_RECORDS,
        "n_patients": NUM_RECORDS,
        "seed": 0,
        "git": "abc1234",
        "hardware": "cpu",
        "wall_s": 12.5,
        "records_per_s": 1700.0,
        "metrics": figures,
        "baselines": {},
    } | changes
    (workdir / "results.json").write_text(json.dumps(results))


def headings(page):
    return re.findall(r"<h2>(.*?)</h2>", page)
