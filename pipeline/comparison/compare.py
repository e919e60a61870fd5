"""Compare methods on the features of a workspace: figures over seeds, and differences to the first method."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pipeline.base.progress import Reporter, Stop, never_stop
from pipeline.base.workspace import Workspace
from pipeline.comparison.configured_methods import ConfiguredMethod
from pipeline.comparison.published import PublishedTable
from pipeline.comparison.run_all import MethodResult, train_and_evaluate
from pipeline.features.feature_kinds import FeatureKind, kind_of
from pipeline.scoring.intervals import Interval, paired_intervals
from pipeline.scoring.metrics import METRICS
from pipeline.training.fitting import OnEpoch


@dataclass(frozen=True)
class Difference:
    """A metric of a method minus that of the first method, in percent points, with its 95 % interval."""

    value: float
    interval: Interval  # NaN if it is not known


@dataclass(frozen=True)
class Comparison:
    """The results of a comparison, and what they were made from."""

    results: tuple[MethodResult, ...]  # at least one
    differences: Mapping[str, Mapping[str, Difference]]  # key of each other method -> metric -> difference
    data: Mapping[str, Any]  # facts about the training data, with hashes
    published: PublishedTable | None = None

    @property
    def first(self) -> MethodResult:
        """The method that the others are compared with."""
        return self.results[0]

    @property
    def chance(self) -> dict[str, float]:
        """The metrics of guessing, where every class is equally likely, in percent."""
        classes = self.data["classes"]
        of_all = 100 / (classes["seen"] + classes["unseen"])
        of_unseen = of_all if classes["unseen"] else math.nan
        return {"S": of_all, "U": of_unseen, "HM": of_unseen, "ZSL": self.first.chance}


def compare(
    methods: Sequence[ConfiguredMethod],
    workspace: Workspace,
    *,
    device: torch.device,
    reporter: Reporter,
    on_epoch: OnEpoch,
    stop: Stop = never_stop,
    published: PublishedTable | None = None,
) -> Comparison:
    """Train and evaluate every method with every seed; finished runs are used again.

    Args:
        methods: at least one; the others are compared with the first.
        workspace: the workspace with dataset and features.
        device: the device of the networks.
        reporter: receives the progress, and which runs were finished before.
        on_epoch: called after every epoch.
        stop: called after every step; if it returns True, the step is saved and the training ends.
        published: the published rows for these features.

    Raises:
        TrainingStoppedError: `stop` returned True.
        PipelineError: a stage that is missing, splits or widths that do not fit, or a full disk.
    """
    with workspace.locked("compare"):
        found = train_and_evaluate(
            methods, workspace, current=methods[0], device=device, reporter=reporter, on_epoch=on_epoch, stop=stop
        )
    return Comparison(found.results, differences_to_first(found.results), found.data, published)


def differences_to_first(results: Sequence[MethodResult]) -> dict[str, dict[str, Difference]]:
    """Compute the differences of each other method to the first one, by the score that each predicts by."""
    first, *others = results
    before, _ = first.over_seeds(first.score)
    differences = {}
    for other in others:
        mean, _ = other.over_seeds(other.score)
        intervals = paired_intervals([seed.recalls for seed in other.seeds], [seed.recalls for seed in first.seeds])
        differences[other.method.key] = {
            name: Difference(mean[name] - before[name], intervals[name]) for name in METRICS
        }
    return differences


def kind_of_data(data: Mapping[str, Any]) -> FeatureKind | None:
    """Return the kind of the features that the facts of a comparison describe."""
    return kind_of(data["features"], audio_width=data["audio_width"], visual_width=data["visual_width"])
