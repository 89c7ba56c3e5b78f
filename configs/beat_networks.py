"""Options of the networks from one heartbeat to any outputs."""

from ml_collections import ConfigDict


def add_networks(config: ConfigDict) -> None:
    """Adds a group of options for each network to `config.model`; `config.model.name` chooses one."""
    config.model.beat_reader = ConfigDict()  # see ecgjax/models/beat_reader.py
    config.model.beat_reader.fine_samples = (40, 104)  # shown sample by sample: around R at 63; 0-64 for the cut view
    config.model.beat_reader.hidden = 128  # width of the layers
    config.model.beat_reader.dropout_rate = 0.3  # after the hidden layers

    config.model.beat_cnn = ConfigDict()  # see ecgjax/models/beat_cnn.py
    config.model.beat_cnn.features = (128, 64, 32)  # channels of each convolution
    config.model.beat_cnn.hidden = (512, 216)  # width of each dense layer before the output
    config.model.beat_cnn.negative_slope = 0.001  # of the leaky rectifiers
    config.model.beat_cnn.dropout_rate = 0.3  # before the dense layers; 0.5 as published for two classes

    config.model.kachuee_net = ConfigDict()  # see ecgjax/models/kachuee_net.py
    config.model.kachuee_net.features = 32  # channels of all convolutions, and width of both dense layers
    config.model.kachuee_net.num_blocks = 5  # residual blocks, each of which halves the rate

    config.model.gaf_net = ConfigDict()  # see ecgjax/models/gaf_net.py
    config.model.gaf_net.image_size = 64  # samples to which a beat is resampled; 224 as published, 12 times as slow
    config.model.gaf_net.features = (64, 32, 16)  # channels of each convolution; 128, 64, 32 published for two classes
    config.model.gaf_net.pooled_size = 8  # rows and columns that the dense layers read
    config.model.gaf_net.hidden = (512, 216)  # width of each dense layer before the output
    config.model.gaf_net.negative_slope = 0.001  # of the leaky rectifiers
    config.model.gaf_net.dropout_rate = 0.3  # before the dense layers
