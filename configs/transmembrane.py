"""Transmembrane potentials: twelve leads of one beat -> the potentials of 75 sites of the heart, every millisecond.

python -m ecgjax.main --config=configs/transmembrane.py                        simulated hearts, others in each split
python -m ecgjax.main --config=configs/transmembrane.py:intracardiac           the published ones, by heart
python -m ecgjax.main --config=configs/transmembrane.py:intracardiac/patterns  by activation pattern

1,500 steps take two minutes on two CPU cores (AMD EPYC). Simulated hearts it has not seen:
RMSE 11.3 mV, relative error 0.156 (seed 0).
"""

from ml_collections import ConfigDict

from configs import common, heart_networks, heart_view


def get_config(args: str = "") -> ConfigDict:
    """ARGS: a dataset, `smoke`, `model=`, `loss=`, `leads=` (a set, or names with `+` between them), `seed=`, `steps=`,
    `kfold=`."""
    config = common.base()
    config.task = "transmembrane"
    heart_view.add_records(config)
    config.batch_size = 32
    config.num_steps = 1500
    config.eval_every = 500
    config.checkpoint_every = 500
    config.evaluation.batch_size = 64
    config.evaluation.max_records = 128
    config.select.metric = "rmse_mv"
    config.select.mode = "min"

    config.transmembrane = ConfigDict()
    options = config.transmembrane
    options.loss = "mse"  # mse or l1, of scaled potentials
    options.vm_scaling = "unit"  # none (mV), unit (rest is 0, 50 mV is 1) or site_standard
    options.site_mean_mv = (-34.0,)  # site_standard: mean of each of the 75 sites, or one for all ...
    options.site_sd_mv = (49.0,)  # ... and its deviation
    options.upstroke_weight = 0.0  # by how much more the samples around a site's upstroke count
    options.upstroke_ms = 5.0  # reach of these, before and after
    heart_view.add_view(config, options)

    config.model = ConfigDict()
    heart_networks.add_networks(config)
    heart_networks.use_recipe(config, options, args)

    shorthands = {"model": "model.name", "loss": "transmembrane.loss", "leads": "transmembrane.leads"}
    common.parse_args(config, args, shorthands | {"seed": "seed", "steps": "num_steps", "kfold": "kfold"})
    return config
