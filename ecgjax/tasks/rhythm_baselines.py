"""What a network has to beat at rhythms: the most frequent class, and gradient-boosted trees on measured features."""

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from ecgjax.data.rhythms import CLASSES
from ecgjax.data.split import Split
from ecgjax.tasks.rhythm_features import measured

_NUM_ITERATIONS = 150
_LEARNING_RATE = 0.06
_MOST_LEAVES = 12
_FEWEST_IN_LEAF = 10
_RIDGE = 1.0
_FEATURES_OF_A_SPLIT = 0.3
"""Among which each split of a tree chooses."""


def class_scores(train: Split, classes: np.ndarray, test: Split, most_records: int, seed: int) -> dict[str, np.ndarray]:
    """Method -> probabilities `[test record, class]`; `classes` `[train record]`.

    `majority_class` gives every recording the shares of the training recordings; `features` are boosted trees on what
    `rhythm_features` measures of at most `most_records` of them, drawn at random.
    """
    share = np.bincount(classes, minlength=len(CLASSES)) / len(classes)
    drawn = np.random.default_rng(seed).permutation(len(classes))[:most_records]
    model = HistGradientBoostingClassifier(
        learning_rate=_LEARNING_RATE,
        max_iter=_NUM_ITERATIONS,
        max_leaf_nodes=_MOST_LEAVES,
        min_samples_leaf=_FEWEST_IN_LEAF,
        l2_regularization=_RIDGE,
        max_features=_FEATURES_OF_A_SPLIT,
        early_stopping=False,
        random_state=seed,
    )
    scores = np.zeros((len(test), len(CLASSES)))
    known = np.unique(classes[drawn])
    if len(known) == 1:
        scores[:, known] = 1.0
    else:
        # Threads that wait for each other at every split are slow where something else computes, too.
        with threadpool_limits(1, "openmp"):
            model.fit(measured(train.select(drawn)), classes[drawn])
            scores[:, known] = model.predict_proba(measured(test))
    return {"majority_class": np.tile(share, (len(test), 1)), "features": scores}
