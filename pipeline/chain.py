"""All stages one after the other: videos in, an evaluated model out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.config import Settings
from pipeline.evaluation import EvaluationReport, evaluate
from pipeline.extraction import ExtractionReport, extract
from pipeline.fitting import EpochRecord
from pipeline.progress import Reporter
from pipeline.training import TrainingReport, train
from pipeline.workspace import Workspace


@dataclass(frozen=True)
class ChainReport:
    """What each stage did."""

    extraction: ExtractionReport
    training: TrainingReport
    evaluation: EvaluationReport


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """Who hears of a stage's end, so that its table can be shown before the next one starts."""

    on_extracted: Callable[[ExtractionReport], None]
    on_epoch: Callable[[str, EpochRecord], None]
    on_trained: Callable[[TrainingReport], None]
    on_evaluated: Callable[[EvaluationReport], None]


def run_all(
    workspace: Workspace,
    source: Path,
    settings: Settings,
    *,
    device: torch.device,
    reporter: Reporter,
    listeners: Listeners,
    unseen: Sequence[str] | None = None,
    hold_out_anew: bool = False,
) -> ChainReport:
    """Extract, train and evaluate; each stage is skipped where it is done already.

    Videos that fail do not stop the chain: the report names them.
    """
    extraction = extract(workspace, source, settings.extraction, device=device, reporter=reporter)
    listeners.on_extracted(extraction)
    training = train(
        workspace,
        settings,
        device=device,
        reporter=reporter,
        on_epoch=listeners.on_epoch,
        unseen=unseen,
        hold_out_anew=hold_out_anew,
    )
    listeners.on_trained(training)
    evaluation = evaluate(workspace, device=device, reporter=reporter, run=training.run)
    listeners.on_evaluated(evaluation)
    return ChainReport(extraction, training, evaluation)
