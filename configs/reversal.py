"""Electrode reversal: detected and typed, from twelve leads.

    python -m ecgjax.main --config=configs/reversal.py          simulated records
    python -m ecgjax.main --config=configs/reversal.py:ptbxl    PTB-XL, prepared by data_prep

On two CPU cores (AMD EPYC), 2,000 steps take a minute and a half, the whole command two, and on a fresh machine half a
minute more to simulate. On the test split at a prior of 50 %, seeds 0 to 2: simulated, accuracy 0.999 and macro-F1
0.998; PTB-XL (1,490 training and 126 test records), accuracy 0.975-0.978 and macro-F1 0.961-0.965.
"""

from ml_collections import ConfigDict

from configs import common

ORIGINAL_NETWORKS = {
    "original": {"features": (32,), "kernel_size": 50, "negative_slope": 0.3},  # 19,426 parameters with two outputs
    "original_wide": {"features": (64,), "kernel_size": 50, "negative_slope": 0.3},  # 38,850
    "original_deep": {"features": (128, 256), "kernel_size": 25, "negative_slope": 0.0},  # 860,034
}
"""The published detectors; each a value of `model=` after the colon."""


def get_config(args: str = "") -> ConfigDict:
    """ARGS: a dataset, `smoke`, `model=`, `preprocess=original`, `seed=`, `steps=`, `kfold=`,
    `decoys=` (8 where exchanges of limb and chest cables, or of several, shall be told apart and undone)."""
    config = common.base()
    config.task = "reversal"
    config.batch_size = 128
    config.num_steps = 2000
    config.evaluation.max_records = 256
    config.data.crop_s = 5.0
    config.preprocess.filter = "bandpass"
    config.optimizer.weight_decay = 0.05
    config.schedule.learning_rate = 3e-3
    config.ema_decay = 0.998
    config.log_every = 50
    config.eval_every = 500
    config.checkpoint_every = 500
    config.select.metric = "macro_f1"
    config.select.mode = "max"
    config.early_stopping.metric = "macro_f1"
    config.early_stopping.mode = "max"

    common.add_beat(config)

    config.reversal = ConfigDict()
    config.reversal.view = "beat"  # what the network sees: the average beat or the whole signal
    config.reversal.typed = True  # name the placement too; False only detects
    config.reversal.none_share = 0.2  # training records that stay as they are
    config.reversal.random_chest_share = 0.0  # reversals in training that are any order of V1..V6
    config.reversal.neutral_noise_mv = 0.015  # deviation of the potential of RL above LL
    config.reversal.rotation_rad = 0.25  # deviation of a random turn of the heart about each axis
    config.reversal.elongation = 0.25  # deviation of the logarithm of the length of each axis of its dipole
    config.reversal.displacement = 0.15  # of chest electrodes, as a share of their distance
    config.reversal.gain = 0.2  # deviation of the logarithm of the gain
    config.reversal.noise_mv = 0.02  # level of noise at the electrodes
    config.reversal.stretch = 0.07  # deviation of the logarithm of a stretch of the beat in time

    config.model = ConfigDict()
    config.model.name = "placement_net"  # placement_net or shallow_cnn
    config.model.placement_net = ConfigDict()  # see ecgjax/models/placement_net.py
    config.model.placement_net.patch = 8  # samples of the pieces of the average beat
    config.model.placement_net.features = 64  # width of a piece's embedding
    config.model.placement_net.hidden = 256  # width of the joining layers
    config.model.placement_net.num_blocks = 2  # of them
    config.model.placement_net.fine_gain = 5.0  # of the second, compressed view of the beat
    config.model.placement_net.num_decoys = 0  # ways to undo a record that are never right, drawn anew in each step
    config.model.placement_net.dropout_rate = 0.3  # in the joining layers
    config.model.shallow_cnn = ConfigDict()  # see ecgjax/models/shallow_cnn.py
    original = ORIGINAL_NETWORKS["original"]
    config.model.shallow_cnn.features = original["features"]  # channels of each convolution
    config.model.shallow_cnn.kernel_size = original["kernel_size"]  # samples that convolutions span
    config.model.shallow_cnn.negative_slope = original["negative_slope"]  # of the leaky rectifiers; 0 makes them ReLUs
    config.model.shallow_cnn.dropout_rate = 0.5  # after each

    shorthands = {
        "model": "model.name",
        "preprocess": "preprocess.filter",
        "seed": "seed",
        "steps": "num_steps",
        "kfold": "kfold",
        "decoys": "model.placement_net.num_decoys",
    }
    common.parse_args(config, args, shorthands)
    if config.model.name in ORIGINAL_NETWORKS:
        _use_original_network(config)
    if config.preprocess.filter == "original":
        _use_original_preprocessing(config)
    return config


def _use_original_network(config: ConfigDict) -> None:
    """A published detector, trained as published, but on exact reversals drawn on the fly."""
    config.model.shallow_cnn.update(ORIGINAL_NETWORKS[config.model.name])
    config.model.name = "shallow_cnn"
    config.num_steps = 960  # 80 epochs of the records it was published with
    config.data.crop_s = config.data.seconds
    config.reversal.typed = False
    config.reversal.view = "signal"
    config.reversal.none_share = 0.5
    config.optimizer.name = "adam"
    config.optimizer.weight_decay = 0.0
    config.schedule.name = "constant"
    config.schedule.learning_rate = 1e-3
    config.schedule.warmup_fraction = 0.0
    config.ema_decay = 0.0
    for group in (config.select, config.early_stopping):
        group.metric = "accuracy"
    _use_original_preprocessing(config)


def _use_original_preprocessing(config: ConfigDict) -> None:
    config.preprocess.filter = "wavelet_bandpass"
    config.preprocess.low_hz = 3.0
    config.preprocess.high_hz = 40.0
    config.preprocess.normalise = "zscore"
