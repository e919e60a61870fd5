"""Run a benchmark's protocol for several methods and seeds, and the ablations; finished runs are used again.

The protocol is described in pipeline/avgzsl_benchmark/README.md.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from pipeline.avgzsl_benchmark.reproduction.ablation import variants_of
from pipeline.avgzsl_benchmark.reproduction.published import published_table
from pipeline.base.progress import Reporter, Stop, never_stop
from pipeline.base.workspace import Workspace
from pipeline.comparison.compare import Comparison, differences_to_first, kind_of_data
from pipeline.comparison.configured_methods import ConfiguredMethod
from pipeline.comparison.run_all import MethodResult, train_and_evaluate
from pipeline.features.feature_kinds import FEATURE_KINDS
from pipeline.training.fitting import OnEpoch


@dataclass(frozen=True)
class Reproduction:
    """The results of a reproduction, and what they were made from."""

    benchmark: str
    comparison: Comparison  # one result per method
    ablations: Mapping[str, tuple[MethodResult, ...]]  # key of a method -> its variants, the full method last


def reproduce(
    benchmark: str,
    workspace: Workspace,
    methods: Sequence[ConfiguredMethod],
    *,
    ablation: bool,
    device: torch.device,
    reporter: Reporter,
    on_epoch: OnEpoch,
    stop: Stop = never_stop,
) -> Reproduction:
    """Train and evaluate every method with every seed. Finished runs are used again, unfinished ones are continued.

    Args:
        benchmark: a name of `BENCHMARKS`.
        workspace: the workspace with dataset, splits, features and class vectors.
        methods: the methods, at least one; the others are compared with the first.
        ablation: whether to train the rows of the papers' ablations too (DAAN, MFT).
        device: the device of the networks.
        reporter: receives the progress, and which runs were finished before.
        on_epoch: called after every epoch.
        stop: called after every step; if it returns True, the step is saved and the training ends.

    Raises:
        TrainingStoppedError: `stop` returned True.
        UsageError: the ablation with settings that are only one of its rows.
        PipelineError: a stage that is missing, splits or widths that do not fit, or a full disk.
    """
    variants = {method.key: variants_of(method) if ablation else [] for method in methods}
    partial = [
        variant for of_method in variants.values() for variant in of_method[:-1]
    ]  # the last is the method itself
    with workspace.locked("reproduce"):
        found = train_and_evaluate(
            [*partial, *methods],
            workspace,
            current=methods[0],
            device=device,
            reporter=reporter,
            on_epoch=on_epoch,
            stop=stop,
        )
    result_of = {id(result.method): result for result in found.results}
    results = tuple(result_of[id(method)] for method in methods if id(method) in result_of)
    ablations = {
        result.method.key: (
            *(result_of[id(row)] for row in rows[:-1] if id(row) in result_of),
            dataclasses.replace(result, method=rows[-1]),
        )
        for result in results
        if (rows := variants[result.method.key])
    }
    # Features that no published table uses, such as generated ones of another width, are shown next to SeLaVi's.
    published = published_table(benchmark, kind_of_data(found.data) or FEATURE_KINDS["main"])
    comparison = Comparison(results, differences_to_first(results), found.data, published)
    return Reproduction(benchmark, comparison, ablations)
