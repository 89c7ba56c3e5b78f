"""Heart rate: ten seconds of twelve leads -> beats a minute.

python -m ecgjax.main --config=configs/heart_rate.py
"""

from ml_collections import ConfigDict

from configs import common, networks


def get_config(args: str = "") -> ConfigDict:
    """ARGS: a dataset, `smoke`, `model=`, `seed=`, `steps=`."""
    config = common.base()
    config.task = "heart_rate"
    config.num_steps = 500
    config.preprocess.filter = "bandpass"
    config.select.metric = "mae_bpm"

    config.heart_rate = ConfigDict()
    config.heart_rate.centre_bpm = 75.0  # rate at which an output is 0
    config.heart_rate.spread_bpm = 20.0  # beats a minute for an output of 1
    config.heart_rate.noise_mv = 0.03  # highest level of noise of each lead

    common.add_beat(config)
    config.model = ConfigDict()
    networks.add_networks(config)
    config.model.name = "beat_net"

    config.model.strided_cnn = ConfigDict()  # see ecgjax/models/strided_cnn.py
    config.model.strided_cnn.features = (32, 64, 64)  # channels of each convolution
    config.model.strided_cnn.kernel_size = 9  # samples that each spans
    config.model.strided_cnn.stride = 3  # by which each shortens the signal

    shorthands = {"model": "model.name", "seed": "seed", "steps": "num_steps"}
    common.parse_args(config, args, shorthands)
    return config
