"""The rhythm of a recording that went through paper: drawn as a strip, scanned, digitised, and then classified.

python -m ecgjax.main --config=configs/rhythm_image.py                              simulated recordings
python -m ecgjax.main --config=configs/rhythm_image.py:cinc2017                     PhysioNet/CinC Challenge 2017
python -m ecgjax.main --config=configs/rhythm_image.py:cinc2017,paper=75px-medium   half the resolution, damaged
python -m ecgjax.main --config=configs/rhythm_image.py:cinc2017,init=runs/rhythm    fine-tunes a run on raw signals

The digitised recordings are made first where they are absent, on all cores; `paper` is a height in pixels, a damage
(none, light, medium, heavy) and a way of reading (see ecgjax/images/strip_reading.py), such as 150px-none-otsu.

scripts/compare_paper.py trains raw and paper alike: fold 0 of 2,603 recordings of CinC 2017, 1,800 steps each from the
weights of the run on simulated ones, the mean F1 of N, A and O is 0.827 raw, 0.819 from strips and 0.808 from damaged
ones (seed 0; 7 to 9 minutes each on two CPU cores that other work shared).
"""

from ml_collections import ConfigDict

from configs import common, rhythm

SHORTHANDS = {**rhythm.SHORTHANDS, "paper": "data.variant"}


def get_config(args: str = "") -> ConfigDict:
    """ARGS: `simulated` or `cinc2017`, `smoke`, `paper=` (how recordings go through paper), `init=` (a run on raw
    signals to begin with), and the others of configs/rhythm.py."""
    arguments = ["cinc2017_paper" if argument == "cinc2017" else argument for argument in args.split(",")]
    # A dataset sets its own default variant, so that it has to come first.
    arguments.sort(key=lambda argument: argument.startswith("paper="))
    config = rhythm.for_dataset("simulated_paper", "150px", args)
    if any(argument.startswith("init=") for argument in arguments):
        _fine_tune(config)
    if common.parse_args(config, ",".join(arguments), SHORTHANDS):
        config.rhythm.baseline_records = 60
    return config


def _fine_tune(config: ConfigDict) -> None:
    """In two stages: the head alone, then all."""
    config.num_steps = 1000
    config.schedule.learning_rate = 5e-4
    config.freeze.weights = "^(?!head)"
    config.freeze.steps = 200
