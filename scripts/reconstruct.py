"""Writes what is behind a record: leads that were not taken, or the heart.

    python scripts/reconstruct.py --workdir=RUN --record=FILE.hea --output=DIR
        [--beat=N] [--before_ms=20] [--mesh=heart_mesh.vtk] [--points=points.csv] [--method=smooth|shepard]
    python scripts/reconstruct.py --workdir=RUN --dataset=NAME[/VARIANT] --record=ID --output=DIR [--data_dir=DIR]

Missing leads, where RUN is one of configs/reconstruction.py. Any of the leads, at any rate, unit, order and spelling,
become twelve. What was recorded is copied to the last bit; leads that follow from it come from algebra, the others from
the network. Comments in the header say which is which, and what error rebuilt leads had on the run's test records. The
network sees the signal at its own rate and filtered as in training; what it rebuilds is brought to the rate of the
record and stays filtered. Annotations and other channels are kept.

The heart, where RUN is one of configs/activation_map.py or configs/transmembrane.py. Of twelve leads at any rate the
network sees half a second, from --before_ms before the QRS complex of beat --beat, counted from 1, or of the average
beat. Writes RECORD_activation.csv (times by site), _columns.png and _map.png (the map by site and on the heart),
_activation.vtu (for ParaView) and, from a run of potentials, _potentials.csv, .png (75 panels), .gif and .pvd (a series
for ParaView). A record of a prepared dataset is drawn beside its truth. The heart is that of --mesh and --points, else
a mesh through the sites of --points or of the record, else a mean heart.

No file is overwritten. Exit status 2 and one line for bad input.
"""

from pathlib import Path

from absl import flags

from data_prep.shards import BadRecordError
from data_prep.wfdb_twelve import PartialRecord, check_free, read_partial, write_twelve
from ecgjax import cli, leads
from ecgjax.api.reconstruct import complete, completion_notes
from ecgjax.errors import InputError
from ecgjax.heart import reconstruction
from ecgjax.heart.interpolation import METHODS
from ecgjax.heart.record import from_dataset, from_recording
from ecgjax.leads import LEADS
from ecgjax.rebuilder import Rebuilder, load_rebuilder
from ecgjax.workdir import CONFIG, read_config


def comments(partial: PartialRecord, rebuilder: Rebuilder) -> list[str]:
    """What the header says of the leads."""
    notes = completion_notes(partial.given, partial.fs_hz, rebuilder)
    of_leads = ("given", "by algebra", "rebuilt by")
    return [f"ecgjax{' ' if note.startswith(of_leads) else ': '}{note}" for note in notes]


def main() -> None:
    """Completes the record of the command line, or shows its heart."""
    workdir = Path(flags.FLAGS.workdir)
    if (workdir / CONFIG).exists() and read_config(workdir).task in reconstruction.TASKS:
        show_heart(workdir)
    else:
        complete_leads(workdir)


def complete_leads(workdir: Path) -> None:
    """Writes the record with all twelve leads."""
    given = flags.FLAGS
    path, output = Path(given.record.removesuffix(".hea")), Path(given.output)
    try:
        partial = read_partial(path)
        if len(partial.given) == len(LEADS):
            raise InputError(f"{path} has all twelve leads", "give a record with fewer")
        check_free(partial, output)
        rebuilder = load_rebuilder(workdir)
        if len(leads.derivable(partial.given)) < len(LEADS):
            rebuilder.check(partial.given)
        whole_mv = complete(partial.signal_mv, partial.fs_hz, partial.given, rebuilder)
        written = write_twelve(partial, whole_mv, comments(partial, rebuilder), output)
    except BadRecordError as error:
        raise InputError(f"{path}: {error}", "restore the record") from None
    except OSError as error:
        raise InputError(f"cannot write to {output} ({error.strerror})", "give another --output") from None
    print(f"{written[-1]}: {', '.join(lead for lead in LEADS if lead not in partial.given)} added")


def show_heart(workdir: Path) -> None:
    """Writes times, pictures and VTK files of the heart behind the record."""
    given = flags.FLAGS
    config, output = read_config(workdir), Path(given.output)
    if given.dataset is None:
        record = from_recording(Path(given.record.removesuffix(".hea")), config, given.beat, given.before_ms)
    else:
        record = from_dataset(config, given.dataset, given.record, given.data_dir)
    reconstruction.check_free(record, config.task == "transmembrane", output)
    mesh, points = (Path(name) if name else None for name in (given.mesh, given.points))
    heart = reconstruction.heart_of(record, mesh, points)
    times_ms, vm_mv = reconstruction.predicted(workdir, record)
    try:
        written = reconstruction.write(
            record, times_ms, vm_mv, heart, output, step_ms=given.step_ms, method=given.method
        )
    except OSError as error:
        raise InputError(f"cannot write to {output} ({error.strerror})", "give another --output") from None
    print(f"{record.name}: {record.origin}{reconstruction.summary(record, times_ms)}; {heart[1]}")
    print("\n".join(map(str, written)))


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of the run", required=True)
    flags.DEFINE_string(
        "record", None, "header of a WFDB record; with --dataset the id of one of its records", required=True
    )
    flags.DEFINE_string("output", None, "folder to write to", required=True)
    flags.DEFINE_string("dataset", None, "NAME or NAME/VARIANT of a prepared dataset of hearts")
    flags.DEFINE_string("data_dir", None, "where prepared datasets lie; that of the run by default")
    flags.DEFINE_integer("beat", 0, "which beat shows the heart, from 1; 0 for their average", lower_bound=0)
    flags.DEFINE_float("before_ms", 20.0, "from when before the QRS complex the heart is shown", lower_bound=0)
    flags.DEFINE_float("step_ms", 10.0, "between two pictures of potentials", lower_bound=1)
    flags.DEFINE_string("mesh", None, "legacy VTK file of tetrahedra to draw the heart on")
    flags.DEFINE_string("points", None, "CSV file of the 75 sites: x,y,z,name")
    flags.DEFINE_enum("method", "smooth", list(METHODS), "how the heart is filled in between sites")
    cli.run(main)
