"""Options that every task has, and how `--config=configs/TASK.py:ARGS` is read."""

from ml_collections import ConfigDict

from ecgjax.cli import set_field
from ecgjax.errors import InputError

DATASETS = {
    "simulated": ("full", "large", "smoke"),
    "ptbxl": ("100hz", "500hz"),
    "wfdb": ("default",),
    "simulated_beats": ("full", "smoke"),
    "mitbih": ("ds1_ds2", "by_beat"),
    "heartbeat": ("mitbih", "ptbdb"),
    "simulated_hearts": ("full", "smoke"),
    "intracardiac": ("hearts", "patterns", "random"),
    "simulated_rhythms": ("full", "smoke"),
    "cinc2017": ("default",),
    "simulated_paper": ("150px", "smoke"),
    "cinc2017_paper": ("150px",),
    "labelled_folder": ("default",),
}
"""Name -> variants, the default one first. A config sets its own simulated one, which ARGS call `simulated`."""


def base() -> ConfigDict:
    """Every option that all tasks share, each once; a task's file adds its own and may change these."""
    config = ConfigDict()
    config.task = ""  # name in ecgjax/tasks
    config.seed = 0  # initial weights, order, augmentation and bootstrap all follow from it
    config.batch_size = 128  # records in one step, over all devices
    config.num_steps = 2000  # optimiser steps
    config.steps_per_dispatch = 1  # steps in one compiled call; leave at 1 on CPU (slow convolution gradients in loops)
    config.sharding = "pmap"  # how the devices share a batch: pmap or shard_map
    config.dtype = "float32"  # compute type of the network: float32 or bfloat16; parameters stay float32
    config.compilation_cache_dir = "~/.cache/ecgjax/compiled"  # keeps what is compiled between runs; "": nothing
    config.native_gradients = True  # of convolution kernels, in C++, on a CPU where there is a compiler

    config.data = ConfigDict()
    config.data.name = "simulated"  # dataset, see DATASETS
    config.data.variant = "full"  # variant of the dataset
    config.data.dir = ""  # where prepared datasets lie; "" is TFDS's own default
    config.data.fold = 0  # fold that is tested, of a dataset that comes in folds; 0 is the test split of its files
    config.data.input = "resident"  # resident: all records lie on every device; stream: read while training
    config.data.num_readers = 2  # threads that read what is streamed
    config.data.batches_ahead = 8  # read before they are needed, at most
    config.data.leave_out = ""  # LABEL=VALUE: such records, with their patients, are tested and not trained on
    config.data.seconds = 10.0  # length of a record in memory
    config.data.crop_s = 10.0  # length of the random crop that a training step sees

    config.preprocess = ConfigDict()  # see ecgjax/preprocess.py
    config.preprocess.fs_hz = 100.0  # rate to which every record is resampled
    config.preprocess.filter = "none"  # none, bandpass or wavelet_bandpass
    config.preprocess.low_hz = 0.5  # lower end of the pass band of the filter
    config.preprocess.high_hz = 40.0  # its upper end
    config.preprocess.normalise = "none"  # none keeps mV; zscore scales each lead

    config.init = ""  # run whose weights training begins with as far as they fit, or bundled; see ecgjax/finetune.py
    config.freeze = ConfigDict()
    config.freeze.weights = ""  # regular expression for names of weights that stay as they are ...
    config.freeze.steps = 0  # ... for so many steps; -1 for all of them

    config.optimizer = ConfigDict()
    config.optimizer.name = "adamw"  # any optimiser of optax: adamw, adam, sgd, lion, lamb...
    config.optimizer.options = ""  # its other arguments, for example "b2=0.95,eps=1e-6"
    config.optimizer.weight_decay = 1e-4  # on arrays of two and more dimensions only: no biases, no norm scales
    config.optimizer.clip_norm = 1.0  # largest global norm of the gradients; 0 does not clip

    config.schedule = ConfigDict()
    config.schedule.name = "cosine"  # constant, cosine, linear, exponential, step or onecycle
    config.schedule.learning_rate = 1e-3  # the highest
    config.schedule.warmup_fraction = 0.05  # part of num_steps over which it rises linearly from 0
    config.schedule.final_fraction = 0.01  # last over highest rate (cosine, linear, exponential, onecycle)
    config.schedule.step_factor = 0.1  # step: the rate is multiplied by this ...
    config.schedule.num_stages = 3  # ... between this many equally long stages

    config.ema_decay = 0.0  # moving average of the weights, which evaluation then uses; 0 is off

    config.log_every = 50  # steps between lines of metrics.jsonl; they hold means over these steps
    config.tensorboard = False  # event files for TensorBoard too, in the folder tensorboard; needs ecgjax[tensorboard]
    config.eval_every = 500  # steps between validations
    config.checkpoint_every = 500  # steps between checkpoints; a better validation is always kept

    config.select = ConfigDict()
    config.select.metric = "loss"  # validation metric that chooses the checkpoint to test
    config.select.mode = "min"  # min or max
    config.early_stopping = ConfigDict()
    config.early_stopping.metric = "loss"  # validation metric that has to improve
    config.early_stopping.mode = "min"  # min or max
    config.early_stopping.patience = 0  # validations without improvement before the run ends; 0 never ends it

    config.evaluation = ConfigDict()
    config.evaluation.batch_size = 256  # records (times views) in one evaluation step, over all devices
    config.evaluation.window_stride_s = 0.0  # between windows of data.crop_s whose outputs are averaged; 0: all at once
    config.evaluation.window_combine = "mean"  # of the outputs for windows: mean, or vote of their highest ones
    config.evaluation.max_records = 0  # validation records scored while training, drawn by seed; 0 takes all
    config.num_bootstrap = 1000  # resamples behind the intervals in results.json
    config.kfold = 0  # folds of cross-validation by patient over train and validation; 0 is a plain run
    return config


def add_beat(config: ConfigDict) -> None:
    """Adds the options of the average beat."""
    config.beat = ConfigDict()  # see ecgjax/beats.py
    config.beat.before_s = 0.40  # reach of the average beat before the R peak
    config.beat.after_s = 0.56  # and after it
    config.beat.max_beats = 24  # beats averaged at most


def parse_args(config: ConfigDict, arg_string: str, shorthands: dict[str, str]) -> bool:
    """Applies ARGS of `--config=configs/TASK.py:ARGS` to `config`; true where they ask for a smoke run.

    ARGS are separated by commas: a dataset with or without its variant (`ptbxl`, `ptbxl/500hz`), `smoke`, and
    `key=value` for the keys of `shorthands`, which maps each to the dotted path of a field.
    """
    smoke, simulated = False, config.data.name
    for argument in filter(None, arg_string.split(",")):
        key, equals, value = argument.partition("=")
        if equals and key in shorthands:
            set_field(config, shorthands[key], value)
        elif argument == "smoke":
            smoke = True
        elif argument.split("/")[0] in DATASETS:
            _set_dataset(config, argument, simulated)
        else:
            known = [*DATASETS, "smoke", *(f"{name}=..." for name in shorthands)]
            raise InputError(f"unknown argument {argument!r} after the config file", f"use {', '.join(known)}")
    if smoke:
        _shrink(config)
    return smoke


def _set_dataset(config: ConfigDict, argument: str, simulated: str) -> None:
    name, _, variant = argument.partition("/")
    name = simulated if name == "simulated" else name
    if variant and variant not in DATASETS[name]:
        raise InputError(f"unknown variant {variant!r} of {name}", f"use one of {', '.join(DATASETS[name])}")
    config.data.name = name
    config.data.variant = variant or DATASETS[name][0]


def _shrink(config: ConfigDict) -> None:
    """Makes anything finish within seconds."""
    if "smoke" in DATASETS[config.data.name]:
        config.data.variant = "smoke"
    config.batch_size = 16
    config.num_steps = 20
    config.log_every = 5
    config.eval_every = 10
    config.checkpoint_every = 10
    config.evaluation.batch_size = 32
    config.evaluation.window_combine = "mean"  # of the outputs for windows: mean, or vote of their highest ones
    config.evaluation.max_records = 16
    config.num_bootstrap = 20
