"""From a dataset's name to its record files, once."""

import contextlib
import errno
import fcntl
import importlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from absl import logging

from data_prep.build import Options, RecordBuilder
from data_prep.shards import WriteError
from data_prep.summary import print_summary
from ecgjax.data.record_files import data_root
from ecgjax.errors import InputError

BUILDERS = {
    "simulated": "simulated.Simulated",
    "ptbxl": "ptbxl.Ptbxl",
    "wfdb": "wfdb_folder.Wfdb",
    "intracardiac": "intracardiac.Intracardiac",
    "mitbih": "mitbih.Mitbih",
    "heartbeat": "heartbeat.Heartbeat",
    "cinc2017": "cinc2017.Cinc2017",
    "cinc2017_paper": "paper.Cinc2017Paper",
    "simulated_paper": "paper.SimulatedPaper",
    "simulated_beats": "simulated_beats.SimulatedBeats",
    "simulated_hearts": "simulated_hearts.SimulatedHearts",
    "simulated_rhythms": "simulated_rhythms.SimulatedRhythms",
    "labelled_folder": "labelled_folder.LabelledFolder",
}
"""Dataset -> module and class of its builder, imported when asked for: what other builders need takes a second."""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


def prepare(name: str, variant: str, data_dir: str, options: Options) -> None:
    """Prepares a dataset and prints what it holds; says so where that has been done before.

    Raises:
      InputError: the dataset is unknown, raw files are missing or bad, the place is taken by another folder's, or full.
    """
    builder_class = find_builder(name)
    variant = check_variant(builder_class, variant)
    if not builder_class.MAKEABLE and (options.raw_dir is None or not options.raw_dir.is_dir()):
        given = "--raw_dir is not given" if options.raw_dir is None else f"no folder {options.raw_dir}"
        raise InputError(given, f"set --raw_dir to the folder that holds the raw files of {name}")
    if "://" in data_dir:
        raise InputError(f"{data_dir} is no folder, and record files are written to folders", "mount it, or copy them")
    if source := builder_class.made_from(variant):
        ensure_prepared(*source, data_dir)
    with only_one(final_dir(builder_class, variant, data_dir).parent):
        with quiet():
            builder = builder_class(variant, data_dir, options)
        if builder.data_path.exists():
            _check_same_source(builder)
            print(f"{name}/{variant} is already prepared in {builder.data_path}")
            return
        try:
            with quiet():
                builder.download_and_prepare()
        except OSError as error:
            if not isinstance(error, WriteError) and error.errno not in FULL:
                raise
            raise InputError(str(error), "make room or give another --data_dir; nothing was kept") from None
    print_summary(builder)


def ensure_prepared(name: str, variant: str, data_dir: str) -> None:
    """Makes a dataset that is absent and needs no raw files.

    Raises:
      InputError: it is absent and needs them; the message holds the command that prepares it.
    """
    builder_class = find_builder(name)
    variant = check_variant(builder_class, variant)
    if final_dir(builder_class, variant, data_dir).exists():
        return
    if not builder_class.MAKEABLE:
        target = f" --data_dir={data_dir}" if data_dir else ""
        raise InputError(
            f"{name}/{variant} is not prepared in {data_root(data_dir)}",
            f"run python -m data_prep --dataset={name}/{variant} --raw_dir=DIR{target}",
        )
    # The simulator has all cores in one process; what is made from another dataset has one process a core.
    num_workers = (os.cpu_count() or 1) if builder_class.made_from(variant) else 1
    prepare(name, variant, data_dir, Options(raw_dir=None, skip_bad=False, num_workers=num_workers, beam=None))


def find_builder(name: str) -> type[RecordBuilder]:
    if name not in BUILDERS:
        raise InputError(f"unknown dataset {name!r}", f"use one of {', '.join(BUILDERS)}")
    module, _, class_name = BUILDERS[name].partition(".")
    return getattr(importlib.import_module(f"data_prep.{module}"), class_name)


def check_variant(builder_class: type[RecordBuilder], variant: str) -> str:
    """The variant, or the default for ""."""
    variant = variant or builder_class.VARIANTS[0]
    if variant not in builder_class.VARIANTS and not builder_class.ANY_VARIANT:
        raise InputError(
            f"unknown variant {variant!r} of {builder_class.name}", f"use one of {', '.join(builder_class.VARIANTS)}"
        )
    if not variant.replace("_", "").replace("-", "").isalnum():
        raise InputError(f"variant {variant!r} is no plain name", "use letters, digits, - and _")
    return variant


def final_dir(builder_class: type[RecordBuilder], variant: str, data_dir: str) -> Path:
    """Where the finished dataset lies."""
    return data_root(data_dir) / builder_class.name / variant / str(builder_class.VERSION)


@contextlib.contextmanager
def only_one(directory: Path) -> Iterator[None]:
    """Waits until no other process prepares in `directory`, and clears what a killed one left there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {directory} ({error.strerror})", "give another --data_dir") from None
    handle = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: the rename at the end still is atomic
            fcntl.flock(handle, fcntl.LOCK_EX)
            for leftover in directory.glob("incomplete.*"):
                shutil.rmtree(leftover, ignore_errors=True)
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hides what TFDS tells about variants it has not heard of and a download that does not take place."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)


def _check_same_source(builder: RecordBuilder) -> None:
    prepared_from = builder.info.metadata.get("raw_dir")
    if prepared_from and Path(prepared_from) != builder.raw_dir:
        raise InputError(
            f"{builder.data_path} holds {builder.name}/{builder.variant} prepared from {prepared_from}",
            f"give another --data_dir for {builder.raw_dir}, or delete that folder",
        )
