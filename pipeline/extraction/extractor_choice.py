"""Choose the extractor from the settings that the user gave and the extractor that the workspace uses."""

import contextlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from extractors.errors import ExtractorError
from extractors.selavi.extractor import ExtractorOptions
from extractors.selavi.networks import SELAVI_WIDTH
from extractors.selavi.weights import CHOICES, LICENCE, ResolvedWeights, resolve_weights
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.files import read_document, write_json
from pipeline.base.progress import Reporter, Tracker
from pipeline.base.wording import not_a_file
from pipeline.base.workspace import Workspace, cache_folder
from pipeline.settings.extraction import ExtractionSettings


@contextlib.contextmanager
def extractor_errors() -> Iterator[None]:
    """Convert an extractor's expected errors to the pipeline's."""
    try:
        yield
    except ExtractorError as error:
        raise PipelineError(str(error)) from error


def choose_extractor(
    workspace: Workspace, settings: ExtractionSettings, passed: frozenset[str] | None, reporter: Reporter
) -> tuple[ExtractionSettings, ResolvedWeights]:
    """Choose the extractor; settings that the user did not give are taken from the workspace.

    Args:
        workspace: the workspace, which may use an extractor already.
        settings: the settings of the extraction.
        passed: names of the settings that the user gave; None for those that differ from their defaults.
        reporter: receives a message about the choice.

    Returns:
        The settings with the exact name of the weights, and the weights.

    Raises:
        UsageError: the weights are neither a known name nor a file, or do not have the required width.
    """
    former = recorded_extractor(workspace)
    given = _given(settings, passed)
    if former is not None:
        settings = _as_before(settings, former, given)
        if not given:
            reporter.say(f"the extractor is the one this workspace uses already ({former.extractor.weights} weights)")
    options, weights_name = settings.extractor, settings.extractor.weights
    if options.width != SELAVI_WIDTH and "extractor.weights" not in given:
        weights_name = "untrained"  # only untrained weights have another width
    _check(weights_name, options.width)
    if Path(weights_name).is_file():
        weights_name = str(Path(weights_name).absolute())
    weights = fetch_weights(weights_name, reporter)
    if weights.note:
        reporter.warn(weights.note)
    exact = replace(options, weights=weights_name if Path(weights_name).is_absolute() else weights.name)
    return replace(settings, extractor=exact), weights


def _given(settings: ExtractionSettings, passed: frozenset[str] | None) -> set[str]:
    """List the settings that the user gave and that can change a feature; the weights `auto` do not count."""
    values, defaults = _identifying(settings), _identifying(ExtractionSettings())
    given = {name for name in values if values[name] != defaults[name]} if passed is None else passed & values.keys()
    return set(given) - ({"extractor.weights"} if settings.extractor.weights == "auto" else set())


def _identifying(settings: ExtractionSettings) -> dict[str, object]:
    """List all settings that can change a feature: dotted name -> value."""
    options = {f"extractor.{name}": value for name, value in asdict(settings.extractor).items()}
    return {**options, "decoder": settings.decoder, "dtype": settings.dtype}


def _as_before(settings: ExtractionSettings, former: ExtractionSettings, given: AbstractSet[str]) -> ExtractionSettings:
    """Replace every setting that was not given by its former value."""
    options = {name: value for name, value in asdict(former.extractor).items() if f"extractor.{name}" not in given}
    others = {name: getattr(former, name) for name in ("decoder", "dtype") if name not in given}
    return replace(settings, extractor=replace(settings.extractor, **options), **others)


def _check(weights: str, width: int) -> None:
    """Refuse wrong weights before they are downloaded."""
    if weights not in CHOICES and not Path(weights).is_file():
        names = ", ".join(CHOICES)
        raise UsageError(f"weights {weights!r}: {not_a_file(Path(weights))} Give a file, or one of {names}")
    if weights not in {"untrained", "auto"} and width != SELAVI_WIDTH:
        raise UsageError(
            f"width {width} goes with untrained weights only: leave --width out, or pass --weights untrained"
        )


def record_extractor(workspace: Workspace, settings: ExtractionSettings, fingerprint: str) -> None:
    """Record the extractor that the workspace uses from now on; call this before the first video is extracted."""
    options = asdict(settings.extractor)
    document = {"extractor": options, "decoder": settings.decoder, "dtype": settings.dtype, "fingerprint": fingerprint}
    write_json(workspace.extractor_file, document)


@dataclass(frozen=True)
class _ExtractorRecord:
    """The content of features/extractor.json."""

    extractor: ExtractorOptions
    decoder: Literal["pyav", "decord"]
    dtype: Literal["float16", "float32"]


def recorded_extractor(workspace: Workspace) -> ExtractionSettings | None:
    """Read the settings of the extractor that the workspace uses; None in a new workspace.

    Raises:
        StorageError: the record is damaged.
    """
    file = workspace.extractor_file
    if not file.exists():
        return None
    record = read_document(file, _ExtractorRecord, workspace.damaged_extractor)
    return ExtractionSettings(extractor=record.extractor, decoder=record.decoder, dtype=record.dtype)


def fetch_weights(name: str, reporter: Reporter) -> ResolvedWeights:
    """Find weights by name or file; download them if necessary, and show the progress."""
    with contextlib.ExitStack() as stack:
        bar: list[Tracker] = []
        done = 0

        def on_progress(received: int, total: int | None) -> None:
            nonlocal done
            if not bar:
                reporter.warn(f"downloading weights of SeLaVi's authors, whose licence is {LICENCE}")
                bar.append(stack.enter_context(reporter.track(f"downloading the {name} weights", total or 0)))
            bar[0].advance(received - done)
            done = received

        return resolve_weights(name, cache_dir=cache_folder() / "weights", on_progress=on_progress)
