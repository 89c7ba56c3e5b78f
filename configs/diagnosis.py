"""Diagnosis: ten seconds of twelve leads -> the labels of the record, of which it may have several or none.

python -m ecgjax.main --config=configs/diagnosis.py                             six codes, simulated records
python -m ecgjax.main --config=configs/diagnosis.py:ptbxl,labels=superclass     PTB-XL, prepared by data_prep
python -m ecgjax.main --config=configs/diagnosis.py:ptbxl,leads=I+II+V2         with three leads of the twelve

On two CPU cores (AMD EPYC), 500 steps take 12 to 20 seconds. Macro AUROC on the test split, seeds 0 to 2: six codes of
PTB-XL (1,490 training and 126 test records) 0.969-0.977, superclasses 0.903-0.907; six codes of
simulated records 0.995 (seed 0).
"""

from ml_collections import ConfigDict

from configs import common, networks, twelve_leads
from ecgjax.scp import LABEL_SETS

SWEEPS = {"label_sets": ("diagnosis.labels", LABEL_SETS)}
"""Name of a series of runs -> the field that varies and its values."""

RHYTHM_SETS = {"labels=six", "labels=rhythm"}
"""Arguments that ask for labels of rhythm and conduction."""


def get_config(args: str = "") -> ConfigDict:
    """ARGS: a dataset, `smoke`, `labels=` (a set), `leads=` (a set, or names with `+` between them), `model=`, `seed=`,
    `steps=`, `kfold=`."""
    config = common.base()
    config.task = "diagnosis"
    config.batch_size = 128
    config.num_steps = 500
    config.data.crop_s = 5.0
    config.preprocess.filter = "bandpass"
    config.optimizer.weight_decay = 0.05
    config.schedule.learning_rate = 3e-3
    config.ema_decay = 0.998
    config.log_every = 50
    config.eval_every = 50
    config.checkpoint_every = 250
    config.select.metric = "macro_auroc"
    config.select.mode = "max"

    config.diagnosis = ConfigDict()
    config.diagnosis.labels = "six"  # set of labels: six, all, diagnostic, subclass, superclass, form or rhythm
    config.diagnosis.weighting = "none"  # of positives in the loss: none, or balanced (as much as all negatives)
    twelve_leads.add_view(config, config.diagnosis)
    options = config.diagnosis
    # Rhythm is the same in any body; other labels are read from shapes that a strong change would blur.
    is_rhythm = not RHYTHM_SETS.isdisjoint(args.split(",")) or "labels=" not in args
    options.rotation_rad, options.elongation, options.displacement = (0.35, 0.35, 0.3) if is_rhythm else (0.05,) * 3
    options.gain = 0.2 if is_rhythm else 0.1
    options.noise_mv = 0.03
    options.stretch = 0.05

    config.model = ConfigDict()
    networks.add_networks(config)
    networks.use_recipe(config, args)

    shorthands = {
        "labels": "diagnosis.labels",
        "leads": "diagnosis.leads",
        "model": "model.name",
        "seed": "seed",
        "steps": "num_steps",
        "kfold": "kfold",
    }
    common.parse_args(config, args, shorthands)
    return config
