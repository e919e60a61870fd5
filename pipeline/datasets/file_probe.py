"""Check before an extraction whether video files can be read, and what they contain."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from extractors.decoding.tracks import MediaDescription, describe_media
from extractors.errors import VideoError
from extractors.processes.guarded_calls import call_guarded_each
from pipeline.base.progress import Reporter
from pipeline.datasets.dataset import Video
from pipeline.datasets.sources.found import LeftOut

_LIMIT_SECONDS = 120.0  # to read all packets of a file


@dataclass(frozen=True)
class Probed:
    """The result of checking the files of videos.

    Attributes:
        videos: the videos whose file can be read.
        unreadable: the other videos, with reasons.
        soundless: number of readable videos without sound.
        pictureless: number of readable videos without pictures.
        seconds: total length of the readable videos.
    """

    videos: tuple[Video, ...]
    unreadable: tuple[LeftOut, ...]
    soundless: int
    pictureless: int
    seconds: float


@dataclass(frozen=True)
class _File:
    seconds: float
    has_audio: bool
    has_visual: bool


def probe_videos(videos: Sequence[Video], *, workers: int | None, reporter: Reporter) -> Probed:
    """Read every file once, each in a process that may crash or hang without harm to the others.

    Args:
        videos: videos to check; several may be segments of one file.
        workers: number of processes; None for one per core.
        reporter: receives the progress.
    """
    files = _read([Path(location) for location in dict.fromkeys(video.location for video in videos)], workers, reporter)
    readable, unreadable, seconds = [], [], 0.0
    soundless = pictureless = 0
    for video in videos:
        file = files[video.location]
        reason = file if isinstance(file, str) else _why_outside(video, file)
        if isinstance(file, str) or reason:
            unreadable.append(LeftOut(video.key, reason))
            continue
        readable.append(video)
        soundless += not file.has_audio
        pictureless += not file.has_visual
        end = file.seconds if video.end_seconds is None else min(video.end_seconds, file.seconds)
        seconds += max(0.0, end - (video.start_seconds or 0.0))
    return Probed(tuple(readable), tuple(unreadable), soundless, pictureless, seconds)


def _read(paths: Sequence[Path], workers: int | None, reporter: Reporter) -> dict[str, _File | str]:
    """Read files; return path -> what the file contains, or the reason why it cannot be read."""
    from pipeline.base.system import usable_cores  # noqa: PLC0415 - it imports torch, which takes seconds

    files: dict[str, _File | str] = {}
    failed = 0
    with reporter.track("checking", len(paths)) as tracker:
        for path, answer in call_guarded_each(
            describe_media, paths, workers=workers or usable_cores(), limit_seconds=_LIMIT_SECONDS
        ):
            entry = str(answer) if isinstance(answer, VideoError) else _content(answer)
            files[str(path)] = entry
            failed += isinstance(entry, str)
            tracker.note(f"{failed} unreadable" if failed else "")
            tracker.advance()
    return files


def _content(media: MediaDescription) -> _File | str:
    """Summarise the tracks that decoding would use, without cover pictures; or give the reason why there are none."""
    tracks = [track for track in media.tracks if track.decoded and track.packets and not track.cover]
    kinds = {track.kind for track in tracks}
    if not kinds & {"audio", "video"}:
        return "no picture and no sound"
    lengths = [track.seconds or track.announced_seconds or 0.0 for track in tracks]
    return _File(max(lengths), "audio" in kinds, "video" in kinds)


def _why_outside(video: Video, file: _File) -> str:
    """Explain why a segment is outside its file; '' if it is not."""
    start = video.start_seconds or 0.0
    return f"it begins at {start:g} s of a file of {file.seconds:.1f} s" if start >= file.seconds > 0 else ""
