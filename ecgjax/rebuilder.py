"""A trained reconstruction run, ready to rebuild leads of any record."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ecgjax import leads
from ecgjax.bundled import workdir_of
from ecgjax.errors import InputError
from ecgjax.evaluate import window_starts
from ecgjax.lead_completion import completion_matrices, learnt_leads
from ecgjax.preprocess import Preprocess
from ecgjax.tasks.reconstruction import EVALUATED, RANDOM, Reconstruction
from ecgjax.tasks.reconstruction_figures import named_for_set
from ecgjax.trained import load_trained, tuned_task
from ecgjax.workdir import RESULTS, read_config, read_results

_WINDOWS_AT_ONCE = 16


@dataclasses.dataclass(frozen=True)
class Rebuilder:
    """What rebuilds leads.

    Attributes:
      task: with factors from validation where they are asked for.
      preprocess: what is done to a record first, as in training.
      seconds: the time that the network is shown at once.
      apply: `[batch, time, 12]` shown leads -> `[batch, time, 8]`, the mean of all networks of the run.
      results: the run's `results.json`, empty where it has none.
    """

    task: Reconstruction
    preprocess: Preprocess
    seconds: float
    apply: Callable[[np.ndarray], jax.Array]
    results: dict[str, Any]

    def check(self, given: Sequence[str]) -> None:
        """Raises InputError where the network cannot rebuild what the leads `given` leave open."""
        if self.task.given == RANDOM:
            return
        trained = self.task.sets if self.task.given == EVALUATED else (leads.lead_subset(self.task.given),)
        if all(leads.derivable(names) != leads.derivable(given) for names in trained):
            known = ", ".join("+".join(names) for names in trained)
            raise InputError(
                f"the network was trained to rebuild from {known}, and given are {'+'.join(given)}",
                "use a run with given=random, or one for these leads",
            )

    def rebuilt(self, signal_mv: np.ndarray, given: Sequence[str]) -> np.ndarray:
        """`[record, time, 12]`, preprocessed, of which the leads `given` are read -> all twelve, in mV."""
        from_given, from_estimate = completion_matrices(given)
        return signal_mv @ from_given.T + self.estimate(signal_mv, given) @ from_estimate.T

    def estimate(self, signal_mv: np.ndarray, given: Sequence[str]) -> np.ndarray:
        """`[record, time, 12]`, preprocessed, of which the leads `given` are read -> I, II, V1..V6 `[record, time, 8]`.

        What is longer than `seconds` is cut into windows that overlap by half and fade into each other.
        """
        shown = (signal_mv @ leads.completion(given).T).astype(np.float32)
        num_records, time, _ = shown.shape
        length = round(self.seconds * self.preprocess.fs_hz)
        shown = np.pad(shown, ((0, 0), (0, max(length - time, 0)), (0, 0)))
        starts = window_starts(shown.shape[1], length, length // 2)
        cut = np.concatenate([shown[:, start : start + length] for start in starts])
        found = self._in_batches(cut).reshape(len(starts), num_records, length, -1)
        fade = np.bartlett(length + 2)[1:-1, None]
        total, weight = np.zeros((*shown.shape[:2], found.shape[-1])), np.zeros((shown.shape[1], 1))
        for start, window in zip(starts, found, strict=True):
            total[:, start : start + length] += fade * window
            weight[start : start + length] += fade
        estimate = (total / weight)[:, :time]
        gains, level = self.gains(given), estimate.mean(axis=1, keepdims=True)
        return level + gains * (estimate - level)

    def _in_batches(self, windows: np.ndarray) -> np.ndarray:
        """Few enough at once for any memory, and always as many, so that one program serves all."""
        size = min(_WINDOWS_AT_ONCE, len(windows))
        parts = []
        for start in range(0, len(windows), size):
            filled = np.resize(np.arange(start, min(start + size, len(windows))), size)
            parts.append(np.asarray(self.apply(windows[filled])))
        return np.concatenate(parts)[: len(windows)]

    def gains(self, given: Sequence[str]) -> np.ndarray:
        """[8]: the factors of the evaluated set that leaves the same leads open; ones where there is none."""
        view = self._view(given)
        if view is None:
            return np.ones(len(leads.INDEPENDENT_LEADS))
        return self.task.gains[view][leads.INDEPENDENT_COLUMNS]

    def _view(self, given: Sequence[str]) -> int | None:
        same = [leads.derivable(names) == leads.derivable(given) for names in self.task.sets]
        return same.index(True) if any(same) else None

    def expected(self, given: Sequence[str]) -> dict[str, dict[str, float]]:
        """Rebuilt lead -> its `pearson_r` and `rmse_mv` on the run's test records; empty where it was not judged."""
        view = self._view(given)
        if view is None or not self.results:
            return {}
        found = self.results["metrics"]
        return {
            lead: {
                figure: found[named_for_set(f"{figure}/{lead}", self.task.evaluated[view], view == 0)]["value"]
                for figure in ("pearson_r", "rmse_mv")
            }
            for lead in learnt_leads(given)
        }


def load_rebuilder(workdir: Path) -> Rebuilder:
    """The reconstruction run in `workdir`; `bundled` stands for that which comes with ecgjax.

    Raises:
      InputError: the folder holds no such run.
    """
    workdir = workdir_of(workdir, "reconstruction")
    config = read_config(workdir)
    if config.task != "reconstruction":
        raise InputError(f"{workdir} holds a run of {config.task}", "give the folder of a reconstruction run")
    trained = load_trained(workdir)
    task = tuned_task(trained.task, workdir)
    assert isinstance(task, Reconstruction)

    @jax.jit
    def mean(members: list[Any], shown: jax.Array) -> jax.Array:
        outputs = [jnp.asarray(trained.module.apply(variables, shown, is_training=False)) for variables in members]
        return jnp.mean(jnp.stack(outputs), axis=0, dtype=jnp.float32)

    # Weights are an argument: as constants they would take long to compile.
    members = jax.device_put(trained.members)
    results = read_results(workdir) if (workdir / RESULTS).exists() else {}
    return Rebuilder(task, trained.preprocess, config.data.seconds, lambda shown: mean(members, shown), results)
