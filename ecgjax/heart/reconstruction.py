"""What a trained network says of the heart behind one record, as tables, pictures, VTK files and an animation."""

import csv
import re
import tempfile
from pathlib import Path

import numpy as np

from ecgjax import experiment
from ecgjax.data.intracardiac import CHAMBERS, FS_HZ, LAYERS, NUM_SITES, SITES, activation_ms
from ecgjax.errors import InputError
from ecgjax.heart.interpolation import interpolated
from ecgjax.heart.maps import activation_columns, activation_on_heart
from ecgjax.heart.mesh import Heart, read_heart, read_sites
from ecgjax.heart.potentials import potential_grid, write_animation
from ecgjax.heart.record import HeartRecord, as_split
from ecgjax.heart.template import fitted_heart, mean_heart
from ecgjax.heart.vtk_file import write_series, write_vtu
from ecgjax.tasks.transmembrane import Transmembrane
from ecgjax.workdir import read_config

TASKS = ("activation_map", "transmembrane")
"""The tasks whose runs look behind the electrodes."""

_DPI = 150


def predicted(workdir: Path, record: HeartRecord) -> tuple[np.ndarray, np.ndarray | None]:
    """Activation times `[75]` in ms and, from a run of potentials, these `[500, 75]` in mV; else None."""
    split = as_split(record)
    built = experiment.build(read_config(workdir), split)
    scores = built.predict(built.members(workdir), split)[0]["scores"][0].astype(float)
    return (activation_ms(scores).astype(float), scores) if isinstance(built.task, Transmembrane) else (scores, None)


def heart_of(record: HeartRecord, mesh: Path | None, points: Path | None) -> tuple[Heart, str]:
    """What to draw on and what it is: files where they are given, else the record's own sites, else a mean heart.

    Raises:
      InputError: a file cannot be used, or a mesh comes without its sites.
    """
    if mesh is not None and points is None:
        raise InputError("--mesh is given without --points", "give the CSV file of the sites on that mesh too")
    if mesh is not None and points is not None:
        return read_heart(mesh, points), f"on {mesh.name}"
    if points is not None:
        return fitted_heart(read_sites(points)), f"on a mesh through {points.name}"
    if record.site_mm is not None:
        return fitted_heart(record.site_mm), "on a mesh through its own sites"
    return mean_heart(), "on a mean heart, since its own is not known"


def output_names(record: HeartRecord, has_potentials: bool) -> list[str]:
    """Files and folders that `write` makes."""
    stem = re.sub(r"[^\w.+-]+", "_", record.name)
    names = ["activation.csv", "columns.png", "map.png", "activation.vtu"]
    if has_potentials:
        names += ["potentials.csv", "potentials.png", "potentials.gif", "potentials.pvd", "potentials"]
    return [f"{stem}_{name}" for name in names]


def check_free(record: HeartRecord, has_potentials: bool, folder: Path) -> None:
    """Raises InputError where `folder` has a file that would be written."""
    for name in output_names(record, has_potentials):
        if (folder / name).exists():
            raise InputError(f"{folder / name} is already there", "give another --output; no file is overwritten")


def write(
    record: HeartRecord,
    times_ms: np.ndarray,
    vm_mv: np.ndarray | None,
    heart: tuple[Heart, str],
    folder: Path,
    *,
    step_ms: float,
    method: str,
) -> list[Path]:
    """Writes all files of a record, which appear in `folder` once they are complete.

    `times_ms` `[75]` and `vm_mv` `[500, 75]` or None are predictions; potentials are drawn every `step_ms`, and places
    between sites by `method`, one of `interpolation.METHODS`.

    Raises:
      InputError: a file of that name is there.
    """
    shape, drawn_on = heart
    check_free(record, vm_mv is not None, folder)
    names = output_names(record, vm_mv is not None)
    title = f"{record.name} ({record.origin})"
    error = summary(record, times_ms)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incomplete.", dir=folder) as temporary:
        table, columns, picture, grid, *of_potentials = (Path(temporary) / name for name in names)
        _write_times(table, record, times_ms, shape)
        activation_columns(record.activation_ms, times_ms, title).savefig(columns, dpi=_DPI)
        figure = activation_on_heart(
            shape, record.activation_ms, times_ms, f"{record.name}{error}, {drawn_on}", method=method
        )
        figure.savefig(picture, dpi=_DPI)
        maps = {"predicted_ms": times_ms}
        if record.activation_ms is not None:
            maps |= {"true_ms": record.activation_ms, "difference_ms": times_ms - record.activation_ms}
        write_vtu(grid, shape.points_mm, shape.corners, _on_points(maps, shape, method))
        if vm_mv is not None:
            _write_potentials(of_potentials, record, vm_mv, shape, title, step_ms, method)
        for name in names:
            (Path(temporary) / name).rename(folder / name)
    return [folder / name for name in names]


def summary(record: HeartRecord, times_ms: np.ndarray) -> str:
    """`, mean error 2.1 ms` where the truth is known."""
    if record.activation_ms is None or np.isnan(record.activation_ms - times_ms).all():
        return ""
    return f", mean error {np.nanmean(np.abs(times_ms - record.activation_ms)):.1f} ms"


def _on_points(fields: dict[str, np.ndarray], heart: Heart, method: str) -> dict[str, np.ndarray]:
    return {name: interpolated(values, heart.site_mm, heart.points_mm, method) for name, values in fields.items()}


def _write_times(path: Path, record: HeartRecord, times_ms: np.ndarray, heart: Heart) -> None:
    """One line a site; times are from the first sample shown, those after the onset where it was looked for."""
    columns = {"site": SITES, "chamber": CHAMBERS, "layer": LAYERS}
    numbers = dict(zip(("x_mm", "y_mm", "z_mm"), heart.site_mm.T, strict=True)) | {"predicted_ms": times_ms}
    if record.onset_ms is not None:
        numbers["after_qrs_onset_ms"] = times_ms - record.onset_ms
    if record.activation_ms is not None:
        numbers["true_ms"] = record.activation_ms
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*columns, *numbers])
        for k in range(NUM_SITES):
            # What never fires has no time, an empty cell.
            cells = ["" if np.isnan(values[k]) else f"{values[k]:.3f}" for values in numbers.values()]
            writer.writerow([*(names[k] for names in columns.values()), *cells])


def _write_potentials(
    paths: list[Path],
    record: HeartRecord,
    vm_mv: np.ndarray,
    heart: Heart,
    title: str,
    step_ms: float,
    method: str,
) -> None:
    table, picture, animation, series, _ = paths
    time_ms = np.arange(len(vm_mv)) * 1000 / FS_HZ
    np.savetxt(table, np.column_stack([time_ms, vm_mv]), "%.2f", ",", header=",".join(["time_ms", *SITES]), comments="")
    potential_grid(record.vm_mv, vm_mv, title).savefig(picture, dpi=_DPI)
    write_animation(animation, heart, record.vm_mv, vm_mv, record.name, step_ms=step_ms)
    every = max(1, round(step_ms * FS_HZ / 1000))
    shown = {"predicted_mv": vm_mv[::every]}
    if record.vm_mv is not None:
        shown["true_mv"] = record.vm_mv[::every]
    write_series(series, heart.points_mm, heart.corners, _on_points(shown, heart, method), time_ms[::every].tolist())
