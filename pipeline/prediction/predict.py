"""Predict the classes of clips. This needs only a model folder and the extractor's weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from daan.batch import MODALITY_AXIS, VideoBatch
from extractors.base import width_of
from extractors.decoding.interface import DecodingRequest
from extractors.decoding.pool import DecodingPool, VideoFailed
from extractors.extraction import VideoFeatures, extract_videos
from extractors.registry import extractor_family
from extractors.selavi.options import FEATURES_PER_CHANNEL, SELAVI_WIDTH
from extractors.selavi.weights import weights_named
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.progress import Reporter
from pipeline.datasets.phrases import Phrases
from pipeline.extraction.extractor_choice import extractor_errors, fetch_weights, options_in
from pipeline.features.attributes import widths_as_attributes
from pipeline.prediction.classes import NamedClasses, name_classes, neutral_vector
from pipeline.scoring.calibration import calibrated
from pipeline.scoring.held_out import Calibration
from pipeline.scoring.metrics import probabilities
from pipeline.settings.extraction import ExtractionSettings
from pipeline.training.trained_model import Model, check_extractor, load_model

Warn = Callable[[str], None]  # shows a warning, and keeps it for the report
_MODALITY_NAMES = {"audio": "sound", "visual": "picture"}


@dataclass(frozen=True)
class ClassPrediction:
    """A class, and how well a video fits it."""

    name: str
    probability: float | None  # among the classes to choose from; None for a single one
    distance: float  # by the model's score, calibrated: the smallest one comes first
    seen: bool  # whether the class was trained on
    favoured: bool  # whether beta is in the distance: the class was trained on, or is very near such a class


@dataclass(frozen=True)
class VideoPrediction:
    """The prediction for a video: its classes, most likely first."""

    video: str
    classes: tuple[ClassPrediction, ...]
    seconds: int
    has_audio: bool
    has_visual: bool
    # "calibration" if another class is nearest without it; else "sound" or "picture", the modality of the model's score
    # or that in which the first class is further ahead; "" with one modality or one class.
    decided_by: str
    # Whether all classes are farther away than the nearest class of 95 % of the validation videos; None if the model
    # had too few of these.
    unsure: bool | None
    warnings: tuple[str, ...]
    # Without training: whether the clip is no nearer to any class than to the texts "a video" and "a sound"; None for a
    # trained model.
    none_of_these: bool | None = None

    @property
    def fits(self) -> bool | None:
        """Whether the only class fits; None if there are several classes, or if it is not known."""
        if len(self.classes) > 1:
            return None
        unfit = self.unsure if self.none_of_these is None else self.none_of_these
        return None if unfit is None else not unfit


@dataclass(frozen=True)
class PredictionReport:
    """All predictions of a call, and the videos that failed."""

    predictions: tuple[VideoPrediction, ...]
    failures: tuple[tuple[str, str], ...]  # video, reason
    calibration: Calibration  # for the names of this call
    favoured_names: int  # number of classes to choose from that were trained on, or are very near such a class
    other_names: int
    warnings: tuple[str, ...]  # about the features, the names and the calibration
    frozen: bool = False  # whether nothing was trained

    def to_json(self, top_k: int | None) -> dict[str, Any]:
        """Make the document of `predict --json`, with the `top_k` likeliest classes; None for all."""
        return {
            "predictions": [_to_json(entry, top_k) for entry in self.predictions],
            "failures": [{"video": video, "reason": reason} for video, reason in self.failures],
            "warnings": list(self.warnings),
            "calibration": {
                "beta": self.calibration.beta,
                "temperature": self.calibration.temperature,
                "farthest": self.calibration.farthest,
                "derived_from": self._origin,
                "missing": self.calibration.missing or None,
                "validation_videos": self.calibration.videos,
                "favoured_names": self.favoured_names,
                "other_names": self.other_names,
            },
        }

    @property
    def _origin(self) -> str:
        if self.frozen:
            return "the scale of the encoders"
        return "validation videos" if self.calibration.videos else "nothing"


def _to_json(entry: VideoPrediction, top_k: int | None) -> dict[str, Any]:
    """Make the document of one video."""
    return {
        "video": entry.video,
        "classes": [
            {
                "class": one.name,
                "probability": one.probability,
                "distance": one.distance,
                "seen": one.seen,
                "favoured": one.favoured,
            }
            for one in entry.classes[:top_k]
        ],
        "seconds": entry.seconds,
        "has_audio": entry.has_audio,
        "has_visual": entry.has_visual,
        "decided_by": entry.decided_by or None,
        "unsure": entry.unsure,
        "none_of_these": entry.none_of_these,
        "fits": entry.fits,
        "warnings": list(entry.warnings),
    }


def predict(
    model_folder: Path,
    clips: Sequence[Path],
    classes: Mapping[str, Phrases] | None,
    *,
    device: torch.device,
    reporter: Reporter,
    weights: str | None = None,
    text: str | None = None,
) -> PredictionReport:
    """Predict the classes of clips.

    Args:
        model_folder: folder of model.json and model.safetensors.
        clips: video files.
        classes: class name -> phrases of the classes to choose from, which need not be trained on; None for all classes
            of the model.
        device: device of the networks.
        reporter: receives progress messages.
        weights: the extractor's weights, if their path changed since training; None for the recorded path.
        text: the file of class vectors or CLIP's folder, if its path changed since training; None likewise.

    Raises:
        PipelineError: a missing model, weights that cannot be loaded, another text encoder, or a class name without a
            vector.
    """
    warnings: list[str] = []

    def warn(warning: str) -> None:
        warnings.append(warning)
        reporter.warn(warning)

    model = _with_weights(load_model(model_folder, device), weights, warn)
    report = predict_with(model, clips, classes, device=device, reporter=reporter, text=text)
    return replace(report, warnings=(*warnings, *report.warnings))


def predict_with(
    model: Model,
    clips: Sequence[Path],
    classes: Mapping[str, Phrases] | None,
    *,
    device: torch.device,
    reporter: Reporter,
    text: str | None = None,
) -> PredictionReport:
    """Predict the classes of clips with a model in memory; see `predict`.

    Raises:
        UsageError: a model that knows no classes, and no classes that are named.
        PipelineError: as for `predict`.
    """
    warnings: list[str] = []

    def warn(warning: str) -> None:
        warnings.append(warning)
        reporter.warn(warning)

    if classes is None and not model.classes:
        raise UsageError(
            'without a trained model there are no classes to choose from: name them with --classes "dog barking, yoga"'
        )
    named = name_classes(model, classes, text, reporter)
    favoured_names = int(named.favoured.sum())
    if model.is_frozen:
        calibration = Calibration.none("")  # the encoders know the scale of their distances
    else:
        calibration = model.calibration(favoured_names, len(named.names) - favoured_names)
    for note in named.notes:
        warn(note)
    missing = _missing_calibration(calibration, favoured=favoured_names, others=len(named.names) - favoured_names)
    if missing:
        warn(missing)
    with torch.inference_mode():
        theta_classes = model.network.embed_classes(torch.from_numpy(named.vectors).to(device))
        neutral = neutral_vector(model) if model.is_frozen else None
        theta_neutral = None if neutral is None else model.network.embed_classes(torch.from_numpy(neutral).to(device))
    targets = _Targets(named, theta_classes, theta_neutral)
    predictions, failures = {}, []
    for result in _features(model, clips, device, reporter, warn):
        if isinstance(result, VideoFailed):
            failures.append((result.key, result.reason))
        else:
            predictions[result.key] = _predict_one(model, result, targets, calibration, device)
    return PredictionReport(
        predictions=tuple(predictions[str(clip)] for clip in clips if str(clip) in predictions),
        failures=tuple(failures),
        calibration=calibration,
        favoured_names=favoured_names,
        other_names=len(named.names) - favoured_names,
        warnings=tuple(warnings),
        frozen=model.is_frozen,
    )


@dataclass(frozen=True)
class _Targets:
    """What a clip is compared with."""

    named: NamedClasses
    theta_classes: torch.Tensor  # (C, O)
    theta_neutral: torch.Tensor | None  # (1, O), texts that fit every clip; None for a trained model


def _missing_calibration(calibration: Calibration, *, favoured: int, others: int) -> str:
    """Say what it means that nothing is calibrated, or that there is no beta; empty if nothing is missing.

    Args:
        calibration: the calibration for the names.
        favoured: number of names that were trained on, or are very near such a class.
        others: number of other names.
    """
    if not calibration.missing:
        return ""
    what = "there is no beta" if calibration.videos else "nothing is calibrated"
    effects = []
    if favoured and others:
        effects.append("classes in training are favoured")
    if not calibration.videos:
        effects.append("percentages mean little" if favoured + others > 1 else "it is not known whether a clip fits")
    return f"{what}, because {calibration.missing}: {', and '.join(effects)}"


def _with_weights(model: Model, weights: str | None, warn: Warn) -> Model:
    """Set the extractor weights that the user named.

    Raises:
        UsageError: a model whose features cannot be extracted from a clip.
    """
    weights = None if weights is None else weights_named(weights)
    origin = model.extractor.get("extractor")
    if origin == "synthetic":
        raise UsageError("the model was trained on generated features, which no clip has: train on features of videos")
    if origin == "imported":
        return replace(model, extractor={**model.extractor, **_assumed_extractor(model.extractor, weights, warn)})
    return model if weights is None else replace(model, extractor={**model.extractor, "weights_file": weights})


def _assumed_extractor(attributes: Mapping[str, Any], weights: str | None, warn: Warn) -> dict[str, Any]:
    """Describe the extractor that the user names for a model that was trained on imported features.

    Whether the imported features come from this extractor cannot be checked, except by their width.
    """
    unknown = "the model was trained on imported features, and it is not recorded how they were extracted"
    if weights is None:
        raise UsageError(f"{unknown}: name the weights with --weights NAME|FILE, or train on features of avzsl extract")
    visual = int(attributes.get("feature_width") or attributes["visual_width"])
    audio = int(attributes.get("feature_width") or attributes["audio_width"])
    width = SELAVI_WIDTH if weights != "untrained" else visual // FEATURES_PER_CHANNEL
    if not audio == visual == FEATURES_PER_CHANNEL * width:
        raise UsageError(
            f"{unknown}; visual features are {visual} wide and audio features {audio}, but SeLaVi's are "
            f"{FEATURES_PER_CHANNEL * SELAVI_WIDTH}: train on features of avzsl extract"
        )
    layout = attributes.get("layout")
    windows = layout if layout in {"avca", "tcaf"} else "seconds"
    cut = "whole seconds" if windows == "seconds" else f"the windows of the {windows} script"
    warn(f"{unknown}: they are assumed to come from the {weights} weights, as you named them, and from {cut}")
    return {
        "extractor": "selavi",
        "assumed": True,
        "weights_file": weights,
        "width": width,
        "windows": windows,
        "decoder": ExtractionSettings.decoder,
    }


def _features(
    model: Model, clips: Sequence[Path], device: torch.device, reporter: Reporter, warn: Warn
) -> Iterator[VideoFeatures[str] | VideoFailed[str]]:
    """Extract the features of the clips with the extractor that the model was trained with."""
    attributes = model.extractor
    options = options_in(dict(attributes), str(attributes.get("weights_file") or attributes["weights"]))
    if Path(options.weights).is_absolute() and not Path(options.weights).exists():
        raise PipelineError(
            f"the weights of the model's extractor are no longer at {options.weights}: "
            f"give their path with --weights FILE (sha256 {attributes.get('weights_sha256', 'unknown')})"
        )
    with extractor_errors():
        family = extractor_family(options.name)
        weights = fetch_weights(options, reporter)
        if weights.note:
            warn(weights.note)
        visual, audio = (width_of(width) for width in family.widths(options, weights))
        described = family.describe(options, weights) | {"decoder": attributes["decoder"]}
        described |= widths_as_attributes(visual=visual, audio=audio)
        if not model.extractor.get("assumed"):
            check_extractor(model, described, "the clips' features")
        extractor = family.load(options, weights, device=device)
    requests = ((str(clip), DecodingRequest(path=clip, inputs=extractor.inputs)) for clip in clips)
    with (
        DecodingPool(decoder=str(attributes["decoder"]), workers=1) as pool,
        reporter.track("extracting features", len(clips)) as tracker,
    ):
        for result in extract_videos(requests, extractor, pool=pool):
            tracker.advance()
            yield result


@torch.inference_mode()
def _predict_one(
    model: Model,
    features: VideoFeatures[str],
    targets: _Targets,
    calibration: Calibration,
    device: torch.device,
) -> VideoPrediction:
    named, videos = targets.named, model.network.embed_videos(_batch_of_one(model, features, device))
    by_score = _distances(model, videos, targets.theta_classes)
    none_of_these = None
    if targets.theta_neutral is not None:
        neutral = _distances(model, videos, targets.theta_neutral)["sum"][0]
        none_of_these = bool(by_score["sum"].min() >= neutral)
    distances = calibrated(by_score[model.score], named.favoured, calibration.beta)
    chances = probabilities(distances[None], calibration.temperature)[0] if len(distances) > 1 else None
    order = np.argsort(distances, kind="stable")
    classes = tuple(
        ClassPrediction(
            name=named.names[index],
            probability=None if chances is None else float(chances[index]),
            distance=float(distances[index]),
            seen=bool(named.seen[index]),
            favoured=bool(named.favoured[index]),
        )
        for index in order
    )
    return VideoPrediction(
        video=features.key,
        classes=classes,
        seconds=features.seconds,
        has_audio=features.audio is not None,
        has_visual=features.visual is not None,
        decided_by=_decided_by(features, by_score, model.score, order),
        unsure=None if calibration.farthest is None else classes[0].distance > calibration.farthest,
        none_of_these=none_of_these,
        warnings=features.warnings,
    )


def _distances(
    model: Model, videos: Mapping[str, torch.Tensor], theta_classes: torch.Tensor
) -> dict[str, NDArray[np.float32]]:
    """Return the distances (C,) of one embedded video by each score."""
    found = model.network.distances(videos, theta_classes)
    return {name: values.cpu().numpy()[0] for name, values in found.items()}


def _decided_by(
    features: VideoFeatures[str], by_score: dict[str, NDArray[np.float32]], score: str, order: NDArray[np.intp]
) -> str:
    """Find what put the first class first; see `VideoPrediction.decided_by`."""
    if len(order) < 2:
        return ""
    first, second = order[0], order[1]
    if by_score[score][first] > by_score[score].min():
        return "calibration"
    if features.audio is None or features.visual is None:
        return ""
    if score in _MODALITY_NAMES:
        return _MODALITY_NAMES[score]
    if not by_score.keys() >= set(MODALITY_AXIS):
        return ""
    lead = {name: float(by_score[name][second] - by_score[name][first]) for name in MODALITY_AXIS}
    return _MODALITY_NAMES["audio" if lead["audio"] > lead["visual"] else "visual"]


def _batch_of_one(model: Model, features: VideoFeatures[str], device: torch.device) -> VideoBatch:
    """Make a batch of one video: standardised features (1, T, D); an absent modality is masked.

    T is 1 where the model was trained on the averages of videos.
    """
    if model.extractor.get("averaged"):
        features = _averaged(features)
    config = model.network.config
    audio, audio_mask = _rows_or_absent(features.audio, features.seconds, config.audio_width, device)
    visual, visual_mask = _rows_or_absent(features.visual, features.seconds, config.visual_width, device)
    return VideoBatch(
        audio=model.standardiser.audio(audio),
        visual=model.standardiser.visual(visual),
        audio_mask=audio_mask,
        visual_mask=visual_mask,
    )


def _averaged(features: VideoFeatures[str]) -> VideoFeatures[str]:
    visual, audio = (
        None if rows is None else rows.mean(axis=0, keepdims=True) for rows in (features.visual, features.audio)
    )
    return replace(features, visual=visual, audio=audio, seconds=1)


def _rows_or_absent(
    rows: NDArray[np.float32] | None, seconds: int, width: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features (1, T, D) and their mask (1, T); an absent modality gives zeros."""
    present = torch.full((1, seconds), rows is not None, device=device)
    values = torch.zeros(seconds, width) if rows is None else torch.from_numpy(rows)
    return values[None].to(device), present
