"""Choose the extractor from the settings that the user gave and the extractors that the workspace has used."""

import contextlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from extractors.base import ExtractorOptions, ResolvedWeights
from extractors.errors import ExtractorError, WeightsSpecError
from extractors.registry import about_extractor, extractor_family
from pipeline.base.errors import PipelineError, UsageError
from pipeline.base.files import read_document, write_json
from pipeline.base.progress import Reporter, Tracker
from pipeline.base.wording import not_a_file
from pipeline.base.workspace import Workspace, cache_folder
from pipeline.settings.extraction import EXTRACTOR_OPTIONS, AnyExtractorOptions, ExtractionSettings

_PREFIX = "extractor."  # of the names of an extractor's options


@contextlib.contextmanager
def extractor_errors() -> Iterator[None]:
    """Convert an extractor's expected errors to the pipeline's."""
    try:
        yield
    except WeightsSpecError as error:
        named = f"weights {error.missing!r}: {not_a_file(Path(error.missing))} " if error.missing else ""
        raise UsageError(f"{named}{error}") from error
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
        UsageError: the weights are neither a known name nor a file, or an option is not one of the extractor's.
    """
    given = _given(settings, passed)
    name = settings.extractor.name if f"{_PREFIX}name" in given else None
    former = recorded_extractor(workspace, name)
    if former is not None:
        settings = _as_before(settings, former, given)
        if not given:
            title = about_extractor(former.extractor.name).title
            reporter.say(
                f"the extractor is the one this workspace uses already ({title}, {former.extractor.weights} weights)"
            )
    with extractor_errors():
        own = frozenset(option.removeprefix(_PREFIX) for option in given if option.startswith(_PREFIX))
        options = extractor_family(settings.extractor.name).complete(settings.extractor, own)
        weights = fetch_weights(options, reporter)
    if weights.note:
        reporter.warn(weights.note)
    exact = options if Path(options.weights).is_absolute() else replace(options, weights=weights.name)
    return replace(settings, extractor=exact), weights


def _given(settings: ExtractionSettings, passed: frozenset[str] | None) -> set[str]:
    """List the settings that the user gave and that can change a feature; the weights `auto` do not count."""
    values = _identifying(settings)
    defaults = _identifying(ExtractionSettings(extractor=type(settings.extractor)()))
    given = {name for name in values if values[name] != defaults[name]} if passed is None else passed & values.keys()
    if passed is None and settings.extractor.name != ExtractionSettings().extractor.name:
        given = {*given, f"{_PREFIX}name"}
    return set(given) - ({f"{_PREFIX}weights"} if settings.extractor.weights == "auto" else set())


def _identifying(settings: ExtractionSettings) -> dict[str, object]:
    """List all settings that can change a feature: dotted name -> value."""
    options = {f"{_PREFIX}{name}": value for name, value in asdict(settings.extractor).items()}
    return {**options, "decoder": settings.decoder, "dtype": settings.dtype}


def _as_before(settings: ExtractionSettings, former: ExtractionSettings, given: AbstractSet[str]) -> ExtractionSettings:
    """Replace every setting that was not given by its former value.

    Raises:
        UsageError: the user gave an option that the extractor of the workspace does not have.
    """
    own = {name.removeprefix(_PREFIX) for name in given if name.startswith(_PREFIX)}
    known = {field.name for field in fields(former.extractor)}
    foreign = sorted(own - known)
    if foreign:
        raise UsageError(
            f"{foreign[0]} is no option of {former.extractor.name}, the extractor of this workspace: leave it out, or "
            f"name the extractor with --extractor {settings.extractor.name}"
        )
    extractor: Any = replace(former.extractor, **{name: getattr(settings.extractor, name) for name in own})
    others = {name: getattr(former, name) for name in ("decoder", "dtype") if name not in given}
    return replace(settings, extractor=extractor, **others)


def record_extractor(workspace: Workspace, settings: ExtractionSettings, fingerprint: str) -> None:
    """Record the extractor that the workspace uses from now on; call this before the first video is extracted."""
    options = asdict(settings.extractor)
    document = {"extractor": options, "decoder": settings.decoder, "dtype": settings.dtype, "fingerprint": fingerprint}
    write_json(workspace.extractor_file, document)
    write_json(workspace.extractor_file_of(settings.extractor.name), document)


@dataclass(frozen=True)
class _ExtractorRecord:
    """The content of features/extractor.json, and of the record of each extractor that was used."""

    extractor: AnyExtractorOptions
    decoder: Literal["pyav", "decord"]
    dtype: Literal["float16", "float32"]
    fingerprint: str = ""


def recorded_extractor(workspace: Workspace, name: str | None = None) -> ExtractionSettings | None:
    """Read the settings of an extractor that the workspace used.

    Args:
        workspace: the workspace.
        name: name of the extractor; None for the one that was used last.

    Returns:
        The settings; None if it was not used.

    Raises:
        StorageError: the record is damaged.
    """
    record = _record_of(workspace, name)
    if record is None:
        return None
    return ExtractionSettings(extractor=record.extractor, decoder=record.decoder, dtype=record.dtype)


def recorded_fingerprint(workspace: Workspace, name: str) -> str | None:
    """Return the fingerprint of the features that an extractor made last in a workspace; None if it was not used.

    Raises:
        StorageError: the record is damaged.
    """
    record = _record_of(workspace, name)
    return None if record is None else record.fingerprint


def _record_of(workspace: Workspace, name: str | None) -> _ExtractorRecord | None:
    """Read the record of an extractor, or of the one that was used last; older workspaces have only the latter."""
    files = [workspace.extractor_file]
    if name is not None:
        files.append(workspace.extractor_file_of(name))
    for file in files:
        if file.exists():
            record = read_document(file, _ExtractorRecord, partial(workspace.damaged_extractor, file=file))
            if name in {None, record.extractor.name}:
                return record
    return None


def options_in(attributes: "dict[str, Any]", weights: str) -> ExtractorOptions:
    """Return the options of the extractor that made some features, from their attributes.

    Args:
        attributes: root attributes of a feature file.
        weights: the weights to use.

    Raises:
        PipelineError: features of an extractor that this avzsl does not have.
    """
    name = str(attributes["extractor"])
    if name not in EXTRACTOR_OPTIONS:
        raise PipelineError(f"the features come from the extractor {name!r}, which this avzsl does not have")
    of_extractor = EXTRACTOR_OPTIONS[name]
    given = {
        field.name: attributes[field.name]
        for field in fields(of_extractor)
        if field.name in attributes and field.name not in {"name", "weights"}
    }
    return of_extractor(**given, weights=weights)


def fetch_weights(options: ExtractorOptions, reporter: Reporter) -> ResolvedWeights:
    """Find the weights of an extractor; download them if necessary, and show licence and progress.

    Raises:
        ExtractorError: as for `ExtractorFamily.find_weights`.
    """
    about = about_extractor(options.name)
    with contextlib.ExitStack() as stack:
        bar: list[Tracker] = []
        done = 0

        def on_progress(received: int, total: int | None) -> None:
            nonlocal done
            if not bar:
                reporter.warn(f"downloading weights of {about.title}'s authors, whose licence is {about.licence}")
                what = options.weights if options.weights != "auto" else options.name
                bar.append(stack.enter_context(reporter.track(f"downloading the {what} weights", total or 0)))
            bar[0].advance(received - done)
            done = received

        family = extractor_family(options.name)
        return family.find_weights(options, cache_dir=cache_folder() / "weights", on_progress=on_progress)
