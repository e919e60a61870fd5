"""Which extractor is meant: by options, by a file of weights, or the one a workspace uses already."""

import contextlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import asdict, replace
from pathlib import Path

from extractors.errors import ExtractorError
from extractors.selavi.extractor import ExtractorOptions
from extractors.selavi.networks import SELAVI_WIDTH
from extractors.selavi.weights import CHOICES, ResolvedWeights, resolve_weights
from pipeline.base.errors import PipelineError, StorageError, UsageError
from pipeline.base.files import read_json, write_json
from pipeline.base.progress import Reporter, Tracker
from pipeline.base.wording import does_not_exist
from pipeline.base.workspace import Workspace, cache_folder
from pipeline.settings.extraction import ExtractionSettings


@contextlib.contextmanager
def extractor_errors() -> Iterator[None]:
    """Give an extractor's expected errors the pipeline's name."""
    try:
        yield
    except ExtractorError as error:
        raise PipelineError(str(error)) from error


def choose_extractor(
    workspace: Workspace, settings: ExtractionSettings, reporter: Reporter
) -> tuple[ExtractionSettings, ResolvedWeights]:
    """Find the extractor that settings ask for; the settings returned name exactly that one.

    Whatever about the extractor was not named is as this workspace has it already, so that nothing changes under a user
    who calls a command without options.

    Raises:
        UsageError: weights that are neither a name nor a file, or a width that they do not have.
    """
    former = _remembered(workspace)
    named = _named(settings)
    if former is not None:
        settings = _as_before(settings, former, named)
        if not named:
            reporter.say(f"the extractor is the one this workspace uses already ({former.extractor.weights} weights)")
    options, spec = settings.extractor, settings.extractor.weights
    if options.width != SELAVI_WIDTH and "extractor.weights" not in named:
        spec = "untrained"  # no others have another width
    _check(spec, options.width)
    if Path(spec).is_file():
        spec = str(Path(spec).absolute())
    weights = fetch_weights(spec, reporter, seed=options.seed)
    if weights.note:
        reporter.warn(weights.note)
    exact = replace(options, weights=spec if Path(spec).is_absolute() else weights.name)
    return replace(settings, extractor=exact), weights


def _named(settings: ExtractionSettings) -> set[str]:
    """Dotted names of what was named of all that can change a feature; weights `auto` are not named."""
    values, defaults = _identifying(settings), _identifying(ExtractionSettings())
    differing = {name for name in values if values[name] != defaults[name]}
    named = differing if settings.named is None else set(settings.named & values.keys())
    return named - ({"extractor.weights"} if settings.extractor.weights == "auto" else set())


def _identifying(settings: ExtractionSettings) -> dict[str, object]:
    """All that can change a feature, by dotted names."""
    options = {f"extractor.{name}": value for name, value in asdict(settings.extractor).items()}
    return {**options, "decoder": settings.decoder, "dtype": settings.dtype}


def _as_before(settings: ExtractionSettings, former: ExtractionSettings, named: AbstractSet[str]) -> ExtractionSettings:
    """The settings with whatever was not named as it was."""
    options = {name: value for name, value in asdict(former.extractor).items() if f"extractor.{name}" not in named}
    others = {name: getattr(former, name) for name in ("decoder", "dtype") if name not in named}
    return replace(settings, extractor=replace(settings.extractor, **options), **others)


def _check(spec: str, width: int) -> None:
    """Refuse before anything is fetched what could only be refused afterwards."""
    if spec not in CHOICES and not Path(spec).is_file():
        names = ", ".join(CHOICES)
        raise UsageError(f"weights {spec!r}: {does_not_exist(Path(spec))} Give a file, or one of {names}")
    if spec not in {"untrained", "auto"} and width != SELAVI_WIDTH:
        raise UsageError(
            f"width {width} goes with untrained weights only: leave --width out, or pass --weights untrained"
        )


def remember(workspace: Workspace, settings: ExtractionSettings, fingerprint: str) -> None:
    """Note, before the first video, which extractor this workspace uses now."""
    options = asdict(settings.extractor)
    document = {"extractor": options, "decoder": settings.decoder, "dtype": settings.dtype, "fingerprint": fingerprint}
    write_json(workspace.extractor_file, document)


def _remembered(workspace: Workspace) -> ExtractionSettings | None:
    if not workspace.extractor_file.exists():
        return None
    document = read_json(workspace.extractor_file)
    try:
        options = ExtractorOptions(**document["extractor"])
        return ExtractionSettings(extractor=options, decoder=document["decoder"], dtype=document["dtype"])
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{workspace.extractor_file} is damaged: delete it and run the command again") from error


def fetch_weights(spec: str, reporter: Reporter, *, seed: int) -> ResolvedWeights:
    """Weights by name or file; a download shows its progress."""
    with contextlib.ExitStack() as stack:
        bar: list[Tracker] = []
        done = 0

        def on_progress(received: int, total: int | None) -> None:
            nonlocal done
            if not bar:
                bar.append(stack.enter_context(reporter.track(f"downloading the {spec} weights", total or 0)))
            bar[0].advance(received - done)
            done = received

        return resolve_weights(spec, cache_dir=cache_folder() / "weights", on_progress=on_progress, seed=seed)
