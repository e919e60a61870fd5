"""Decode a clip and describe it: tracks, seconds, warnings and a contact sheet."""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extractors.decoding.interface import DecodingRequest, VideoSummary
from extractors.decoding.pool import DecodingPool, SecondDecoded, VideoDecoded
from extractors.decoding.tracks import MediaDescription, describe_media
from extractors.errors import VideoError
from extractors.processes.guarded_calls import call_guarded
from extractors.selavi.options import RECIPES, SelaviOptions, selavi_inputs
from pipeline.base.errors import UsageError
from pipeline.base.files import replacing, storage_errors
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Workspace
from pipeline.diagnostics.probe.contact_sheet import ContactSheetBuilder, contact_sheet_picture
from pipeline.diagnostics.probe.tracks import media_warnings, media_words
from pipeline.extraction.extractor_choice import extractor_errors, recorded_extractor

_READING_LIMIT_SECONDS = 600.0  # to read all packets of a file, even from a slow disk
_SILENCE_LIMIT_SECONDS = 60.0
_LONGEST_NAME_BYTES = 200  # file systems allow 255, and temporary names are longer than the name


@dataclass(frozen=True)
class DecodingChoice:
    """The name of the decoder, and the sample rate of the sound in Hz."""

    decoder: str
    audio_rate_hz: int


@dataclass(frozen=True)
class Probe:
    """The result of probing a clip.

    Attributes:
        path: file of the clip.
        size_bytes: size of the file; 0 if it does not exist.
        media: container and tracks; None if no demuxer can read the file.
        choice: decoder and sample rate that were used.
        summary: summary of the decoding; None if it failed.
        reason: reason why decoding failed; '' if it did not.
        warnings: warnings, one line each.
        picture: file of the contact sheet; None if decoding failed.
    """

    path: Path
    size_bytes: int
    media: MediaDescription | None
    choice: DecodingChoice
    summary: VideoSummary | None
    reason: str
    warnings: tuple[str, ...]
    picture: Path | None

    def to_json(self) -> dict[str, Any]:
        """Make an entry of `probe --json`."""
        document = dataclasses.asdict(self)
        return document | {"path": str(self.path), "picture": None if self.picture is None else str(self.picture)}


def decoding_choice(workspace: Workspace, decoder: str | None) -> DecodingChoice:
    """Choose the decoder and the sample rate that an extraction into this workspace would use.

    Args:
        workspace: workspace, which may be empty.
        decoder: name of a decoder; None for the decoder of the workspace, or PyAV if it has none.

    Raises:
        StorageError: a damaged record of the workspace's extractor.
    """
    recorded = recorded_extractor(workspace)
    if recorded is None:
        return DecodingChoice(decoder or "pyav", RECIPES["avca"].audio_rate_hz)
    options = recorded.extractor if isinstance(recorded.extractor, SelaviOptions) else SelaviOptions()
    return DecodingChoice(decoder or recorded.decoder, RECIPES[options.recipe].audio_rate_hz)


def picture_paths(workspace: Workspace, clips: Sequence[Path], out: Path | None, *, force: bool) -> list[Path]:
    """Choose the file of each clip's contact sheet: in `probes/` of the workspace, or the file asked for.

    Args:
        workspace: workspace that the files go into if `out` is None.
        clips: clips to probe.
        out: file asked for; None for files in the workspace.
        force: whether `out` may exist already.

    Raises:
        UsageError: `out` exists already, does not end in .png, or is given for several clips.
    """
    if out is not None:
        if len(clips) > 1:
            raise UsageError(f"--out {out} names one file for {len(clips)} clips: leave it out, or probe one clip")
        if out.suffix.lower() != ".png":
            raise UsageError(f"--out {out}: the contact sheet is a PNG, give a name that ends in .png")
        if out.is_dir() or (out.exists() and not force):
            raise UsageError(f"--out {out} exists already: choose another name, or pass --force to replace it")
        return [out]
    paths: list[Path] = []
    for clip in clips:
        name = os.fsdecode(os.fsencode(clip.name)[:_LONGEST_NAME_BYTES])
        candidates = (f"{name}{f'-{number}' if number > 1 else ''}.png" for number in range(1, len(clips) + 1))
        paths.append(next(path for each in candidates if (path := workspace.root / "probes" / each) not in paths))
    return paths


def probe(path: Path, picture: Path, choice: DecodingChoice, reporter: Reporter) -> Probe:
    """Describe a clip, decode all of it, and draw its contact sheet. Errors in the clip are part of the result.

    Args:
        path: file of the clip.
        picture: file of the contact sheet to write.
        choice: decoder and sample rate.
        reporter: receives the progress.

    Raises:
        PipelineError: an unknown decoder, or a contact sheet that cannot be written.
    """
    media, size_bytes = None, 0
    try:
        size_bytes = path.stat().st_size
        media = call_guarded(describe_media, path, limit_seconds=_READING_LIMIT_SECONDS)
        builder = ContactSheetBuilder(choice.audio_rate_hz)
        summary = _decode(path, choice, media, builder, reporter)
    except (VideoError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        return Probe(path, size_bytes, media, choice, None, str(reason), (), None)
    sheet = builder.sheet()
    warnings = tuple(
        media_warnings(media, summary, audio_rate_hz=choice.audio_rate_hz, silent_seconds=sheet.silent_seconds)
    )
    title = [path.name, media_words(media), *(f"! {line}" for line in warnings)]
    with replacing(picture) as temporary, storage_errors(picture):
        contact_sheet_picture(sheet, title, temporary)
    return Probe(path, size_bytes, media, choice, summary, "", warnings, picture)


def _decode(
    path: Path, choice: DecodingChoice, media: MediaDescription, builder: ContactSheetBuilder, reporter: Reporter
) -> VideoSummary:
    """Decode a clip in a process of its own, as an extraction does."""
    request = DecodingRequest(path=path, inputs=selavi_inputs(choice.audio_rate_hz))
    with extractor_errors():
        pool = DecodingPool(decoder=choice.decoder, silence_limit_seconds=_SILENCE_LIMIT_SECONDS)
    with pool, reporter.track(f"decoding {path.name}", int(media.announced_seconds or 0)) as tracker:
        for event in pool.decode([(str(path), request)]):
            if isinstance(event, SecondDecoded):
                builder.add(event.second)
                tracker.advance()
            elif isinstance(event, VideoDecoded):
                return event.summary
            else:
                raise VideoError(event.reason)
    raise VideoError("the decoder returned nothing")
