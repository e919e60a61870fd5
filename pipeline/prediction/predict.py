"""A clip and class names -> how likely each class is. Needs a model folder and the extractor's weights only."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from daan.batch import VideoBatch
from daan.scoring import class_distances
from extractors.decoding.interface import DecodingRequest
from extractors.decoding.pool import DecodingPool, VideoFailed
from extractors.extraction import VideoFeatures, extract_videos
from extractors.selavi.extractor import ExtractorOptions, describe, load_selavi
from extractors.selavi.networks import FEATURES_PER_CHANNEL, SELAVI_WIDTH
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.progress import Reporter
from pipeline.extraction.extractor_choice import extractor_errors, fetch_weights
from pipeline.prediction.classes import class_vectors
from pipeline.scoring.calibration import calibrated
from pipeline.scoring.metrics import probabilities
from pipeline.settings.extraction import ExtractionSettings
from pipeline.training.trained_model import Model, check_extractor, load_model


@dataclass(frozen=True)
class ClassPrediction:
    """One class and how near a video is to it."""

    name: str
    probability: float  # over the classes asked for
    distance: float  # by the model's score, uncalibrated
    seen: bool  # in training


@dataclass(frozen=True)
class VideoPrediction:
    """What a video shows, most likely first."""

    video: str
    classes: tuple[ClassPrediction, ...]
    seconds: int
    has_audio: bool
    has_visual: bool
    decided_by: str  # "sound" or "picture": in which the first class stands out more; "" where only one is there
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class PredictionReport:
    """All predictions of a call, and the videos that failed."""

    predictions: tuple[VideoPrediction, ...]
    failures: tuple[tuple[str, str], ...]  # video, reason

    def to_json(self, top_k: int | None) -> dict[str, Any]:
        """The document of `predict --json`."""
        return {
            "predictions": [
                {
                    "video": entry.video,
                    "classes": [
                        {"class": one.name, "probability": one.probability, "distance": one.distance}
                        for one in entry.classes[:top_k]
                    ],
                    "seconds": entry.seconds,
                    "has_audio": entry.has_audio,
                    "has_visual": entry.has_visual,
                }
                for entry in self.predictions
            ]
        }


def predict(
    model_folder: Path,
    clips: Sequence[Path],
    classes: Sequence[str] | None,
    *,
    device: torch.device,
    reporter: Reporter,
    weights: str | None = None,
    text: str | None = None,
) -> PredictionReport:
    """Predict the classes of clips.

    Args:
        model_folder: holds model.json and model.safetensors.
        clips: video files.
        classes: names to choose among, also ones never trained on; None: all classes of the model.
        device: where the networks run.
        reporter: hears of progress.
        weights: where the extractor's weights lie now, if not where they lay in training.
        text: where the file of class vectors (or CLIP's folder) lies now, if not where it lay in training.

    Raises:
        PipelineError: no model, weights that cannot be had, another text encoder, a class name without a vector.
    """
    model = load_model(model_folder, device)
    model = _with_weights(model, weights, reporter)
    names, vectors, seen = class_vectors(model, classes, text)
    with torch.inference_mode():
        theta_classes = model.network.embed_classes(torch.from_numpy(vectors).to(device))
    predictions, failures = {}, []
    for result in _features(model, clips, device, reporter):
        if isinstance(result, VideoFailed):
            failures.append((result.key, result.reason))
        else:
            predictions[result.key] = _predict_one(model, result, names, theta_classes, seen, device)
    ordered = tuple(predictions[str(clip)] for clip in clips if str(clip) in predictions)
    return PredictionReport(predictions=ordered, failures=tuple(failures))


def _with_weights(model: Model, weights: str | None, reporter: Reporter) -> Model:
    """The model with the weights that the user named.

    Raises:
        UsageError: nobody knows which extractor makes such features of a clip.
    """
    origin = model.extractor.get("extractor")
    if origin == "synthetic":
        raise UsageError("the model was trained on generated features, which no clip has: train on those of videos")
    if origin == "imported":
        return replace(model, extractor={**model.extractor, **_assumed_extractor(model.extractor, weights, reporter)})
    return model if weights is None else replace(model, extractor={**model.extractor, "weights_file": weights})


def _assumed_extractor(attributes: Mapping[str, Any], weights: str | None, reporter: Reporter) -> dict[str, Any]:
    """What must be taken at the user's word where a model was trained on imported features."""
    unknown = "the model was trained on imported features, and nothing says how they were extracted"
    if weights is None:
        raise UsageError(f"{unknown}: name the weights with --weights NAME|FILE, or train on features of avzsl extract")
    visual = int(attributes.get("feature_width") or attributes["visual_width"])
    audio = int(attributes.get("feature_width") or attributes["audio_width"])
    width = SELAVI_WIDTH if weights != "untrained" else visual // FEATURES_PER_CHANNEL
    if not audio == visual == FEATURES_PER_CHANNEL * width:
        raise UsageError(
            f"{unknown}; visual {visual} and audio {audio} wide, they are not SeLaVi's "
            f"({FEATURES_PER_CHANNEL * SELAVI_WIDTH}): train on features of avzsl extract"
        )
    reporter.warn(f"{unknown}: as you say, the {weights} weights are taken for theirs")
    return {"weights_file": weights, "width": width, "decoder": ExtractionSettings.decoder}


def _features(
    model: Model, clips: Sequence[Path], device: torch.device, reporter: Reporter
) -> Iterator[VideoFeatures[str] | VideoFailed[str]]:
    """Features of the clips by the extractor the model was trained with."""
    attributes = model.extractor
    options = ExtractorOptions(
        **{
            field.name: attributes[field.name]
            for field in dataclasses.fields(ExtractorOptions)
            if field.name in attributes and field.name != "weights"
        },
        weights=attributes.get("weights_file") or attributes["weights"],
    )
    if Path(options.weights).is_absolute() and not Path(options.weights).is_file():
        raise PipelineError(
            f"the weights of the model's extractor are no longer at {options.weights}: say where with --weights FILE "
            f"(sha256 {attributes.get('weights_sha256', 'unknown')})"
        )
    with extractor_errors():
        weights = fetch_weights(options.weights, reporter, seed=options.seed)
        if weights.note:
            reporter.warn(weights.note)
        described = describe(options, weights) | {
            "decoder": attributes["decoder"],
            "feature_width": attributes["feature_width"],
        }
        if attributes["extractor"] != "imported":
            check_extractor(model, described, "the clips' features")
        extractor = load_selavi(options, weights, device=device)
    requests = ((str(clip), DecodingRequest(path=clip, audio_rate_hz=extractor.audio_rate_hz)) for clip in clips)
    with (
        DecodingPool(decoder=str(attributes["decoder"]), workers=1) as pool,
        reporter.track("looking and listening", len(clips)) as tracker,
    ):
        for result in extract_videos(requests, extractor, pool=pool):
            tracker.advance()
            yield result


@torch.inference_mode()
def _predict_one(
    model: Model,
    features: VideoFeatures[str],
    names: Sequence[str],
    theta_classes: torch.Tensor,
    seen: NDArray[np.bool_],
    device: torch.device,
) -> VideoPrediction:
    batch = _batch_of_one(model, features, device)
    audio, visual = model.network.embed_videos(batch)
    has_audio, has_visual = batch.audio_mask.any(1), batch.visual_mask.any(1)
    by_score = {
        name: values.cpu().numpy()[0]
        for name, values in class_distances(
            audio, visual, theta_classes, has_audio=has_audio, has_visual=has_visual
        ).items()
    }
    distances = by_score[model.score]
    shifted = calibrated(distances, seen, model.betas[model.score])
    chances = probabilities(shifted[None], model.temperatures[model.score])[0]
    order = np.argsort(shifted, kind="stable")
    classes = tuple(
        ClassPrediction(names[place], float(chances[place]), float(distances[place]), bool(seen[place]))
        for place in order
    )
    both = features.audio is not None and features.visual is not None
    return VideoPrediction(
        video=features.key,
        classes=classes,
        seconds=features.seconds,
        has_audio=features.audio is not None,
        has_visual=features.visual is not None,
        decided_by=_decided_by(by_score, order) if both and len(names) > 1 else "",
        warnings=features.warnings,
    )


def _decided_by(by_score: dict[str, NDArray[np.float32]], order: NDArray[np.intp]) -> str:
    """The modality in which the first class is further ahead of the second."""
    first, second = order[0], order[1]
    lead = {name: float(by_score[name][second] - by_score[name][first]) for name in ("audio", "visual")}
    return "sound" if lead["audio"] > lead["visual"] else "picture"


def _batch_of_one(model: Model, features: VideoFeatures[str], device: torch.device) -> VideoBatch:
    """(1, T, D) standardised features; an absent modality is masked."""
    width = int(model.extractor["feature_width"])
    audio, audio_mask = _rows_or_absent(features.audio, features.seconds, width, device)
    visual, visual_mask = _rows_or_absent(features.visual, features.seconds, width, device)
    return VideoBatch(
        audio=model.standardiser.audio(audio),
        visual=model.standardiser.visual(visual),
        audio_mask=audio_mask,
        visual_mask=visual_mask,
    )


def _rows_or_absent(
    rows: NDArray[np.float32] | None, seconds: int, width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """(1, T, D) features and their (1, T) mask."""
    present = torch.full((1, seconds), rows is not None, device=device)
    values = torch.zeros(seconds, width) if rows is None else torch.from_numpy(rows)
    return values[None].to(device), present
