"""Heartbeats: one beat -> its AAMI class, or whether it is normal.

python -m ecgjax.main --config=configs/heartbeat.py                          simulated beats
python -m ecgjax.main --config=configs/heartbeat.py:mitbih,classes=aami4     MIT-BIH, DS1 -> DS2: other patients
python -m ecgjax.main --config=configs/heartbeat.py:mitbih,split=by_beat     the same patients on both sides
python -m ecgjax.main --config=configs/heartbeat.py:heartbeat/ptbdb,classes=binary    the Kaggle files of PTB

On two CPU cores (AMD EPYC), 1,000 steps and the trees beside them take half a minute. DS1 -> DS2 of 32 recordings: F1
of V 0.97 to 0.98, macro-F1 of N, S, V and F 0.51 to 0.53, seeds 0 to 2; by beat: accuracy 99.1 %; simulated beats:
macro-F1 0.980 (seed 0).
"""

from ml_collections import ConfigDict

from configs import beat_networks, common
from ecgjax.tasks.heartbeat import CLASS_SETS, SAMPLINGS, WEIGHTINGS

SWEEPS = {
    "class_sets": ("heartbeat.classes", tuple(CLASS_SETS)),
    "weightings": ("heartbeat.weighting", WEIGHTINGS),
    "samplings": ("heartbeat.sampling", SAMPLINGS),
    "splits": ("data.variant", ("ds1_ds2", "by_beat"), {"data.name": "mitbih"}),
}
"""Name of a series of runs -> the field that varies and its values."""


def get_config(args: str = "") -> ConfigDict:
    """ARGS: a dataset, `smoke`, `classes=`, `split=` (the dataset's variant), `view=`, `weighting=`, `loss=`,
    `sampling=`, `model=`, `seed=`, `steps=`, `kfold=`."""
    config = common.base()
    config.task = "heartbeat"
    config.data.name = "simulated_beats"
    config.data.seconds = config.data.crop_s = 2.0
    config.preprocess.fs_hz = 125.0
    config.log_every = 50
    config.eval_every = 200
    config.checkpoint_every = 400
    is_binary = "classes=binary" in args.split(",")
    config.select.metric = "auroc" if is_binary else "macro_f1"
    config.select.mode = "max"

    config.heartbeat = ConfigDict()
    config.heartbeat.classes = "aami"  # aami (N, S, V, F, Q), aami4 (Q left out) or binary (is it abnormal?)
    config.heartbeat.view = "wide"  # cut (from R on, as Kaggle has it), or wide (window, typical beat and intervals)
    config.heartbeat.scaling = "typical"  # of the wide view: mv, or typical (centred, over the typical beat's range)
    config.heartbeat.loss = "cross_entropy"  # cross_entropy or focal
    config.heartbeat.focal_gamma = 2.0  # the higher, the less beats count that are surely right already
    config.heartbeat.weighting = "none"  # of a beat in the loss: none, inverse, sqrt_inverse or effective
    config.heartbeat.effective_beta = 0.999  # effective: beats of a class add to each other up to 1 / (1 - this)
    config.heartbeat.sampling = "natural"  # how often it is drawn: natural, sqrt or balanced (classes equally often)
    config.heartbeat.decision = "most_probable"  # or prior_corrected: shares of classes weighed as validation asks for
    config.heartbeat.baseline_beats = 6000  # training beats that the boosted trees see at most, rare classes first
    # What changes training beats; 0 is off.
    config.heartbeat.turned = 1.0  # share seen in a lead of any direction between the two of their recording
    config.heartbeat.gain = 0.1  # deviation of the logarithm of the gain
    config.heartbeat.noise_mv = 0.03  # deviation of the level of white noise; Kaggle's beats are 1 high
    config.heartbeat.wander_mv = 0.0  # deviation of the amplitude of a slow sine
    config.heartbeat.shift_s = 0.01  # deviation of the place of R
    config.heartbeat.stretch = 0.0  # deviation of the logarithm of a stretch of time, intervals included
    config.heartbeat.rr_jitter = 0.03  # deviation of the logarithms of intervals

    config.model = ConfigDict()
    beat_networks.add_networks(config)
    _use_recipe(config, args.split(","))

    shorthands = {
        "classes": "heartbeat.classes",
        "split": "data.variant",
        "view": "heartbeat.view",
        "weighting": "heartbeat.weighting",
        "loss": "heartbeat.loss",
        "sampling": "heartbeat.sampling",
        "model": "model.name",
        "seed": "seed",
        "steps": "num_steps",
        "kfold": "kfold",
    }
    # A dataset sets its own default variant, so that it has to come first.
    in_order = ",".join(sorted(args.split(","), key=lambda argument: argument.startswith("split=")))
    if common.parse_args(config, in_order, shorthands):
        config.heartbeat.baseline_beats = 200
    return config


def _use_recipe(config: ConfigDict, arguments: list[str]) -> None:
    """Sets how the network is trained that `model=` names, before ARGS are applied; without it, beat_reader.

    The published networks see what Kaggle distributes, unchanged, and have Adam at a constant rate, neither clipping
    nor decay. Kaggle's own beats have no other view.
    """
    names = [argument.removeprefix("model=") for argument in arguments if argument.startswith("model=")]
    config.model.name = names[-1] if names else "beat_reader"  # the group below that makes the network
    if config.model.name != "beat_reader" or any(argument.split("/")[0] == "heartbeat" for argument in arguments):
        config.heartbeat.view = "cut"
        config.model.beat_reader.fine_samples = (0, 64)
    if config.model.name == "beat_reader":
        config.batch_size = 256
        config.num_steps = 1000
        config.optimizer.weight_decay = 0.05
        config.schedule.learning_rate = 2e-3
        config.ema_decay = 0.99
        return
    options = config.heartbeat
    options.turned = options.gain = options.noise_mv = options.shift_s = options.rr_jitter = 0.0
    config.batch_size = 64
    config.num_steps = 2000
    config.optimizer.name = "adam"
    config.optimizer.weight_decay = 0.0
    config.optimizer.clip_norm = 0.0
    config.schedule.name = "constant"
    config.schedule.learning_rate = 1e-3
    config.schedule.warmup_fraction = 0.0
    if "classes=binary" in arguments:
        config.model.beat_cnn.dropout_rate = 0.5
