"""Writes a trained run, preprocessing included, for programs without ecgjax: StableHLO and ONNX.

    python scripts/export.py --workdir=RUN|bundled --output=FOLDER [--formats=stablehlo,onnx] [--fs_hz=500]
        [--seconds=10] [--given=I+II+V2] [--task=TASK] [--dataset=NAME[/VARIANT]] [--data_dir=DIR] [--records=32]

FOLDER gets model.stablehlo, model.onnx and export.json, which names inputs, outputs, units and classes. The batch may
be of any size; the signals have the length and the rate given here, those of training by default. Every file is run
again and compared with ecgjax's own prediction on test records, and nothing is written where they differ by more than
1e-4. docs/export.md shows how the files are used. Exit status 2 and one line for bad input.
"""

from pathlib import Path

from absl import flags

from ecgjax import cli
from ecgjax.bundled import workdir_of
from ecgjax.export.write import FORMATS, export


def main() -> None:
    """Exports the run of the command line."""
    given = flags.FLAGS
    described = export(
        workdir_of(given.workdir, given.task),
        Path(given.output),
        formats=given.formats,
        fs_hz=given.fs_hz,
        seconds=given.seconds,
        given=given.given,
        dataset=given.dataset,
        data_dir=given.data_dir,
        num_records=given.records,
    )
    checked = described["checked_on"]
    for name, file in described["files"].items():
        away = ", ".join(f"{output} within {value:.1e}" for output, value in file["largest_difference"].items())
        print(f"{Path(given.output) / name}: {file['bytes'] / 1e6:.1f} MB; on {checked['records']} test records of "
              f"{checked['dataset']} {away} of ecgjax's own prediction")  # fmt: skip


if __name__ == "__main__":
    flags.DEFINE_string("workdir", None, "folder of the run, or bundled", required=True)
    flags.DEFINE_string("output", None, "folder to write, which is not there yet", required=True)
    flags.DEFINE_list("formats", list(FORMATS), "what to write")
    flags.DEFINE_string("task", "reversal", "which network `bundled` means")
    flags.DEFINE_float("fs_hz", None, "rate of the signals that are going to be given; that of training by default")
    flags.DEFINE_float("seconds", None, "their length; that of training by default")
    flags.DEFINE_string("given", "", "leads that a reconstruction reads, such as I+II+V2")
    flags.DEFINE_string("dataset", None, "NAME or NAME/VARIANT whose test records check it; that of the run by default")
    flags.DEFINE_string("data_dir", None, "where prepared datasets lie; that of the run by default")
    flags.DEFINE_integer("records", 32, "test records that it is checked on", lower_bound=1)
    cli.run(main)
