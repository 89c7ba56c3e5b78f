"""Lead identification: leads recorded together, in any order -> the name of each.

python -m ecgjax.main --config=configs/lead_id.py                       twelve leads, simulated records
python -m ecgjax.main --config=configs/lead_id.py:ptbxl                 PTB-XL, prepared by data_prep
python -m ecgjax.main --config=configs/lead_id.py:ptbxl,leads=precordial
"""

from ml_collections import ConfigDict

from configs import common
from ecgjax.leads import LEAD_SETS

SWEEPS = {
    "lead_sets": ("lead_id.leads", tuple(LEAD_SETS)),
    "contexts": (
        "model.lead_set_net.context",
        ("sab", "isab", "deepsets", "none"),
        {"model.name": "lead_set_net"},
    ),
    "encoders": (
        "model.lead_set_net.encoder",
        ("inception_gru", "cnn_gru", "gru", "inception", "cnn"),
        {"model.name": "lead_set_net"},
    ),
}
"""Name of a series of runs -> the field that varies, its values, and fields that are the same for all."""


def get_config(args: str = "") -> ConfigDict:
    """ARGS: a dataset, `smoke`, `leads=` (a set, or names with `+` between them), `model=original`, `seed=`, `steps=`,
    `kfold=`."""
    config = common.base()
    config.task = "lead_id"
    config.batch_size = 128
    config.num_steps = 1200
    config.data.crop_s = 5.0
    config.preprocess.filter = "bandpass"
    config.optimizer.weight_decay = 0.05
    config.schedule.learning_rate = 3e-3
    config.ema_decay = 0.998
    config.log_every = 50
    config.eval_every = 300
    config.checkpoint_every = 300
    config.select.metric = "loss"
    config.select.mode = "min"

    common.add_beat(config)

    config.lead_id = ConfigDict()
    config.lead_id.leads = "all"  # which leads: a set of ecgjax/leads.py by name, or a list such as "I,II,V1"
    config.lead_id.view = "beat"  # what the network sees: the average beat or the whole signal
    config.lead_id.min_leads = 0  # fewest leads that a training record shows, drawn anew each time; 0 shows all
    config.lead_id.rotation_rad = 0.4  # deviation of a random turn of the heart about each axis
    config.lead_id.elongation = 0.4  # deviation of the logarithm of the length of each axis of its dipole
    config.lead_id.displacement = 0.3  # of chest electrodes, as a share of their distance
    config.lead_id.gain = 0.2  # deviation of the logarithm of the gain
    config.lead_id.noise_mv = 0.02  # level of noise at the electrodes
    config.lead_id.lead_noise_mv = 0.03  # highest level of noise of each lead alone, which breaks Einthoven's law
    config.lead_id.stretch = 0.07  # deviation of the logarithm of a stretch of the beat in time

    config.model = ConfigDict()
    config.model.name = "arrangement_net"  # arrangement_net or lead_set_net
    config.model.arrangement_net = ConfigDict()  # see ecgjax/models/arrangement_net.py
    config.model.arrangement_net.leads = config.lead_id.get_ref("leads")  # follows lead_id.leads
    config.model.arrangement_net.patch = 8  # samples of the pieces of the average beat
    config.model.arrangement_net.features = 64  # width of a piece's embedding
    config.model.arrangement_net.hidden = 128  # width of all other layers
    config.model.arrangement_net.num_blocks = 2  # residual blocks for each lead
    config.model.arrangement_net.num_pair_blocks = 1  # and for each pair of chest leads
    config.model.arrangement_net.fine_gain = 5.0  # of the second, compressed view of the beat
    config.model.arrangement_net.dropout_rate = 0.3  # in the blocks
    config.model.lead_set_net = ConfigDict()  # see ecgjax/models/lead_set_net.py
    config.model.lead_set_net.encoder = "inception_gru"  # of each lead: cnn, inception, gru, cnn_gru or inception_gru
    config.model.lead_set_net.context = "sab"  # what leads learn from each other: sab, isab, deepsets or none
    config.model.lead_set_net.features = 64  # width between the two; 128 in the published network for V1..V6
    config.model.lead_set_net.num_blocks = 5  # attention blocks
    config.model.lead_set_net.num_heads = 8  # of attention
    config.model.lead_set_net.num_inducing = 16  # learned vectors of an isab block
    config.model.lead_set_net.dropout_rate = 0.0  # of the encoder's output

    shorthands = {
        "leads": "lead_id.leads",
        "model": "model.name",
        "seed": "seed",
        "steps": "num_steps",
        "kfold": "kfold",
    }
    if "model=original" in args.split(","):
        _use_original_network(config)
    common.parse_args(config, args, shorthands)
    if config.model.name == "original":
        config.model.name = "lead_set_net"
    return config


def _use_original_network(config: ConfigDict) -> None:
    """The published network, trained as published but for the filter and crops of half the length."""
    config.batch_size = 38
    config.num_steps = 980  # 25 epochs of 1,490 records
    config.log_every = 49
    config.eval_every = 196
    config.checkpoint_every = 98
    config.evaluation.batch_size = 38
    config.optimizer.weight_decay = 1e-4
    config.optimizer.clip_norm = 0.0
    config.schedule.learning_rate = 7e-4
    config.schedule.warmup_fraction = 0.0
    config.ema_decay = 0.0
    options = config.lead_id
    options.view = "signal"
    for name in ("rotation_rad", "elongation", "displacement", "gain", "noise_mv"):
        options[name] = 0.0
    options.lead_noise_mv = 0.015
