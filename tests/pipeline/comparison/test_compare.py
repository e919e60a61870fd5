"""pipeline/comparison/compare.py: differences to the first method, and what chance gives."""

import math

import numpy as np
import pytest

from pipeline.comparison.compare import Comparison, differences_to_first
from pipeline.comparison.configured_methods import ConfiguredMethod
from pipeline.comparison.run_all import MethodResult, SeedResult
from pipeline.scoring.metrics import ClassRecalls
from pipeline.settings.tree import load_settings


def result(key: str, zero_shot: list[list[float]]) -> MethodResult:
    """Make the result of a method with one seed per list of recalls, which count for S and U too."""
    seeds = []
    for number, recalls in enumerate(zero_shot):
        mean = sum(recalls) / len(recalls) if recalls else math.nan
        metrics = {"fused": dict.fromkeys(("S", "U", "HM", "ZSL"), mean)}
        values = np.array(recalls)
        of_classes = ClassRecalls(seen=values, unseen=values, zero_shot=values)
        seeds.append(SeedResult(number, f"{key}-{number}", 1, metrics, of_classes))
    method = ConfiguredMethod(key, key.upper(), load_settings(options={"training.seeds": [0]}))
    return MethodResult(method, tuple(seeds), "fused", 25.0, 10, math.nan, ())


def test_a_difference_is_that_of_the_means_over_the_seeds() -> None:
    """The first method has none; a method that is better in every class has an interval above 0."""
    first, better = result("a", [[10, 20], [20, 30]]), result("b", [[40, 50]])
    found = differences_to_first([first, better])
    assert set(found) == {"b"}
    assert found["b"]["HM"].value == pytest.approx(45 - 20)
    assert found["b"]["ZSL"].interval[0] > 0


def test_without_unseen_classes_their_metrics_are_not_compared() -> None:
    """Neither a difference nor chance is defined."""
    first, other = result("a", [[]]), result("b", [[]])
    found = differences_to_first([first, other])["b"]["ZSL"]
    assert math.isnan(found.value)
    assert all(math.isnan(limit) for limit in found.interval)
    comparison = Comparison((first,), {}, {"classes": {"seen": 4, "unseen": 0}})
    assert comparison.chance["S"] == 25
    assert math.isnan(comparison.chance["U"])
    assert math.isnan(comparison.chance["HM"])


@pytest.mark.parametrize(("seen", "unseen"), [(3, 1), (40, 10)])
def test_chance_is_one_divided_by_the_number_of_classes(seen: int, unseen: int) -> None:
    """A guess among all classes."""
    comparison = Comparison((result("a", [[1, 2]]),), {}, {"classes": {"seen": seen, "unseen": unseen}})
    assert comparison.chance["S"] == comparison.chance["U"] == comparison.chance["HM"] == 100 / (seen + unseen)
    assert comparison.chance["ZSL"] == 25
