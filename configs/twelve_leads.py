"""Options of the tasks that read diagnoses or numbers from the twelve leads."""

from ml_collections import ConfigDict

from configs import common


def add_view(config: ConfigDict, options: ConfigDict) -> None:
    """Adds to `options`, the task's group of `config`, what the network is shown, and what that needs."""
    options.view = "signal"  # what the network sees: the whole signal or the average beat (with data.crop_s=10)
    options.leads = "all"  # leads it is shown, see ecgjax.leads.lead_subset; the others are zero unless they follow
    options.random_leads = 0.5  # share of training records that show a random subset of these; it also regularises
    options.rotation_rad = 0.0  # deviation of a random turn of the heart about each axis
    options.elongation = 0.0  # deviation of the logarithm of the length of each axis of its dipole
    options.displacement = 0.0  # of chest electrodes, as a share of their distance
    options.gain = 0.0  # deviation of the logarithm of the gain
    options.noise_mv = 0.0  # level of noise at the electrodes
    options.lead_noise_mv = 0.0  # highest level of noise of each lead alone
    options.stretch = 0.0  # deviation of the logarithm of a stretch in time, which also changes rates and intervals
    common.add_beat(config)
