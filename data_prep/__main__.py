"""`python -m data_prep --dataset=NAME[/VARIANT] --raw_dir=DIR`: prepares a dataset's record files.

Sets of millions of records go to a cluster through Apache Beam: `--beam_runner` names the runner, and `--beam_options`
are its own. All workers see `--raw_dir` and `--data_dir` under the same paths.
"""

import os
import shlex
from pathlib import Path

from absl import flags

from data_prep.build import Beam, Options
from data_prep.prepare import BUILDERS, prepare
from ecgjax import cli
from ecgjax.errors import InputError

FLAGS = flags.FLAGS
flags.DEFINE_string("dataset", "", f"NAME or NAME/VARIANT; names: {', '.join(BUILDERS)}.")
flags.DEFINE_string("raw_dir", "", "Folder with the raw files as their publisher distributes them.")
flags.DEFINE_string("data_dir", "", "Where prepared datasets lie; TFDS's own default if empty.")
flags.DEFINE_bool("skip_bad", False, "Leave out records that cannot be prepared, and list them.")
flags.DEFINE_integer("num_workers", os.cpu_count(), "Processes that read and write.", lower_bound=1)
flags.DEFINE_string("beam_runner", "", "Runner of Apache Beam that takes the place of those processes: DirectRunner...")
flags.DEFINE_string("beam_options", "", "Options of its pipeline, in one text: '--direct_num_workers=2 ...'.")


def main() -> None:
    if not FLAGS.dataset:
        raise InputError("--dataset is not given", f"use one of {', '.join(BUILDERS)}")
    if FLAGS.beam_options and not FLAGS.beam_runner:
        raise InputError("--beam_options without a runner", "name one in --beam_runner")
    name, _, variant = FLAGS.dataset.partition("/")
    raw_dir = Path(FLAGS.raw_dir).expanduser().resolve() if FLAGS.raw_dir else None
    beam = Beam(FLAGS.beam_runner, tuple(shlex.split(FLAGS.beam_options))) if FLAGS.beam_runner else None
    prepare(name, variant, FLAGS.data_dir, Options(raw_dir, FLAGS.skip_bad, FLAGS.num_workers, beam))


if __name__ == "__main__":
    cli.run(main)
