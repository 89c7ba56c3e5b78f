"""What a config leaves to the run that it begins with and to the user's folder, found out before the run begins."""

import dataclasses
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from data_prep.labelled_files import recordings_in
from data_prep.labelled_folder import LabelledFolder, LabelledOptions, Stated, variant_of
from data_prep.labelled_table import Reading
from data_prep.prepare import final_dir, prepare
from ecgjax import finetune, leads, tasks
from ecgjax.data.record_files import RecordFiles, dataset_dir
from ecgjax.errors import InputError
from ecgjax.runlog import say
from ecgjax.tasks.labelled import ONE_LEAD_NETWORKS, Labelled
from ecgjax.tasks.rhythm_features import feature_names
from ecgjax.tasks.rhythm_view import RhythmView
from ecgjax.workdir import read_config

TWELVE_LEAD_NETWORKS = (
    *("beat_net", "xresnet1d", "inception_time", "state_space"),
    *("ribeiro_net", "ribeiro_full_rate_net", "ml_resnet"),
)
TRUNK = "trunk"
"""`freeze.weights` of all weights but those of the output."""

_MANY = 2000
"""Recordings from which several processes read them."""

_GROUPS = {"preprocess": None, "beat": None, "data": ("seconds", "crop_s")}
_GROUPS |= {"evaluation": ("window_stride_s", "window_combine")}
"""Group of the config -> its fields that are those of the run, None for all."""

_TWELVE_LEAD_FIELDS = ("view", "leads")
_ONE_LEAD_FIELDS = ("scaling", "measures")


def completed(config: ConfigDict, given: Collection[str]) -> ConfigDict:
    """`config` with all that a run begins with; what is found out is said, a line each.

    Fields `given` on the command line stay as they are. The folder's records are prepared where they are not yet.

    Raises:
      InputError: the run has no network that serves, or the folder no labels to learn.
    """
    config = config.copy_and_resolve_references()
    with config.unlocked(), config.ignore_type():
        if config.init:
            _take_over(config, given)
        elif "freeze.steps" not in given:
            config.freeze.steps = 0
        _prepare(config)
    if config.freeze.weights == TRUNK:
        config.freeze.weights = _all_but_output(config)
    return config


def _take_over(config: ConfigDict, given: Collection[str]) -> None:
    """Network, rate, filter and length of signals as the run has them."""
    workdir = finetune.source_of(config)
    source = read_config(workdir)
    name = source.model.name
    if name not in (*TWELVE_LEAD_NETWORKS, *ONE_LEAD_NETWORKS):
        raise InputError(
            f"the {source.task} run {workdir} has the network {name}, which answers no other question",
            "begin with a run of diagnosis, age or labelled (twelve leads), or of rhythm (one lead)",
        )
    if "model.name" in given and config.model.name != name:
        raise InputError(
            f"model.name is {config.model.name} and that of {workdir} {name}", "leave it out, or set --config.init="
        )
    config.model.name = name
    config.model[name] = config.model.get(name, ConfigDict())
    for path, value in _learnt_with(source):
        _take(config, path, value, path in given, str(workdir))
    # The network has its own note of these.
    for group in (config.preprocess, config.beat):
        for field in {*group} & {*config.model[name]}:
            config.model[name][field] = group[field]


def _learnt_with(source: ConfigDict) -> Iterator[tuple[str, Any]]:
    """Dotted path and value of what a network needs to see records as it was trained to."""
    name = source.model.name
    yield from ((f"model.{name}.{field}", source.model[name][field]) for field in source.model[name])
    for group, fields in _GROUPS.items():
        if group in source:
            yield from ((f"{group}.{field}", source[group][field]) for field in fields or source[group])
    group, fields = (
        ("one_lead", _ONE_LEAD_FIELDS) if name in ONE_LEAD_NETWORKS else ("twelve_leads", _TWELVE_LEAD_FIELDS)
    )
    shown = source[group] if group in source else source[source.task]
    yield from ((f"{group}.{field}", shown[field]) for field in fields)


def _take(config: ConfigDict, path: str, value: Any, is_given: bool, workdir: str) -> None:
    *parents, field = path.split(".")
    group = config
    for parent in parents:
        group = group[parent]
    if not is_given:
        group[field] = value
    elif group[field] != value:
        say(f"{path} is {group[field]!r} as asked, {workdir} was trained with {value!r}")


def _prepare(config: ConfigDict) -> None:
    """Prepares the folder `data.dir` where that is still to be done, and notes what its labels are."""
    data, options = config.data, config.labelled
    if data.dir and data.variant:
        raise InputError(
            f"data.dir is a folder and data.variant {data.variant!r} one that is prepared", "give one of them"
        )
    if not (data.dir or data.variant):
        raise InputError(
            "there is no folder to learn from",
            "give --config.data.dir=FOLDER, with recordings and one CSV file of labels",
        )
    if data.dir:
        options.folder = str(Path(data.dir).expanduser().resolve())
        data.variant, data.dir = _prepared(Path(options.folder), config), ""
    found: Mapping[str, Any] = RecordFiles(dataset_dir(data.name, data.variant, data.dir)).metadata
    options.kind = found["kind"]
    for field in ("columns", "classes", "centre", "spread"):
        options[field] = tuple(found[field])


def _prepared(folder: Path, config: ConfigDict) -> str:
    """The variant of the dataset that holds the records of a folder."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}", "give --config.data.dir the one with recordings and labels")
    given = config.labelled
    names = tuple(name.strip() for name in given.lead_names.split(",") if name.strip())
    options = LabelledOptions(
        raw_dir=folder,
        skip_bad=given.skip_bad,
        # Processes take seconds to start.
        num_workers=1 if len(recordings_in(folder)) < _MANY else os.cpu_count() or 1,
        beam=None,
        reading=Reading(**{field.name: given[field.name] for field in dataclasses.fields(Reading)}),
        stated=Stated(given.fs_hz, given.units, names, config.model.name in ONE_LEAD_NETWORKS, given.lead),
    )
    variant = variant_of(folder, options)
    folder_of_records = final_dir(LabelledFolder, variant, "")
    if folder_of_records.exists():
        for line in RecordFiles(folder_of_records).metadata["said"]:
            say(line)
        return variant
    try:
        prepare(LabelledFolder.name, variant, "", options)
    except InputError as error:
        raise InputError(*str(error).replace("--skip_bad", "--config.labelled.skip_bad=True").rsplit("; ", 1)) from None
    return variant


def _all_but_output(config: ConfigDict) -> str:
    """A regular expression for the weights of the network that do not depend on the number of its outputs."""
    task = tasks.build(config)
    assert isinstance(task, Labelled)
    num_samples = round(config.data.crop_s * config.preprocess.fs_hz)
    num_leads = 1 if isinstance(task.shown, RhythmView) else len(leads.LEADS)
    record = {"signal_mv": jnp.zeros((num_samples, num_leads)), "num_samples": jnp.int32(num_samples)}
    if isinstance(task.shown, RhythmView):
        record["measures"] = jnp.zeros(len(feature_names()))
        seen = jax.eval_shape(task.shown.evaluation_signal, record)
    else:
        seen = jax.eval_shape(task.shown.evaluation_signal, record["signal_mv"])
    head = finetune.head_weights(config, task.num_outputs, seen.shape)
    return f"^(?!({'|'.join(map(re.escape, head))})$)"
