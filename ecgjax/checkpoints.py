"""Checkpoints: the last and the best, through Orbax, as host arrays that know nothing of devices."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from orbax.checkpoint import checkpoint_managers

from ecgjax.errors import InputError
from ecgjax.parallel import to_host

Tree = Any


class Checkpoints:
    """The checkpoints of one run.

    Saving is asynchronous: a checkpoint counts once it is complete, and one that a killed process left incomplete is
    never seen. Kept are the last one and the one saved with the highest rank. Use as a context manager, so that
    saves end before the process does.
    """

    def __init__(self, directory: Path, config: Mapping[str, Any], writes: bool):
        self._config = config
        self._writes = writes
        self._manager = ocp.CheckpointManager(
            directory.absolute(),
            options=ocp.CheckpointManagerOptions(
                create=writes,
                cleanup_tmp_directories=writes,
                best_fn=_rank,
                preservation_policy=checkpoint_managers.AnyPreservationPolicy(
                    [checkpoint_managers.LatestN(1), checkpoint_managers.BestN(get_metric_fn=_rank, n=1)]
                ),
            ),
            item_handlers={
                "state": ocp.StandardCheckpointHandler(),
                "config": ocp.JsonCheckpointHandler(),
                "progress": ocp.JsonCheckpointHandler(),
            },
        )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *exception: object) -> None:
        self._manager.close()

    def latest_step(self) -> int | None:
        """Step of the last complete checkpoint; where it is to be resumed, the one that the first process sees."""
        step = self._manager.latest_step()
        if not self._writes or jax.process_count() == 1:
            return step
        # A shared disk may show others an older state of the folder.
        return int(multihost_utils.broadcast_one_to_all(np.int32(step or 0))) or None

    def save(self, step: int, state: Tree, progress: dict[str, Any], rank: float | None) -> None:
        """Begins to save; `rank` is given where this is the best state so far, higher than any before."""
        self._manager.save(
            step,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(to_host(state)),
                config=ocp.args.JsonSave(dict(self._config)),
                progress=ocp.args.JsonSave(progress),
            ),
            metrics={"rank": rank},
        )

    def restore(self, step: int, abstract_state: Tree) -> tuple[Tree, dict[str, Any]]:
        """Host arrays of the state shaped like `abstract_state`, and the progress saved with it."""
        target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), abstract_state)
        restored = self._manager.restore(
            step,
            args=ocp.args.Composite(state=ocp.args.StandardRestore(target), progress=ocp.args.JsonRestore()),
        )
        return restored.state, restored.progress

    def restore_best(self, abstract_state: Tree) -> tuple[Tree, int]:
        """The state with the best validation, or the last one where none was validated; and its step."""
        step = self._best_step()
        return self.restore(step, abstract_state)[0], step

    def restore_best_variables(self) -> Tree:
        """The variables of `restore_best` that evaluation uses, of whatever shapes they are."""
        step = self._best_step()
        state = self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore())).state
        return state["average"] or state["variables"]

    def _best_step(self) -> int:
        """Step of the best validation, or the last one where none was validated."""
        step = self.latest_step()
        if step is None:
            raise InputError(
                f"no complete checkpoint in {self._manager.directory}", "train first, or name another workdir"
            )
        progress = self._manager.restore(step, args=ocp.args.Composite(progress=ocp.args.JsonRestore())).progress
        return progress["best_step"] or step

    def wait(self) -> None:
        """Returns once everything begun is saved."""
        self._manager.wait_until_finished()


def _rank(metrics: dict[str, float | None]) -> float:
    return -np.inf if metrics["rank"] is None else metrics["rank"]
