"""Tables in Markdown."""

import numpy as np

from ecgjax.analysis.markdown import table, value_and_interval
from ecgjax.metrics import Metric


def test_table_aligns_its_columns():
    assert table(["name", "n"], [["a|b", 12], ["longer", "7"]]).splitlines() == [
        "| name   |   n |",
        "| ------ | --: |",
        "| a\\|b   |  12 |",
        "| longer |   7 |",
    ]


def test_values_with_and_without_intervals():
    assert value_and_interval(Metric(0.98765, (0.9, 1.0), 5)) == "0.988 (0.900 to 1.000)"
    assert value_and_interval(Metric(0.5, None, 5)) == "0.500"
    assert value_and_interval(Metric(np.nan, None, 5)) == value_and_interval(None) == "-"
