"""Missing leads rebuilt: any of the twelve leads in, all twelve out, in mV.

python -m ecgjax.main --config=configs/reconstruction.py                       one network for every subset, simulated
python -m ecgjax.main --config=configs/reconstruction.py:ptbxl                 PTB-XL, prepared by data_prep
python -m ecgjax.main --config=configs/reconstruction.py:ptbxl,given=I+II+V2   a network for one set of given leads

On two CPU cores (AMD EPYC) that other work shared, 2,000 steps took five to eight minutes. Mean correlation of the
rebuilt chest leads on the 126 test records of PTB-XL, seeds 0 and 1: from I, II and V2 0.903 and 0.904, from I, II and
V3 0.907 and 0.909.
"""

from ml_collections import ConfigDict

from configs import common, networks

SETS = ("I+II+V2", "I+II+V3", "I+II", "I", "II", "I+II+V1+V5", "I+II+V2+V4", "I+II+V1+V3+V5")
"""Sets of given leads under which a network is judged."""

SWEEPS = {
    "losses": ("reconstruction.loss", ("l1", "l2", "huber")),
    "weightings": ("reconstruction.relative", (0.0, 0.5, 1.0)),
    "given_leads": ("reconstruction.given", ("random", "evaluated", "I+II+V2", "I+II+V3")),
}
"""Name of a series of runs -> the field that varies and its values."""


def get_config(args: str = "") -> ConfigDict:
    """ARGS: a dataset, `smoke`, `given=` (random, evaluated, or leads with `+` between them), `sets=` (such lists with
    `/` between them), `model=`, `seed=`, `steps=`, `kfold=`."""
    config = common.base()
    config.task = "reconstruction"
    config.batch_size = 64
    config.num_steps = 2000
    config.data.crop_s = 5.0
    config.preprocess.filter = "bandpass"
    config.optimizer.weight_decay = 0.05
    config.schedule.learning_rate = 3e-3
    config.ema_decay = 0.998
    config.log_every = 50
    config.eval_every = 500
    config.checkpoint_every = 500
    config.select.metric = "loss"
    config.select.mode = "min"
    config.evaluation.batch_size = 64

    common.add_beat(config)

    config.reconstruction = ConfigDict()
    config.reconstruction.evaluated = SETS  # given leads of each view of evaluation; the first has the plain names
    config.reconstruction.given = "random"  # in training: a random subset, one of `evaluated`, or leads such as I+II+V2
    config.reconstruction.loss = "l2"  # of the leads that do not follow from the given ones: l1, l2 or huber
    config.reconstruction.huber_mv = 0.1  # where huber turns from a parabola to a line
    config.reconstruction.relative = 1.0  # 0: errors count in mV; 1: as shares of the lead's deviation; or in between
    config.reconstruction.rotation_rad = 0.1  # deviation of a random turn of the heart about each axis
    config.reconstruction.elongation = 0.1  # deviation of the logarithm of the length of each axis of its dipole
    config.reconstruction.displacement = 0.1  # of chest electrodes, as a share of their distance
    config.reconstruction.gain = 0.2  # deviation of the logarithm of the gain
    config.reconstruction.noise_mv = 0.01  # level of noise at the electrodes, in what is shown alone
    config.reconstruction.restore_variance = 1.0  # share of lost variance that chest leads are given back; 0 is off

    config.model = ConfigDict()
    config.model.name = "lead_filler"  # lead_filler or uresnet
    config.model.lead_filler = ConfigDict()  # see ecgjax/models/lead_filler.py
    networks.add_beat_encoder(config, config.model.lead_filler)
    config.model.lead_filler.dropout_rate = 0.2  # in the joining layers
    config.model.lead_filler.num_sources = 8  # whose weighted sums the leads are
    config.model.lead_filler.stride = 10  # samples of the stretches that are read
    config.model.lead_filler.reach = 2  # stretches before and behind that are read with each
    config.model.lead_filler.width = 256  # of the path that reads them
    config.model.lead_filler.num_layers = 2  # of this path
    config.model.lead_filler.path_dropout_rate = 0.1  # in it
    config.model.uresnet = ConfigDict()  # see ecgjax/models/uresnet.py
    config.model.uresnet.leads = "all"  # that it is fed, see ecgjax.leads.lead_subset; as published those given alone
    config.model.uresnet.channels = (128, 196, 256, 320)  # of the encoder's units
    config.model.uresnet.dropout_rate = 0.2  # in the units

    shorthands = {"given": "reconstruction.given", "model": "model.name", "seed": "seed", "steps": "num_steps"}
    others = [argument for argument in args.split(",") if not argument.startswith("sets=")]
    common.parse_args(config, ",".join(others), {**shorthands, "kfold": "kfold"})
    for argument in args.split(","):
        if argument.startswith("sets="):
            config.reconstruction.evaluated = tuple(argument.removeprefix("sets=").split("/"))
    return config
