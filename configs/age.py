"""Age: ten seconds of twelve leads -> years, as one number or as a normal distribution.

python -m ecgjax.main --config=configs/age.py                        simulated records
python -m ecgjax.main --config=configs/age.py:ptbxl                  PTB-XL, prepared by data_prep
python -m ecgjax.main --config=configs/age.py:ptbxl,loss=gaussian    with a spread

On two CPU cores (AMD EPYC), 1,200 steps take half a minute. Mean absolute error on the test split: PTB-XL
(1,490 training and 123 test records) 8.0 to 8.1 years, seeds 0 to 2; simulated records 10.5 (seed 0).
"""

from ml_collections import ConfigDict

from configs import common, networks, twelve_leads


def get_config(args: str = "") -> ConfigDict:
    """ARGS: a dataset, `smoke`, `loss=`, `leads=` (a set, or names with `+` between them), `model=`, `seed=`, `steps=`,
    `kfold=`."""
    config = common.base()
    config.task = "age"
    config.batch_size = 128
    config.num_steps = 1200
    config.data.crop_s = 10.0
    config.preprocess.filter = "bandpass"
    config.optimizer.weight_decay = 0.05
    config.schedule.learning_rate = 3e-3
    config.ema_decay = 0.998
    config.log_every = 50
    config.eval_every = 100
    config.checkpoint_every = 400
    config.select.metric = "mae_years"
    config.select.mode = "min"

    config.age = ConfigDict()
    config.age.loss = "l1"  # l1 (absolute error), or gaussian (likelihood of a mean and a spread)
    config.age.centre_years = 60.0  # age at which an output is 0
    config.age.spread_years = 17.0  # years for an output of 1
    twelve_leads.add_view(config, config.age)
    options = config.age
    options.rotation_rad = options.elongation = options.displacement = 0.05
    options.gain = 0.1
    options.noise_mv = 0.03
    options.stretch = 0.05

    config.model = ConfigDict()
    networks.add_networks(config)
    networks.use_recipe(config, args)

    shorthands = {
        "loss": "age.loss",
        "leads": "age.leads",
        "model": "model.name",
        "seed": "seed",
        "steps": "num_steps",
        "kfold": "kfold",
    }
    common.parse_args(config, args, shorthands)
    return config
