"""Figures of an elimination, against scikit-learn, and the tasks that have any."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, mean_absolute_error, roc_auc_score

from ecgjax.elimination.scoring import CRITERIA, criterion_of
from ecgjax.errors import InputError


@pytest.mark.parametrize(
    ("name", "reference"), [("macro_auroc", roc_auc_score), ("macro_auprc", average_precision_score)]
)
def test_labels_and_their_mean(name, reference):
    rng = np.random.default_rng(0)
    targets = (rng.uniform(size=(60, 3)) < 0.3).astype(np.int8)
    targets[:, 1] = 0
    scores = rng.uniform(size=(60, 3)).round(1)
    weights = np.stack([np.ones(60), rng.integers(0, 3, 60)])
    found = CRITERIA[name].figures(targets, scores, weights)
    assert found.shape == (4, 2)
    for replicate, weight in enumerate(weights):
        expected = [reference(targets[:, c], scores[:, c], sample_weight=weight) for c in (0, 2)]
        np.testing.assert_allclose(found[[1, 3], replicate], expected)
        assert found[0, replicate] == pytest.approx(np.mean(expected))
    assert np.isnan(found[2]).all()
    np.testing.assert_array_equal(CRITERIA[name].cost(found[0]), -found[0])


def test_years():
    rng = np.random.default_rng(0)
    targets, scores, weights = rng.normal(size=30), rng.normal(size=30), rng.integers(0, 4, (2, 30))
    criterion = criterion_of("age", None)
    assert criterion.figure_names(("age_years",)) == ("mean",)
    for replicate, weight in enumerate(weights):
        expected = mean_absolute_error(targets, scores, sample_weight=weight)
        assert criterion.figures(targets, scores, weights)[0, replicate] == pytest.approx(expected)


def test_other_tasks_and_figures_are_refused():
    assert criterion_of("diagnosis", None).name == "macro_auroc"
    with pytest.raises(InputError, match="leads are eliminated for diagnosis and age, not for lead_id; give a run of"):
        criterion_of("lead_id", None)
    with pytest.raises(InputError, match="'mae_years' is no figure of diagnosis; use --metric=macro_auroc|macro_auprc"):
        criterion_of("diagnosis", "mae_years")
