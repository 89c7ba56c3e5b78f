"""A user's own labels: a folder of recordings and a CSV file -> classes, several labels, or numbers.

python -m ecgjax.main --config=configs/finetune.py --config.data.dir=FOLDER                     from the bundled network
python -m ecgjax.main --config=configs/finetune.py --config.data.dir=FOLDER --config.init=RUN   from another run
python -m ecgjax.main --config=configs/finetune.py --config.data.dir=FOLDER --config.init=      from scratch

What the labels are is found out and said, and so are the columns of files, patients and split; the group `labelled` has
fields to state them. Network, rate, filter and length of the signal are those of the run that is begun with. The folder
is only read: its records are prepared once below TFDS's default folder, which TFDS_DATA_DIR moves. docs/finetune.md
shows what it brings.
"""

from ml_collections import ConfigDict

from configs import common, networks, rhythm_networks, twelve_leads
from data_prep import labelled_folder


def get_config(args: str = "") -> ConfigDict:
    """ARGS: `smoke`, `init=` (a run, or bundled), `seed=`, `steps=`, `kfold=`."""
    config = common.base()
    config.task = "labelled"
    config.data.name = "labelled_folder"
    config.data.variant = ""  # follows from the contents of the folder; or the name of one that data_prep has prepared
    config.data.dir = ""  # the folder of recordings and labels
    config.init = "bundled"
    config.freeze.weights = "trunk"  # regular expression for names of weights, or all but those of the output
    config.freeze.steps = 100
    config.batch_size = 32
    config.num_steps = 400
    config.data.crop_s = 5.0
    config.preprocess.filter = "bandpass"
    config.optimizer.weight_decay = 0.05
    config.schedule.learning_rate = 1e-3
    config.ema_decay = 0.98
    config.log_every = 20
    config.eval_every = 20
    config.checkpoint_every = 100
    config.early_stopping.patience = 10

    config.labelled = ConfigDict()
    options = config.labelled
    options.csv = ""  # table of labels, a name in the folder or a path; "": the only one that names recordings
    options.file = ""  # its column of file or record names
    options.label = ""  # its columns of labels, with commas between them
    options.kind = ""  # classes (one of them), several (labels, 0 or 1 each) or numbers
    options.patient = ""  # its column of patients, of whom none is in two splits
    options.split = ""  # its column of train, validation and test
    options.validation_share = labelled_folder.VALIDATION_SHARE  # of the patients, where no column says so
    options.test_share = labelled_folder.TEST_SHARE  # the same for the test split
    options.split_seed = labelled_folder.SPLIT_SEED  # which patients these are
    options.fs_hz = 0.0  # rate of recordings that do not state it; 0 leaves it to the files
    options.units = ""  # of their samples, V, mV, uV or nV
    options.lead_names = ""  # of their columns, with commas between them
    options.lead = ""  # lead that a network for one lead reads; "" is the only one, or I of several
    options.skip_bad = False  # leave out recordings that cannot be read, and list them
    options.weighting = "none"  # of classes in the loss: none, or balanced (rare ones as much as frequent ones)
    # Found out when the run begins:
    options.folder = ""  # that of the recordings
    options.columns = ()  # of the labels
    options.classes = ()  # their names
    options.centre = ()  # of each number, its mean and ...
    options.spread = ()  # ... deviation in training records

    config.twelve_leads = ConfigDict()
    twelve_leads.add_view(config, config.twelve_leads)
    view = config.twelve_leads
    view.rotation_rad = view.elongation = view.displacement = 0.05
    view.gain = 0.1
    view.noise_mv = 0.03
    view.stretch = 0.05

    config.one_lead = ConfigDict()
    rhythm_networks.add_view(config.one_lead)
    config.one_lead.noise = 0.1
    config.one_lead.gain = 0.2
    config.one_lead.stretch = 0.05

    config.model = ConfigDict()
    config.model.name = "beat_net"  # without a run to begin with
    networks.add_networks(config)
    rhythm_networks.add_networks(config)

    common.parse_args(config, args, {"init": "init", "seed": "seed", "steps": "num_steps", "kfold": "kfold"})
    return config
