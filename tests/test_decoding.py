import itertools

import jax
import numpy as np
from scipy.optimize import linear_sum_assignment

from ecgjax import decoding


def log_probabilities(*shape):
    return np.asarray(jax.nn.log_softmax(np.random.default_rng(0).normal(size=shape).astype(np.float32)))


def test_assignment_is_the_best_of_all():
    logits = log_probabilities(20, 4, 4)
    found = np.asarray(decoding.assigned(logits))
    orders = np.array(list(itertools.permutations(range(4))))
    sums = logits[:, np.arange(4), orders].sum(axis=2)
    np.testing.assert_array_equal(found, orders[sums.argmax(axis=1)])


def test_assignment_agrees_with_scipy_also_with_more_names_than_leads():
    logits = log_probabilities(3, 5, 7, 12)
    found = np.asarray(decoding.assigned(logits))
    expected = [[linear_sum_assignment(-matrix)[1] for matrix in row] for row in logits]
    np.testing.assert_array_equal(found, expected)


def test_most_probable_names_may_repeat():
    logits = np.log(np.array([[0.9, 0.1], [0.8, 0.2]]))
    np.testing.assert_array_equal(decoding.most_probable(logits), [0, 0])
    np.testing.assert_array_equal(decoding.assigned(logits), [0, 1])
