"""Figures of runs that differ by their seed alone: mean and sample standard deviation."""

import math
import statistics
from collections.abc import Mapping, Sequence

FIGURES = ("S", "U", "HM", "ZSL")


def mean_and_deviation(runs: Sequence[Mapping[str, float | None]]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and sample standard deviation (n - 1 in the denominator) of S, U, HM and ZSL over runs.

    A figure that is not defined in every run has a mean of NaN; the deviation of a single run is NaN.
    """
    mean: dict[str, float] = {}
    deviation: dict[str, float] = {}
    for name in FIGURES:
        known = [value for run in runs if (value := run.get(name)) is not None and math.isfinite(value)]
        everywhere = len(known) == len(runs)
        mean[name] = statistics.fmean(known) if everywhere else math.nan
        deviation[name] = statistics.stdev(known) if everywhere and len(runs) > 1 else math.nan
    return mean, deviation
