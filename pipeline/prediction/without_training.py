"""Recognise without training: the frozen encoders of an extractor that has a text encoder, as a model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from daan.baselines.zero_shot import ZeroShot, ZeroShotConfig
from extractors.base import ExtractorOptions
from extractors.registry import about_extractor, about_extractors, extractor_family, unknown_extractor
from extractors.text.spec import TextSpec
from extractors.text.templates import Templates
from pipeline.base.errors import UsageError
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Workspace
from pipeline.class_embeddings.embed import load_encoder
from pipeline.extraction.extractor_choice import extractor_errors, fetch_weights, recorded_extractor
from pipeline.features.attributes import logit_scales, widths_as_attributes
from pipeline.features.feature_set import Standardiser
from pipeline.settings.extraction import EXTRACTOR_OPTIONS, ExtractionSettings
from pipeline.training.trained_model import Model

ZERO_SHOT = "zero-shot"
_USUAL = "clip-clap"  # the light one


def frozen_options(workspace: Workspace, extractor: str | None, weights: str | None) -> ExtractorOptions:
    """Choose the extractor that recognises without training.

    Args:
        workspace: the workspace; if an extractor was used there, its options are used again.
        extractor: name of the extractor; None for the one of the workspace if it has a text encoder, else clip-clap.
        weights: weights of the extractor; None for those that the workspace uses, or the usual ones.

    Raises:
        UsageError: an extractor that does not exist or has no text encoder, or weights that do not exist.
    """
    able = [about.name for about in about_extractors() if about.text]
    if extractor is None:
        last = recorded_extractor(workspace)
        extractor = last.extractor.name if last is not None and last.extractor.name in able else _USUAL
    if extractor not in EXTRACTOR_OPTIONS:
        raise UsageError(unknown_extractor(extractor))
    if extractor not in able:
        raise UsageError(
            f"{extractor} has no text encoder, so it cannot recognise without training: choose {' or '.join(able)}"
        )
    recorded = recorded_extractor(workspace, extractor)
    options = EXTRACTOR_OPTIONS[extractor]() if recorded is None else recorded.extractor  # type: ignore[call-arg]
    if weights is not None:
        options = replace(options, weights=weights)
    with extractor_errors():
        completed: ExtractorOptions = extractor_family(extractor).complete(options, frozenset({"weights"}))
    return completed


def frozen_model(
    options: ExtractorOptions, *, device: torch.device, reporter: Reporter, templates: Templates | None = None
) -> Model:
    """Make a model of the encoders of an extractor, which knows no class yet.

    Args:
        options: the extractor, from `frozen_options`.
        device: the device of the model.
        reporter: receives the progress of a download.
        templates: the texts that a class name is put into; None for the usual ones.

    Raises:
        PipelineError: weights that cannot be fetched or do not fit.
    """
    with extractor_errors():
        family = extractor_family(options.name)
        weights = fetch_weights(options, reporter)
        if weights.note:
            reporter.say(weights.note)
        described, where = family.describe(options, weights), family.where(options, weights)
        visual, audio = family.widths(options, weights)
    if visual is None or audio is None:
        raise UsageError(f"{options.name} lacks picture or sound, so it cannot recognise without training")
    spec = TextSpec.from_text(str(where["paired_text"]), Path())
    encoder = load_encoder(spec, templates)
    config = ZeroShotConfig(
        audio_width=audio,
        visual_width=visual,
        text_width=encoder.width,
        **logit_scales(described),
    )
    network = ZeroShot(config).to(device).eval()
    widths = widths_as_attributes(visual=visual, audio=audio)
    return Model(
        network=network,
        standardiser=Standardiser.identity(audio, visual).to(device),
        classes=(),
        class_vectors=np.zeros((0, encoder.width), np.float32),
        text_encoder=dict(encoder.identity),
        text_spec=spec,
        extractor={**described, **widths, **where, "decoder": ExtractionSettings.decoder},
        betas={},
        temperatures={},
        score=network.score,
        training={},
    )


def named_encoders(options: ExtractorOptions) -> str:
    """Name an extractor and its encoders for people: `clip-clap (CLIP ViT-B/32, CLAP HTSAT)`."""
    about = about_extractor(options.name)
    encoders = [encoder.rpartition(",")[0] for encoder in (about.picture, about.sound)]
    named = ", ".join(dict.fromkeys(encoders)) if options.weights == "auto" else options.weights
    return f"{options.name} ({named})"


def zero_shot_name(model: str) -> tuple[bool, str | None]:
    """Read `zero-shot` or `zero-shot:EXTRACTOR`: whether it is that, and the name of the extractor."""
    name, _, extractor = model.partition(":")
    return name.lower() == ZERO_SHOT, extractor or None
