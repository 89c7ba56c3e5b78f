"""Options of the networks from twelve leads to the sites of a heart."""

from ml_collections import ConfigDict


def add_networks(config: ConfigDict) -> None:
    """Adds a group of options for each network that suits `config.task` to `config.model`.

    Activation times are one number for each site, transmembrane potentials one for each sample.
    """
    is_map = config.task == "activation_map"
    if is_map:
        config.model.activation_reader = ConfigDict()  # see ecgjax/models/heart_reader.py
        _add_encoder(config.model.activation_reader)
    else:
        config.model.potential_reader = ConfigDict()  # see ecgjax/models/heart_reader.py
        config.model.potential_reader.centre_ms = (85.0, 260.0)  # time to the upstroke, and from there to half the fall
        config.model.potential_reader.spread_ms = (35.0, 40.0)  # what an output of 1 adds to them
        config.model.potential_reader.sample_ms = 1000 / config.preprocess.fs_hz  # between samples
        _add_encoder(config.model.potential_reader)
    config.model.squeeze_net = ConfigDict()  # see ecgjax/models/squeeze_net.py
    config.model.squeeze_net.version = "pooled" if is_map else "same"  # one number for each site, or for each sample
    config.model.squeeze_net.kernel_size = 3  # samples of all convolutions but 1x1
    config.model.squeeze_net.dropout_rate = 0.1 if is_map else 0.0  # before the head
    if is_map:
        config.model.activation_cnn = ConfigDict()  # see ecgjax/models/activation_cnn.py
        config.model.activation_cnn.features = (128, 128, 64)  # channels of each convolution
        config.model.activation_cnn.hidden = 128  # width of the dense layer before the output
        config.model.activation_cnn.negative_slope = 0.01  # of the leaky rectifiers
    else:
        config.model.cnn_bilstm = ConfigDict()  # see ecgjax/models/cnn_bilstm.py
        config.model.cnn_bilstm.features = (256, 128, 64)  # channels of each convolution
        config.model.cnn_bilstm.hidden = 256  # width of the state of each direction
        config.model.cnn_bilstm.num_layers = 2  # recurrent layers
        config.model.cnn_bilstm.dropout_rate = 0.5  # after every convolution


def use_recipe(config: ConfigDict, options: ConfigDict, args: str) -> None:
    """Sets how the network is trained that `model=` in ARGS names, before these are applied; without it, the reader.

    The published networks see each lead over its own range, as published, and have Adam at a constant rate.
    """
    names = [argument.removeprefix("model=") for argument in args.split(",") if argument.startswith("model=")]
    reader = "activation_reader" if config.task == "activation_map" else "potential_reader"
    config.model.name = names[-1] if names else reader  # the group below that makes the network
    if config.model.name == reader:
        config.optimizer.weight_decay = 0.1
        config.schedule.learning_rate = 2e-3
        config.ema_decay = 0.998
        options.scaling = "standard"
        options.max_shift_ms = 10.0
        options.noise_mv = 0.01
        options.rotation_rad = options.elongation = options.gain = 0.1
        options.displacement = 0.03
        if config.task == "activation_map":
            options.stretch = 0.08
        return
    config.optimizer.name = "adam"
    config.optimizer.weight_decay = 0.0
    config.optimizer.clip_norm = 10.0
    config.schedule.name = "constant"
    config.schedule.warmup_fraction = 0.0
    options.scaling = "lead_range"


def _add_encoder(options: ConfigDict) -> None:
    options.num_samples = 500  # of a beat that are read
    options.fine = 2  # samples averaged first
    options.features = (64, 64, 96, 128)  # channels of each convolution, all with a stride of 2
    options.kernel_size = 5  # averages that they reach over
    options.hidden = 768  # width of the layers over the whole beat
    options.num_blocks = 2  # residual blocks over it
    options.dropout_rate = 0.4  # within the blocks
