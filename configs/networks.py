"""Options of the networks from twelve leads to any outputs."""

from ml_collections import ConfigDict


def add_networks(config: ConfigDict) -> None:
    """Adds a group of options for each network to `config.model`; `config.model.name` chooses one."""
    config.model.beat_net = ConfigDict()  # see ecgjax/models/beat_net.py
    add_beat_encoder(config, config.model.beat_net)

    config.model.xresnet1d = ConfigDict()  # see ecgjax/models/xresnet1d.py
    config.model.xresnet1d.depth = 101  # 18, 34, 50 or 101 (the published); the fewer the faster
    config.model.xresnet1d.dropout_rate = 0.5  # before the output, half of it before the hidden layer

    config.model.inception_time = ConfigDict()  # see ecgjax/models/inception_time.py
    config.model.inception_time.num_modules = 6  # inception modules, a shortcut around every three
    config.model.inception_time.features = 32  # channels of each of a module's branches
    config.model.inception_time.bottleneck = 32  # channels that a module's convolutions see
    config.model.inception_time.kernel_sizes = (39, 19, 9)  # samples that they span

    config.model.state_space = ConfigDict()  # see ecgjax/models/state_space.py
    config.model.state_space.recurrence = "s4d"  # s4d (states of each channel) or s5 (states shared by all channels)
    config.model.state_space.features = 128  # channels; 512 in the published network
    config.model.state_space.num_layers = 4  # each a recurrence and a gated layer
    config.model.state_space.s4d_states = 16  # of each channel; 8 in the published network
    config.model.state_space.s5_states = 128  # of a layer
    config.model.state_space.is_bidirectional = True  # also from the end of the record to its start
    config.model.state_space.dropout_rate = 0.2  # of whole channels

    config.model.ribeiro_net = ConfigDict()  # see ecgjax/models/ribeiro_net.py
    config.model.ribeiro_net.channels = (128, 196, 256, 320)  # of each residual unit
    config.model.ribeiro_net.factors = (2, 2, 2, 2)  # by which each shortens the signal; 4 each for 10 s at 400 Hz
    config.model.ribeiro_net.kernel_size = 16  # samples that convolutions span
    config.model.ribeiro_net.pooling = "flatten"  # flatten (only signals as long as data.crop_s) or mean over time
    config.model.ribeiro_net.dropout_rate = 0.2  # in the units

    config.model.ribeiro_full_rate_net = ConfigDict()  # its copy that never shortens the signal
    config.model.ribeiro_full_rate_net.channels = (128, 196, 320)  # of each residual unit
    config.model.ribeiro_full_rate_net.hidden = 100  # width of the dense layer that reads every sample
    config.model.ribeiro_full_rate_net.dropout_rate = 0.2  # in the units

    config.model.ml_resnet = ConfigDict()  # see ecgjax/models/ml_resnet.py
    config.model.ml_resnet.hidden = 12  # width of the dense layer before the output; 100 as published for age


def use_recipe(config: ConfigDict, args: str) -> None:
    """Sets how the network is trained that `model=` in ARGS names, before these are applied; without it, beat_net.

    Convolutions and recurrences see random 2.5 s of a record, and in evaluation overlapping windows (Strodthoff et
    al., IEEE J Biomed Health Inform 2021, 25:1519); the published networks that read every sample see all of it.
    """
    names = [argument.removeprefix("model=") for argument in args.split(",") if argument.startswith("model=")]
    config.model.name = names[-1] if names else "beat_net"  # the group below that makes the network
    if config.model.name == "beat_net":
        return
    config.batch_size = 64
    config.num_steps = 1200
    config.log_every = 50
    config.eval_every = 200
    config.checkpoint_every = 200
    config.optimizer.weight_decay = 0.01
    config.schedule.learning_rate = 2e-3
    config.ema_decay = 0.99
    is_whole = config.model.name in ("ribeiro_net", "ribeiro_full_rate_net", "ml_resnet")
    config.data.crop_s = config.data.seconds if is_whole else 2.5
    config.evaluation.window_stride_s = 0.0 if is_whole else 1.25


def add_beat_encoder(config: ConfigDict, options: ConfigDict) -> None:
    """Adds to `options`, the group of a network in `config`, those of its trunk, ecgjax/models/beat_encoder.py."""
    options.fs_hz = config.preprocess.get_ref("fs_hz")  # follows preprocess.fs_hz
    for name in config.beat:
        setattr(options, name, config.beat.get_ref(name))  # follows that of beat
    options.patch = 8  # samples of the pieces of the average beat
    options.features = 64  # width of a piece's embedding
    options.hidden = 256  # width of the joining layers
    options.num_blocks = 2  # of them
    options.fine_gain = 5.0  # of the second, compressed view of the beat
    options.dropout_rate = 0.5  # in the joining layers
