"""Choose what predicts: a trained model, or, where there is none, the frozen encoders."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from extractors.base import ExtractorOptions
from pipeline.base.errors import MissingStageError, PipelineError, UsageError
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Workspace
from pipeline.datasets.phrases import Phrases
from pipeline.prediction.predict import PredictionReport, predict, predict_with
from pipeline.prediction.without_training import frozen_model, frozen_options, named_encoders, zero_shot_name
from pipeline.training.trained_model import read_description


@dataclass(frozen=True)
class TrainedChoice:
    """A trained model, and where its files are now."""

    folder: Path
    weights: str | None
    text: str | None


@dataclass(frozen=True)
class FrozenChoice:
    """The encoders of an extractor, without training."""

    options: ExtractorOptions
    why: str  # why nothing trained predicts; empty if the user asked for it


def choose_model(
    workspace: Workspace, model: str | None, *, weights: str | None, text: str | None
) -> TrainedChoice | FrozenChoice:
    """Choose what predicts.

    Args:
        workspace: the workspace.
        model: folder of a model, `zero-shot`, or `zero-shot:EXTRACTOR`; None for the newest model of the workspace, or
            the frozen encoders if it has none.
        weights: the extractor's weights, if the user named them.
        text: the text encoder, if the user named it.

    Raises:
        UsageError: an extractor that cannot recognise without training, or a text encoder for one that has its own.
    """
    is_frozen, extractor = zero_shot_name(model) if model is not None else (False, None)
    why = ""
    if model is None:
        try:
            return TrainedChoice(workspace.current_model(), weights, text)
        except MissingStageError:
            is_frozen, why = True, "no trained model here"
    if not is_frozen:
        return TrainedChoice(Path(str(model)), weights, text)
    if text is not None:
        raise UsageError(
            f"--text {text}: without training, class names are compared in the extractor's own spaces: leave --text out"
        )
    return FrozenChoice(frozen_options(workspace, extractor, weights), why)


def known_names(choice: TrainedChoice | FrozenChoice) -> list[str]:
    """Return the names of a model's classes; none without a readable model, of which a later step tells."""
    if isinstance(choice, FrozenChoice):
        return []
    try:
        return [entry.name for entry in read_description(choice.folder).classes]
    except PipelineError:
        return []


def predict_chosen(
    choice: TrainedChoice | FrozenChoice,
    clips: Sequence[Path],
    classes: Mapping[str, Phrases] | None,
    *,
    device: torch.device,
    reporter: Reporter,
) -> PredictionReport:
    """Predict the classes of clips with what was chosen.

    Args:
        choice: from `choose_model`.
        clips: video files.
        classes: class name -> phrases; None for all classes of the model.
        device: device of the networks.
        reporter: receives progress messages.

    Raises:
        PipelineError: as for `predict`.
    """
    if isinstance(choice, TrainedChoice):
        return predict(
            choice.folder,
            clips,
            classes,
            device=device,
            reporter=reporter,
            weights=choice.weights,
            text=choice.text,
        )
    if classes is None:
        raise UsageError(
            f"{choice.why or 'nothing is trained'}, so there are no classes to choose from: name them with --classes "
            '"dog barking, yoga", or run avzsl train first'
        )
    named = named_encoders(choice.options)
    reporter.say(f"{choice.why + ': ' if choice.why else ''}recognising without training, with {named}")
    model = frozen_model(choice.options, device=device, reporter=reporter)
    return predict_with(model, clips, classes, device=device, reporter=reporter)
