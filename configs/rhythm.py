"""The rhythm of a recording in one lead: sinus rhythm, atrial fibrillation, another rhythm, or too noisy to tell.

python -m ecgjax.main --config=configs/rhythm.py                       simulated recordings
python -m ecgjax.main --config=configs/rhythm.py:cinc2017              PhysioNet/CinC Challenge 2017, one fold of five
python -m ecgjax.main --config=configs/rhythm.py:cinc2017,fold=3       another fold
python -m ecgjax.main --config=configs/rhythm.py:cinc2017,init=runs/rhythm     begins with the run on simulated ones
python -m ecgjax.main --config=configs/rhythm.py:cinc2017,model=residual34     the published network

1,000 steps on simulated recordings take three minutes on two CPU cores (AMD EPYC), 1,800 on those of CinC 2017 five.
Mean F1 of N, A and O: simulated 0.988; fold 0 of 2,603 recordings of CinC 2017, from the weights of the run on
simulated ones, 0.842 (seed 0).
"""

from ml_collections import ConfigDict

from configs import common, rhythm_networks

SHORTHANDS = {
    "fold": "data.fold",
    "model": "model.name",
    "weighting": "rhythm.weighting",
    "init": "init",
    "seed": "seed",
    "steps": "num_steps",
    "kfold": "kfold",
}


def get_config(args: str = "") -> ConfigDict:
    """ARGS: a dataset, `smoke`, `fold=`, `model=`, `weighting=`, `init=` (a run to begin with), `seed=`, `steps=`,
    `kfold=`."""
    config = for_dataset("simulated_rhythms", "full", args)
    if any(argument.startswith("init=") for argument in args.split(",")):
        config.num_steps = 1800
        config.schedule.learning_rate = 1e-3
    if common.parse_args(config, args, SHORTHANDS):
        config.rhythm.baseline_records = 60
    return config


def for_dataset(name: str, variant: str, args: str) -> ConfigDict:
    """All options, with the recipe of the network that ARGS name."""
    config = common.base()
    config.task = "rhythm"
    config.data.name = name
    config.data.variant = variant
    config.data.seconds = 61.0  # the longest recording; shorter ones are padded
    config.data.crop_s = 30.0
    config.log_every = 50
    config.eval_every = 250
    config.checkpoint_every = 250
    config.evaluation.batch_size = 32
    config.select.metric = "f1_ano"
    config.select.mode = "max"

    config.rhythm = ConfigDict()
    options = config.rhythm
    rhythm_networks.add_view(options)
    options.weighting = "none"  # of a recording in the loss: none, inverse or sqrt_inverse to the size of its class
    options.label_smoothing = 0.0  # probability that is spread over all classes
    options.decision = "most_probable"  # or tuned: classes weighed so that the score on validation records is highest
    options.baseline_records = 2000  # training recordings that the boosted trees see at most

    config.model = ConfigDict()
    rhythm_networks.add_networks(config)
    rhythm_networks.use_recipe(config, args)
    return config
