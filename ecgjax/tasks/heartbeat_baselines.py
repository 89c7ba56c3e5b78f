"""What a network has to beat at heartbeats: the most frequent class, and gradient-boosted trees on what it sees."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from ecgjax.data.resident import Resident, resident, whole_record
from ecgjax.data.split import Split
from ecgjax.tasks.heartbeat_view import NUM_INTERVALS, HeartbeatView

_BEATS_PER_CHUNK = 2048
_NUM_ITERATIONS = 50
_LEARNING_RATE = 0.2
_MOST_LEAVES = 15
_MOST_BINS = 63


def class_scores(
    train: tuple[Split, dict[str, np.ndarray]],
    test: tuple[Split, dict[str, np.ndarray]],
    num_classes: int,
    shown: HeartbeatView,
    most_beats: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """Method -> probabilities `[test beat, class]`; `train` and `test` come with their targets.

    `majority_class` gives every beat the shares of the training beats. `boosted_trees` learn from at most `most_beats`,
    of which each class has as many as it can without another having more for it, and all classes weigh the same.
    """
    split, targets = train
    classes = targets["classes"]
    share = np.bincount(classes, minlength=num_classes) / len(classes)
    drawn = drawn_evenly(classes, most_beats, seed)
    seen = inputs(split.select(drawn), {name: values[drawn] for name, values in targets.items()}, shown)
    model = HistGradientBoostingClassifier(
        learning_rate=_LEARNING_RATE,
        max_iter=_NUM_ITERATIONS,
        max_leaf_nodes=_MOST_LEAVES,
        max_bins=_MOST_BINS,
        class_weight="balanced",
        early_stopping=False,
        random_state=seed,
    )
    scores = np.zeros((len(test[0]), num_classes))
    known = np.unique(classes[drawn])
    if len(known) == 1:
        scores[:, known] = 1.0
    else:
        # Threads that wait for each other at every split are slow where something else computes, too.
        with threadpool_limits(1, "openmp"):
            scores[:, known] = model.fit(seen, classes[drawn]).predict_proba(inputs(*test, shown))
    return {"majority_class": np.tile(share, (len(scores), 1)), "boosted_trees": scores}


def inputs(split: Split, targets: dict[str, np.ndarray], shown: HeartbeatView) -> np.ndarray:
    """`[beat, feature]`: the samples that the network is shown, and the intervals between beats where it sees them."""
    data = resident(split, targets)

    @jax.jit
    def seen(data: Resident, index: jax.Array) -> jax.Array:
        signal = jax.vmap(lambda record: shown.evaluation_signal(whole_record(data, record)))(index)
        if shown.view == "cut":
            return signal[..., 0]
        samples = signal[..., :-NUM_INTERVALS].reshape(len(signal), -1)
        return jnp.concatenate([samples, signal[:, 0, -NUM_INTERVALS:]], axis=1)

    size = min(_BEATS_PER_CHUNK, len(split))
    # The last chunk is filled up with the first beat, so that all have one shape.
    index = np.pad(np.arange(len(split)), (0, -len(split) % size))
    return np.concatenate([seen(data, chunk) for chunk in index.reshape(-1, size)])[: len(split)]


def drawn_evenly(classes: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Indices of at most `most` of `classes` `[n]`: the rare ones whole, and equally many of each other."""
    shuffled = np.random.default_rng(seed).permutation(len(classes))
    by_class = [shuffled[classes[shuffled] == k] for k in np.unique(classes)]
    kept, left = [], most
    for number, members in enumerate(sorted(by_class, key=len)):
        kept.append(members[: left // (len(by_class) - number)])
        left -= len(kept[-1])
    return np.sort(np.concatenate(kept))
