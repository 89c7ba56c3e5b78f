"""What paper costs in rhythm recognition: raw signals against strips, drawn and digitised, with and without damage.

    python scripts/compare_paper.py --output=DIR [--source=simulated|cinc2017] [--papers=150px,150px-medium]
        [--curve=100px,75px,50px,150px-light,150px-heavy] [--folds=0] [--init=RUN] [--steps=N] [--data_dir=DIR]
        [--smoke]

Trains the same network on the same folds for raw recordings and for each of --papers, tests all of them on the same
recordings, and shows the networks the papers of --curve too. A paper is a height in pixels, a damage and a way of
reading, see configs/rhythm_image.py. What is finished in --output is not done again. Writes comparison.json,
comparison.md and curve.png there, and prints the tables; exit status 2 and one line for bad input.
"""

import sys
from pathlib import Path

# The root of the project, where the configs are.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from absl import flags
from ml_collections import ConfigDict

from configs import rhythm
from ecgjax import cli
from ecgjax.errors import InputError
from ecgjax.paper.comparison import (
    RAW,
    comparison_table,
    cost,
    curve_figure,
    curve_table,
    figures,
    shown_paper,
    trained,
)
from ecgjax.runlog import to_json, write_json

SOURCES = {"simulated": "simulated_paper", "cinc2017": "cinc2017_paper"}
"""Source -> the dataset of its strips."""

_DPI = 150


def config_of(name: str, fold: int) -> ConfigDict:
    """The config of the raw recordings of the command line, which is that of every paper but for the data."""
    given = flags.FLAGS
    arguments = {"fold": fold, "init": given.init, "steps": given.steps}
    chosen = [f"{key}={value}" for key, value in arguments.items() if value is not None]
    config = rhythm.get_config(",".join([given.source, *(["smoke"] if given.smoke else []), *chosen]))
    if name != RAW:
        config.data.name, config.data.variant = paper_of(name)
    if given.data_dir is not None:
        config.data.dir = given.data_dir
    return config


def paper_of(name: str) -> tuple[str, str]:
    """Dataset and variant of recordings that went through a paper."""
    return SOURCES[flags.FLAGS.source], f"smoke-{name}" if flags.FLAGS.smoke else name


def main() -> None:
    """Runs the comparison of the command line."""
    given = flags.FLAGS
    if given.source not in SOURCES:
        raise InputError(f"unknown --source {given.source!r}", f"use one of {', '.join(SOURCES)}")
    folds = [int(fold) for fold in given.folds]
    output = Path(given.output)
    methods = []
    for name in (RAW, *given.papers):
        configs = [config_of(name, fold) for fold in folds]
        methods.append(trained(name, configs, output))
    raw, *others = methods
    num_bootstrap = configs[0].num_bootstrap
    costs = {method.name: cost(method, raw, num_bootstrap) for method in others}
    curve = {}
    for paper in (*given.papers, *given.curve):
        shown = [shown_paper(method, *paper_of(paper)) for method in methods]
        curve[paper] = {method.name: figures(method, num_bootstrap)["f1_ano"] for method in shown}

    found = {method.name: figures(method, num_bootstrap) for method in methods}
    tables = comparison_table(found, costs) + "\n\n" + curve_table(curve) + "\n"
    content = {
        "source": given.source,
        "folds": folds,
        "n_records": len(raw.decided),
        "methods": {name: to_json(metrics) for name, metrics in found.items()},
        "costs": {name: of.to_json() for name, of in costs.items()},
        "curve": {paper: to_json(of) for paper, of in curve.items()},
    }
    write_json(output / "comparison.json", content)
    (output / "comparison.md").write_text(tables)
    curve_figure(curve, found[RAW]["f1_ano"]).savefig(output / "curve.png", dpi=_DPI)
    print(tables)


if __name__ == "__main__":
    flags.DEFINE_string("output", None, "folder for everything", required=True)
    flags.DEFINE_string("source", "simulated", f"recordings: {', '.join(SOURCES)}")
    flags.DEFINE_list("papers", ["150px", "150px-medium"], "papers that networks are trained on")
    flags.DEFINE_list(
        "curve", ["100px", "75px", "50px", "150px-light", "150px-heavy"], "papers that they are shown too"
    )
    flags.DEFINE_list("folds", ["0"], "folds that are tested, of five")
    flags.DEFINE_string("init", None, "run whose weights all networks begin with, of simulated recordings for example")
    flags.DEFINE_integer("steps", None, "optimiser steps; those of the config by default", lower_bound=1)
    flags.DEFINE_string("data_dir", None, "where prepared datasets lie; TFDS's own default")
    flags.DEFINE_bool("smoke", False, "a few small networks and recordings, within minutes")
    cli.run(main)
