"""Options of the networks from one lead of any length to its rhythm."""

from ml_collections import ConfigDict


def add_networks(config: ConfigDict) -> None:
    """Adds a group of options for each network to `config.model`; `config.model.name` chooses one."""
    config.model.rhythm_reader = ConfigDict()  # see ecgjax/models/rhythm_reader.py
    config.model.rhythm_reader.fs_hz = config.preprocess.get_ref("fs_hz")  # follows preprocess.fs_hz
    config.model.rhythm_reader.features = (24, 48, 48, 72, 72, 96, 96)  # channels of each residual unit of the signal
    config.model.rhythm_reader.strides = (2, 2, 1, 2, 1, 2, 1)  # by which each shortens it
    config.model.rhythm_reader.beat_features = 96  # width of the layers over beats
    config.model.rhythm_reader.num_beat_layers = 3  # layers that each see a beat beside its neighbours
    config.model.rhythm_reader.measure_features = 96  # width of the layer over measures
    config.model.rhythm_reader.dropout_rate = 0.25  # within units and layers
    config.model.rhythm_reader.head_dropout_rate = 0.5  # before the output
    config.model.residual34 = ConfigDict()  # see ecgjax/models/residual34.py
    config.model.residual34.features = 16  # channels of the first convolution: 16 as the published weights have, or 64
    config.model.residual34.kernel_size = 16  # samples that convolutions span
    config.model.residual34.head = "flatten"  # flatten (as published, for one length of signal) or mean
    config.model.residual34.hidden = ()  # widths of dense layers before the output; (512, 512) where it was fine-tuned
    config.model.residual34.dropout_rate = 0.5  # within the units, and after dense layers


def add_view(options: ConfigDict) -> None:
    """Adds to `options`, the task's group, what the network is shown of a recording."""
    options.scaling = "zscore"  # mv, zscore (of the recording) or range (0 to 1 of it, as strips on paper)
    options.measures = False  # whether what rhythm_features.py measures of intervals, beats and atria is shown, too
    # What changes training recordings; 0 is off.
    options.noise = 0.0  # deviation of the level of white noise, over that of the recording
    options.wander = 0.0  # the same of a slow wander
    options.gain = 0.0  # deviation of the logarithm of the gain
    options.stretch = 0.0  # deviation of the logarithm of a stretch of time
    options.flip = 0.0  # share that is turned upside down
    options.mask_s = 0.0  # longest stretch that is blanked


def use_recipe(config: ConfigDict, args: str) -> None:
    """Sets how the network is trained that `model=` in ARGS names, before these are applied; without it, rhythm_reader.

    The published one sees half a minute at 300 Hz, padded with zeros, and has Adam at a constant rate.
    """
    names = [argument.removeprefix("model=") for argument in args.split(",") if argument.startswith("model=")]
    config.model.name = names[-1] if names else "rhythm_reader"  # the group below that makes the network
    options = config.rhythm
    if config.model.name == "rhythm_reader":
        config.batch_size = 32
        config.num_steps = 1000
        config.preprocess.fs_hz = 100.0
        config.preprocess.filter = "bandpass"
        config.optimizer.weight_decay = 0.05
        config.schedule.learning_rate = 2e-3
        config.ema_decay = 0.99
        options.measures = True
        options.label_smoothing = 0.05
        options.weighting = "sqrt_inverse"
        options.noise = 0.1
        options.gain = 0.2
        options.stretch = 0.05
        return
    config.batch_size = 64
    config.num_steps = 600
    config.preprocess.fs_hz = 300.0
    config.evaluation.window_stride_s = 15.0
    config.optimizer.name = "adam"
    config.optimizer.weight_decay = 0.0
    config.optimizer.clip_norm = 0.0
    config.schedule.name = "constant"
    config.schedule.learning_rate = 1e-3
    config.schedule.warmup_fraction = 0.0
