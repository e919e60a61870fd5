"""What decoding sees in a clip: its tracks, its seconds, what deserves a warning, and a contact sheet of it all."""

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
from extractors.processes import call_guarded
from extractors.selavi.extractor import RECIPES
from pipeline.base.errors import UsageError
from pipeline.base.files import replacing, storage_errors
from pipeline.base.progress import Reporter
from pipeline.base.workspace import Workspace
from pipeline.diagnostics.probe.contact_sheet import ContactSheetBuilder, contact_sheet_picture
from pipeline.diagnostics.probe.tracks import media_warnings, media_words
from pipeline.extraction.extractor_choice import extractor_errors, recorded_extractor

_READING_LIMIT_SECONDS = 600.0  # all packets of a file, from a slow disk too
_SILENCE_LIMIT_SECONDS = 60.0
_LONGEST_NAME_BYTES = 200  # file systems take 255, and a temporary name is longer


@dataclass(frozen=True)
class DecodingChoice:
    """How clips are decoded: the decoder's name, and samples a second of the sound."""

    decoder: str
    audio_rate_hz: int


@dataclass(frozen=True)
class Probe:
    """What was seen of a clip.

    Attributes:
        path: the clip.
        size_bytes: of the file; 0 where there is none.
        media: container and tracks; None where no demuxer takes the file.
        choice: how it was decoded.
        summary: of the decoding; None where it failed.
        reason: why it failed; '' where it did not.
        warnings: a line each.
        picture: the contact sheet; None where decoding failed.
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
        """An entry of `probe --json`."""
        document = dataclasses.asdict(self)
        return document | {"path": str(self.path), "picture": None if self.picture is None else str(self.picture)}


def decoding_choice(workspace: Workspace, decoder: str | None) -> DecodingChoice:
    """The decoder and the sound's rate that an extraction into this workspace would use.

    Args:
        workspace: may be fresh.
        decoder: one asked for by name; None: the workspace's, else PyAV.

    Raises:
        StorageError: the workspace's note of its extractor is damaged.
    """
    recorded = recorded_extractor(workspace)
    if recorded is None:
        return DecodingChoice(decoder or "pyav", RECIPES["avca"].audio_rate_hz)
    return DecodingChoice(decoder or recorded.decoder, RECIPES[recorded.extractor.recipe].audio_rate_hz)


def picture_places(workspace: Workspace, clips: Sequence[Path], out: Path | None, *, force: bool) -> list[Path]:
    """Where each clip's picture goes: `probes/` in the workspace, or the file asked for.

    Raises:
        UsageError: that file exists already, is no PNG, or there are several clips for it.
    """
    if out is not None:
        if len(clips) > 1:
            raise UsageError(f"--out {out} names one file for {len(clips)} clips: leave it out, or probe one clip")
        if out.suffix.lower() != ".png":
            raise UsageError(f"--out {out}: the contact sheet is a PNG, give a name that ends in .png")
        if out.is_dir() or (out.exists() and not force):
            raise UsageError(f"--out {out} exists already: choose another name, or pass --force to replace it")
        return [out]
    places: list[Path] = []
    for clip in clips:
        name = os.fsdecode(os.fsencode(clip.name)[:_LONGEST_NAME_BYTES])
        candidates = (f"{name}{f'-{number}' if number > 1 else ''}.png" for number in range(1, len(clips) + 1))
        places.append(next(place for each in candidates if (place := workspace.root / "probes" / each) not in places))
    return places


def probe(path: Path, picture: Path, choice: DecodingChoice, reporter: Reporter) -> Probe:
    """Describe a clip, decode all of it, and draw its contact sheet.

    Raises:
        PipelineError: there is no such decoder, or the picture cannot be written. What is wrong with the clip is in
            the result.
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
    request = DecodingRequest(path=path, audio_rate_hz=choice.audio_rate_hz)
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
    raise VideoError("the decoder gave nothing")
