"""Which networks of a run may judge which records, and what they had to do with them before."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax.crossval import patient_folds
from ecgjax.data.split import Split
from ecgjax.experiment import load
from ecgjax.placements.evidence import Evidence, load_evidence
from ecgjax.workdir import member_runs, read_config

HELD_OUT = "held out"
OUT_OF_FOLD = "out of fold"
CHOSEN_ON = "chosen on"
TRAINED_ON = "trained on"
EXPLAINED = {
    HELD_OUT: "no network saw them or was chosen on them",
    OUT_OF_FOLD: "each was judged by the one network of the cross-validation that did not train on its patient, but "
    "was chosen on its fold",
    CHOSEN_ON: "no network trained on them, but the best checkpoint was chosen on them",
    TRAINED_ON: "in-sample: the network trained on them as rightly wired, so that it doubts too few of them; use a run "
    "with kfold",
}


@dataclasses.dataclass(frozen=True)
class Part:
    """Records, the evidence that judges them, and what its networks had to do with them, a key of EXPLAINED."""

    evidence: Evidence
    records: Split
    status: str


def together(members: list[Evidence]) -> Evidence:
    """The evidence of an ensemble: the mean log-likelihood of its members, which share their preprocessing."""
    if len(members) == 1:
        return members[0]

    def log_likelihood(signal_mv: jax.Array) -> jax.Array:
        each = jnp.stack([member.log_likelihood(signal_mv) for member in members])
        return jnp.mean(jax.nn.log_softmax(each, axis=-1), axis=0)

    return dataclasses.replace(members[0], log_likelihood=log_likelihood, of_likely=())


def parts(workdir: Path, split: str, dataset: str | None, data_dir: str | None) -> list[Part]:
    """The records of `split` of `dataset` in `data_dir` (those of the run where None), each with its judges.

    A cross-validated run judges the records it trained on by the network that left them out.
    """
    config = read_config(workdir)
    members = [load_evidence(folder) for _, folder in member_runs(config, workdir)]
    own = config.data.name, config.data.variant
    if dataset is not None:
        config.data.name, _, config.data.variant = dataset.partition("/")
    if data_dir is not None:
        config.data.dir = data_dir
    if config.data.name != own[0] or config.data.variant not in ("", own[1]):
        config.data.leave_out = ""
        return [Part(together(members), load(config, split), HELD_OUT)]
    wanted = ("train", "validation", "test") if split == "all" else (split,)
    found = []
    if config.kfold and wanted != ("test",):
        folds = patient_folds(config, load(config, "train"), load(config, "validation"))
        of_split = np.concatenate([load(config, name).record_ids for name in wanted if name != "test"])
        for evidence, (_, left_out) in zip(members, folds, strict=True):
            found.append(Part(evidence, left_out.select(np.isin(left_out.record_ids, of_split)), OUT_OF_FOLD))
    elif not config.kfold:
        status = {"train": TRAINED_ON, "validation": CHOSEN_ON}
        found = [Part(members[0], load(config, name), status[name]) for name in wanted if name != "test"]
    if "test" in wanted:
        found.append(Part(together(members), load(config, "test"), HELD_OUT))
    return [part for part in found if len(part.records)]
