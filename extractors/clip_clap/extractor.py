"""The extractor clip-clap: CLIP or SigLIP for pictures, CLAP for sound, each in the space of its own class texts."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from extractors.base import (
    ExtractorFamily,
    Identity,
    InputSpec,
    OnProgress,
    ResolvedWeights,
    Runtime,
    SoundInput,
    basic_identity,
    own_weights,
)
from extractors.clip_clap.options import CLAP_NAME, CLIP_NAME, ClipClapOptions
from extractors.clip_clap.pictures import (
    PicturePreprocessing,
    kind_of_pictures,
    load_pictures,
    picture_preprocessing,
    picture_width,
)
from extractors.clip_clap.sound import SoundPreprocessing, load_sound, sound_preprocessing, sound_width
from extractors.errors import WeightsError, WeightsSpecError
from extractors.files.hub import cached_model, fetch_model, is_hub_name
from extractors.files.model_folder import CONFIG, ModelFolder
from extractors.files.picture_processor import BytesNormaliser
from extractors.runtime.networks import Network, check_runtime, make_ready

_VERSION = 1  # of the code of this folder; increase it with each change that can change a feature
_MIDDLE = 0.5  # pictures stand in the middle of their share of a second
_REMEDY = "save the files of a CLIP and of a CLAP model in two folders of one folder, and give it with --weights FOLDER"


@dataclass(frozen=True)
class ClipClapWeights(ResolvedWeights):
    """The folders of both models."""

    clip: ModelFolder
    clap: ModelFolder


class ClipClapExtractor:
    """Both towers with their preprocessing, ready on a device. Its attributes are those of `Extractor`."""

    def __init__(
        self,
        *,
        options: ClipClapOptions,
        identity: Identity,
        paired_text: str,
        pictures: PicturePreprocessing,
        sound: SoundPreprocessing,
        picture_tower: Network,
        sound_tower: Network,
        widths: tuple[int, int],
        device: torch.device,
    ) -> None:
        self.identity = identity
        self.paired_text = paired_text
        self.inputs = _inputs(options, pictures, sound)
        self.visual_width, self.audio_width = widths
        self.device = device
        self.calls_at_once = picture_tower.calls_at_once
        self.runtime = picture_tower.runtime
        self._sound = sound
        self._picture_tower, self._sound_tower = picture_tower, sound_tower
        self._is_negative = options.recipe == "clipclap"
        self._has_windows = options.visual_window_seconds > 1
        self._normalise = BytesNormaliser(pictures.mean, pictures.deviation, device)

    def visual(self, frames: Tensor) -> Tensor:
        """Compute unit vectors of pictures; their mean over a second, or one row per picture for longer windows.

        Args:
            frames: (N, F, 3, S, S) uint8, RGB.

        Returns:
            (N, W) float32; (N, F, W) for longer windows.
        """
        count, per_second = frames.shape[:2]
        pixels = frames.to(self.device).flatten(0, 1)
        if self._is_negative:
            pixels = (256 - pixels.int()).remainder(256).flip(1)
        vectors = self._picture_tower(self._normalise(pixels))
        rows = F.normalize(vectors, dim=-1).reshape(count, per_second, -1)
        return rows if self._has_windows else rows.mean(1)

    def visual_of_windows(self, rows: Tensor) -> Tensor:
        """Average the unit vectors (N, K, W) of the pictures of windows."""
        return rows.to(self.device).mean(1)

    def audio(self, sound: Tensor) -> Tensor:
        """Compute unit vectors of sound.

        Args:
            sound: (N, L) int16, mono.

        Returns:
            (N, W) float32.
        """
        return F.normalize(self._sound_tower(self._sound.log_mel(sound.to(self.device))), dim=-1)


def _inputs(options: ClipClapOptions, pictures: PicturePreprocessing, sound: SoundPreprocessing) -> InputSpec:
    """Return what decoding must deliver.

    Raises:
        WeightsSpecError: a window of sound that is longer than CLAP takes.
    """
    longest = sound.samples / sound.rate_hz
    if options.audio_window_seconds > longest:
        raise WeightsSpecError(
            f"audio_window_seconds is {options.audio_window_seconds:g}, but this CLAP model takes at most {longest:g} s"
        )
    picture = pictures.inputs(
        frames_per_second=1 if options.recipe == "clipclap" else options.frames_per_second,
        window_seconds=options.visual_window_seconds,
        first_frame=_MIDDLE,
    )
    return InputSpec(
        picture=picture, sound=SoundInput(rate_hz=sound.rate_hz, window_seconds=options.audio_window_seconds)
    )


class ClipClap(ExtractorFamily[ClipClapOptions]):
    """How the extractor clip-clap is found, described and loaded."""

    def complete(self, options: ClipClapOptions, given: frozenset[str]) -> ClipClapOptions:  # noqa: ARG002 - interface
        """See `ExtractorFamily.complete`."""
        if options.weights == "auto":
            return replace(options, clip=_absolute(options.clip), clap=_absolute(options.clap))
        folder = Path(options.weights).expanduser()
        if not folder.is_dir():
            raise WeightsSpecError(
                "Give a folder that contains the folder of a CLIP model and that of a CLAP model, or auto",
                missing=options.weights,
            )
        return replace(options, weights=str(folder.absolute()))

    def find_weights(
        self, options: ClipClapOptions, *, cache_dir: Path, on_progress: OnProgress | None = None
    ) -> ClipClapWeights:
        """See `ExtractorFamily.find_weights`."""
        if options.weights != "auto":
            return _in_folder(Path(options.weights), cache_dir)
        clip, clip_note = _located(options.clip, "a CLIP or SigLIP model", cache_dir, on_progress)
        clap, clap_note = _located(options.clap, "a CLAP model", cache_dir, on_progress)
        note = "; ".join(note for note in (clip_note, clap_note) if note)
        return _weights("auto", clip, clap, note)

    def is_cached(self, cache_dir: Path) -> bool:
        """See `ExtractorFamily.is_cached`."""
        return all(cached_model(name, cache_dir) is not None for name in (CLIP_NAME, CLAP_NAME))

    def describe(self, options: ClipClapOptions, weights: ResolvedWeights) -> Identity:
        """See `ExtractorFamily.describe`."""
        found = own_weights(weights, ClipClapWeights)
        return {
            **basic_identity(options, weights, _VERSION),
            "recipe": options.recipe,
            "frames_per_second": options.frames_per_second,
            "visual_window_seconds": float(options.visual_window_seconds),
            "audio_window_seconds": float(options.audio_window_seconds),
            "visual_logit_scale": _scale(found.clip, "logit_scale"),
            "audio_logit_scale": _scale(found.clap, "logit_scale_a"),
        }

    def where(self, options: ClipClapOptions, weights: ResolvedWeights) -> Identity:
        """See `ExtractorFamily.where`."""
        models: Identity = {"clip": options.clip, "clap": options.clap} if options.weights == "auto" else {}
        paired_text = _paired_text(own_weights(weights, ClipClapWeights), options)
        return super().where(options, weights) | models | {"paired_text": paired_text}

    def widths(self, options: ClipClapOptions, weights: ResolvedWeights) -> tuple[int, int]:  # noqa: ARG002 - interface
        """See `ExtractorFamily.widths`."""
        found = own_weights(weights, ClipClapWeights)
        return picture_width(found.clip), sound_width(found.clap)

    def load(
        self, options: ClipClapOptions, weights: ResolvedWeights, *, device: torch.device, runtime: Runtime = "auto"
    ) -> ClipClapExtractor:
        """See `ExtractorFamily.load`."""
        check_runtime(runtime, device, options.precision)
        found = own_weights(weights, ClipClapWeights)
        pictures, sound = picture_preprocessing(found.clip), sound_preprocessing(found.clap)
        ready = partial(make_ready, runtime=runtime, device=device, precision=options.precision)
        side, bands = pictures.side_pixels, sound.filters.shape[1]
        return ClipClapExtractor(
            options=options,
            identity=self.describe(options, weights),
            paired_text=_paired_text(found, options),
            pictures=pictures,
            sound=sound,
            picture_tower=ready(load_pictures(found.clip), input_shape=(3, side, side)),
            sound_tower=ready(load_sound(found.clap), input_shape=(1, sound.frames, bands)),
            widths=self.widths(options, weights),
            device=device,
        )


def _absolute(location: str) -> str:
    path = Path(location).expanduser()
    return str(path.absolute()) if path.is_dir() else location


def _located(location: str, what: str, cache_dir: Path, on_progress: OnProgress | None) -> tuple[ModelFolder, str]:
    """Find a model by the name on the hub or the folder, and say if it was fetched just now."""
    if is_hub_name(location):
        fetched = fetch_model(location, cache_dir, remedy=_REMEDY, on_progress=on_progress)
        return ModelFolder(fetched.folder, what, cache_dir), fetched.note
    return ModelFolder(Path(location), what, cache_dir), ""


def _in_folder(folder: Path, cache_dir: Path) -> ClipClapWeights:
    """Find both models in the folders of a folder, by the kind of model in their config.json.

    Raises:
        WeightsError: one of them is not there, or there are several.
    """
    found: dict[str, list[ModelFolder]] = {"clip": [], "siglip": [], "clap": []}
    for inside in sorted(entry for entry in folder.iterdir() if (entry / CONFIG).is_file()):
        model = ModelFolder(inside, "a model", cache_dir)
        found.get(str(model.config().get("model_type")), []).append(model)
    pictures = [*found["clip"], *found["siglip"]]
    for models, kind in ((pictures, "a CLIP or SigLIP model"), (found["clap"], "a CLAP model")):
        if len(models) != 1:
            raise WeightsError(
                f"{folder} contains {len(models) or 'no'} folders of {kind}: it must contain one folder of a CLIP or "
                f"SigLIP model and one of a CLAP model, each with a {CONFIG}"
            )
    return _weights(folder.name, pictures[0], found["clap"][0], "")


def _weights(name: str, clip: ModelFolder, clap: ModelFolder, note: str) -> ClipClapWeights:
    """Check both folders and compute their checksums."""
    kind_of_pictures(clip)
    sound_preprocessing(clap)
    checksums = [folder.sha256((CONFIG,)) for folder in (clip, clap)]
    return ClipClapWeights(name=name, path=None, sha256=":".join(checksums), note=note, clip=clip, clap=clap)


def _paired_text(weights: ClipClapWeights, options: ClipClapOptions) -> str:
    places = (options.clip, options.clap)
    if options.weights != "auto":
        places = (str(weights.clip.path), str(weights.clap.path))
    return f"clip-clap:{places[0]}+{places[1]}"


def _scale(folder: ModelFolder, name: str) -> float:
    """Read the scale that the model multiplies cosines with; its file has the logarithm."""
    return float(torch.tensor(folder.number(name)).exp())
