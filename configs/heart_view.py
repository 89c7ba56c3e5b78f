"""Options of the tasks that look behind the electrodes: what their networks are shown."""

from ml_collections import ConfigDict

from ecgjax.data import intracardiac


def add_records(config: ConfigDict) -> None:
    """Records as hearts have them: half a second at 1,000 Hz."""
    config.data.name = "simulated_hearts"
    config.data.variant = "full"
    config.data.seconds = config.data.crop_s = intracardiac.NUM_SAMPLES / intracardiac.FS_HZ
    config.preprocess.fs_hz = intracardiac.FS_HZ


def add_view(config: ConfigDict, options: ConfigDict) -> None:
    """Adds to `options`, the task's group of `config`, what the network is shown; see ecgjax/tasks/heart_view.py."""
    options.scaling = "lead_range"  # none, lead_range (as published), record_range, global_range or standard
    options.range_mv = 9.7  # global_range: what signals are divided by; this and what follows are of simulated_hearts
    options.mean_mv = (0.09, 0.12, 0.03, -0.11, 0.03, 0.07, 0.04, 0.12, 0.11, 0.09, 0.08, 0.07)  # standard: of each ...
    options.sd_mv = (0.37, 0.32, 0.49, 0.25, 0.40, 0.37, 0.41, 0.45, 0.40, 0.34, 0.31, 0.28)  # ... lead, its deviation
    options.leads = "all"  # leads it is shown, see ecgjax.leads.lead_subset; the others are zero unless they follow
    options.random_leads = 0.0  # share of training records that show a random subset of these
    options.max_shift_ms = 0.0  # longest delay of a training record, with its targets; 40 as published for times
    options.rotation_rad = 0.0  # deviation of a random turn of the heart about each axis
    options.elongation = 0.0  # deviation of the logarithm of the length of each axis of its dipole
    options.displacement = 0.0  # of chest electrodes, as a share of their distance
    options.gain = 0.0  # deviation of the logarithm of the gain
    options.noise_mv = 0.0  # level of noise at the electrodes
