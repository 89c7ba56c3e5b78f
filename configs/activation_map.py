"""Activation maps: twelve leads of one beat -> the times at which 75 sites of the heart fire.

python -m ecgjax.main --config=configs/activation_map.py                       simulated hearts, others in each split
python -m ecgjax.main --config=configs/activation_map.py:intracardiac          the published ones, by heart
python -m ecgjax.main --config=configs/activation_map.py:intracardiac/patterns by activation pattern

5,000 steps took 42 minutes on two CPU cores (AMD EPYC) that much other work shared. Simulated hearts it has not seen:
mean absolute error 3.9 ms (seed 0).
"""

from ml_collections import ConfigDict

from configs import common, heart_networks, heart_view


def get_config(args: str = "") -> ConfigDict:
    """ARGS: a dataset, `smoke`, `model=`, `loss=`, `leads=` (a set, or names with `+` between them), `seed=`, `steps=`,
    `kfold=`."""
    config = common.base()
    config.task = "activation_map"
    heart_view.add_records(config)
    config.batch_size = 128
    config.num_steps = 5000
    config.eval_every = 250
    config.checkpoint_every = 500
    config.select.metric = "mae_ms"
    config.select.mode = "min"

    config.activation_map = ConfigDict()
    options = config.activation_map
    options.loss = "l1"  # l1, mse (as published) or huber, over the sites that fire
    options.huber_ms = 3.0  # where huber turns from a parabola to a line
    options.centre_ms = 85.0  # time at which an output is 0
    options.spread_ms = 35.0  # ms for an output of 1
    options.stretch = 0.0  # deviation of the logarithm of the duration of a training record, with its targets
    heart_view.add_view(config, options)

    config.model = ConfigDict()
    heart_networks.add_networks(config)
    heart_networks.use_recipe(config, options, args)

    shorthands = {"model": "model.name", "loss": "activation_map.loss", "leads": "activation_map.leads"}
    common.parse_args(config, args, shorthands | {"seed": "seed", "steps": "num_steps", "kfold": "kfold"})
    return config
