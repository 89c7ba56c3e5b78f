"""Shows what the layers of a trained network make of records: principal components, classes, and the lie of the leads.

    python scripts/embed.py --workdir=DIR [--layer=NAME[,NAME...]] [--split=train|validation|test|all] [--max_records=N]
        [--output=DIR]

A layer is called by the path of its module, with [i] after it for one of several hypotheses; an unknown one lists them
all. Writes embeddings.json (explained variance, centroids, planes, order of V1 to V6, with intervals), embeddings.npz
and figures to embeddings/SPLIT in the workdir, or to --output; exit status 2 and one line for bad input.
"""

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags
from matplotlib.figure import Figure

from ecgjax import cli
from ecgjax.explain import figures as explain_plots
from ecgjax.explain.embeddings import Embedding, choose, embed
from ecgjax.explain.projections import (
    NUM_COMPONENTS,
    angle_deg,
    arc_figures,
    between_share,
    frontal_figures,
    groups,
    plane,
    project,
)
from ecgjax.explain.runs import Run, check_output, examples, open_run, summary, write_explanation
from ecgjax.runlog import to_json


def describe(embedding: Embedding, num_bootstrap: int) -> tuple[dict[str, Any], dict[str, Figure]]:
    """Table and figures of one layer."""
    whole = project(embedding, NUM_COMPONENTS, None)
    parts = groups(whole.class_names)
    is_of = {group: np.isin(whole.classes, [whole.class_names.index(n) for n in part]) for group, part in parts.items()}
    planes = {group: plane(whole.coordinates[mask]) for group, mask in is_of.items()}
    table: dict[str, Any] = {
        "n_points": len(whole.classes),
        "n_features": embedding.vectors.shape[1],
        "explained_variance": whole.explained.tolist(),
        "between_share": between_share(embedding),
        "centroids": dict(zip(whole.class_names, whole.centroids().tolist(), strict=True)),
        "planes": {
            group: {"centre": p.centre.tolist(), "normal": p.normal.tolist(), "off_plane": p.off_plane}
            for group, p in planes.items()
        },
        "angles_deg": {f"{a} {b}": angle_deg(planes[a], planes[b]) for a, b in itertools.combinations(planes, 2)},
        "groups": {},
        "metrics": {},
    }
    name = embedding.layer
    figures = {f"3d_{name}": explain_plots.scatter_3d(name, whole, planes)}
    for group, part in parts.items():
        own = project(embedding, 2, part)
        table["groups"][group] = {"explained_variance": own.explained.tolist()}
        if group == "precordial":
            table["metrics"] |= to_json(arc_figures(own, num_bootstrap))
        elif group == "limb":
            frontal = frontal_figures(own, num_bootstrap)
            table["metrics"] |= to_json(frontal)
            figures[f"frontal_{name}"] = explain_plots.frontal_plane(name, own, frontal["frontal/r2"].value)
        if len(parts) > 1:
            figures[f"{group}_{name}"] = explain_plots.scatter_2d({f"{name}, {group}": own})
    return table, figures


def describe_all(
    run: Run, layers: list[str], max_records: int
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Figure]]:
    """Table, arrays and figures of all `layers`, "" for the network's own choice."""
    began = time.perf_counter()
    chosen = examples(run, max_records, run.experiment.config.seed)
    embeddings = embed(run, chosen, [choose(run, layer) for layer in layers])
    tables: dict[str, Any] = {}
    figures: dict[str, Figure] = {}
    for embedding in embeddings:
        tables[embedding.layer], own = describe(embedding, run.experiment.config.num_bootstrap)
        figures |= own
    figures["2d"] = explain_plots.scatter_2d({e.layer: project(e, NUM_COMPONENTS, None) for e in embeddings})
    arrays: dict[str, Any] = {"layers": [embedding.layer for embedding in embeddings]}
    for number, embedding in enumerate(embeddings):
        index = chosen.index[embedding.example]
        arrays |= {
            f"vectors_{number}": embedding.vectors,
            f"classes_{number}": np.array(embedding.class_names)[embedding.classes],
            f"record_ids_{number}": run.split.record_ids[index],
            f"view_{number}": chosen.view[embedding.example],
        }
    return {**summary(run, chosen, time.perf_counter() - began), "layers": tables}, arrays, figures


def main() -> None:
    """Embeds the records of the run of the command line."""
    given = flags.FLAGS
    check_output(given.output)
    run = open_run(Path(given.workdir), given.split)
    content, arrays, figures = describe_all(run, given.layer, given.max_records)
    folder = Path(given.output or Path(given.workdir) / "embeddings" / given.split)
    write_explanation(folder, "embeddings", content, arrays, figures)
    print(f"{content['n_records']} records of {content['dataset']} {given.split}: {folder}")
    for name, table in content["layers"].items():
        explained = " + ".join(f"{100 * share:.1f}" for share in table["explained_variance"])
        print(f"  {name}: {explained} % of the variance, {100 * table['between_share']:.1f} % between classes")


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of the run", required=True)
    flags.DEFINE_list("layer", [""], "layers by name; the last of the widest by default")
    flags.DEFINE_enum("split", "test", ["train", "validation", "test", "all"], "which records")
    flags.DEFINE_integer("max_records", 500, "records, drawn by the run's seed; 0 takes all")
    flags.DEFINE_string("output", None, "folder to write; embeddings/SPLIT in the workdir by default")
    cli.run(main)
