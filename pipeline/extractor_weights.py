"""Which weights an extractor gets: chosen by name, by file, or by what the workspace uses already."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from extractors.errors import ExtractorError
from extractors.selavi import ExtractorOptions
from extractors.visual_network import SELAVI_WIDTH
from extractors.weights import ResolvedWeights, resolve_weights
from pipeline.cache_folder import cache_folder
from pipeline.errors import PipelineError
from pipeline.progress import Reporter, Tracker
from pipeline.workspace import Workspace


@contextlib.contextmanager
def extractor_errors() -> Iterator[None]:
    """Give an extractor's expected errors the pipeline's name."""
    try:
        yield
    except ExtractorError as error:
        raise PipelineError(str(error)) from error


def choose_weights(
    workspace: Workspace, options: ExtractorOptions, reporter: Reporter
) -> tuple[ExtractorOptions, ResolvedWeights]:
    """Find the weights that options ask for; the options returned name exactly those.

    `auto` stays with what this workspace already uses, so that nothing changes under it.
    """
    spec = options.weights
    record = workspace.stages().get("features")
    if spec == "auto" and record:
        spec = str(record.summary.get("weights", spec))
    if spec == "auto" and options.width != SELAVI_WIDTH:
        spec = "untrained"
    if Path(spec).is_file():
        spec = str(Path(spec).absolute())
    weights = fetch_weights(spec, reporter, seed=options.seed)
    if weights.note:
        reporter.warn(weights.note)
    return replace(options, weights=spec if Path(spec).is_absolute() else weights.name), weights


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
