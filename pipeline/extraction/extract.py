"""The extraction stage: from videos to features.h5, in one process or in several shards."""

import contextlib
import functools
from dataclasses import dataclass
from pathlib import Path

import torch

from extractors.errors import UnavailableError
from extractors.runtime.networks import check_runtime
from pipeline.base.errors import DamagedFileError, PipelineError, UsageError
from pipeline.base.progress import Reporter, Stop, never_stop
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import Dataset, named_dataset
from pipeline.datasets.moved import follow_move
from pipeline.extraction.extract_missing import extract_missing
from pipeline.extraction.merge import ExtractionReport, merge_parts_of
from pipeline.extraction.plan import ExtractionPlan, plan_extraction
from pipeline.extraction.shards import Shard, planning_shard, refuse_running_shards, working_on
from pipeline.features.index import StoredFailure, StoredVideo
from pipeline.features.known_files import known_files
from pipeline.settings.extraction import ExtractionSettings


@dataclass(frozen=True)
class ShardReport:
    """The result of the extraction of one shard."""

    shard: Shard
    videos: int  # number of videos in the shard
    extracted: int
    reused: int
    failures: tuple[tuple[str, str], ...]  # (video, reason) in the shard

    @property
    def failed(self) -> int:
        """The number of videos without features."""
        return len(self.failures)


def extract(
    workspace: Workspace,
    source: Path | None,
    settings: ExtractionSettings,
    *,
    passed: frozenset[str] | None = None,
    device: torch.device,
    reporter: Reporter,
    retry_failed: bool = False,
    stop: Stop = never_stop,
) -> ExtractionReport:
    """Extract the features of every video that has none yet, and merge all into features.h5.

    Args:
        workspace: the workspace to extract into.
        source: class folders `<class>/<file>` or a manifest; None for the dataset of the workspace.
        settings: the settings of the extraction. Those that the user did not give are taken from the workspace.
        passed: names of the extraction settings that the user gave; None for those that differ from their defaults.
        device: the device of the networks.
        reporter: receives progress and results.
        retry_failed: whether to extract again the videos that failed before.
        stop: tells whether to stop; finished videos stay in part files.

    Raises:
        ExtractionStoppedError: `stop` returned True.
        PipelineError: the source is wrong, the weights cannot be fetched, the workspace is in use or the disk is full.
    """
    _check_runtime(settings, device)
    dataset = named_dataset(source, workspace.dataset_folder)
    with workspace.locked("extract"):
        refuse_running_shards(workspace)
        dataset = _after_move(dataset, source, workspace, reporter)
        plan = plan_extraction(workspace, dataset, settings, passed, reporter, alone=True).keep(reporter)
        todo = plan.due(retry_failed=retry_failed)
        extract_missing(todo, plan, device=device, reporter=reporter, stop=stop)
        try:
            return merge_parts_of(plan, new=todo)
        except DamagedFileError:  # damage that the earlier checks did not find
            plan = plan.recheck(reporter)
            again = plan.due(retry_failed=False)
            extract_missing(again, plan, device=device, reporter=reporter, stop=stop)
            return merge_parts_of(plan, new=(*todo, *again))


def extract_shard(
    workspace: Workspace,
    source: Path | None,
    settings: ExtractionSettings,
    *,
    passed: frozenset[str] | None = None,
    shard: Shard,
    device: torch.device,
    reporter: Reporter,
    retry_failed: bool = False,
    stop: Stop = never_stop,
) -> ShardReport:
    """Extract one shard of the videos while other processes extract others; merge them later.

    Args:
        workspace: a workspace in a folder that all these processes can access.
        source: as for `extract`; the same path for all of them.
        settings: as for `extract`; those that can change a feature must be equal for all of them.
        passed: as for `extract`.
        shard: the shard to extract.
        device: the device of the networks.
        reporter: receives progress and results.
        retry_failed: whether to extract again the videos that failed before.
        stop: tells whether to stop; finished videos stay in part files.

    Raises:
        ExtractionStoppedError: `stop` returned True.
        PipelineError: as for `extract`; also if another process extracts this shard.
    """
    _check_runtime(settings, device)
    dataset = named_dataset(source, workspace.dataset_folder)
    with contextlib.ExitStack() as stack:
        with planning_shard(workspace, reporter):
            stack.enter_context(working_on(workspace, shard))
            dataset = _after_move(dataset, source, workspace, reporter)
            plan = plan_extraction(workspace, dataset, settings, passed, reporter, alone=False).keep(reporter)
        todo = [video for video in plan.due(retry_failed=retry_failed) if shard.takes(video.key)]
        extract_missing(todo, plan, device=device, reporter=reporter, stop=stop)
    videos = [video for video in plan.dataset.videos if shard.takes(video.key)]
    entries, new = [plan.parts.entry(video) for video in videos], {video.key for video in todo}
    stored = {entry.video for entry in entries if isinstance(entry, StoredVideo)}
    return ShardReport(
        shard=shard,
        videos=len(videos),
        extracted=len(stored & new),
        reused=len(stored - new),
        failures=tuple((entry.video, entry.reason) for entry in entries if isinstance(entry, StoredFailure)),
    )


def _after_move(dataset: Dataset, source: Path | None, workspace: Workspace, reporter: Reporter) -> Dataset:
    """Return the dataset with its videos where they are now. Call this only under the workspace's lock."""
    known = functools.partial(known_files, workspace)
    is_moved = follow_move(workspace.dataset_folder, source, reporter, known_files=known)
    return named_dataset(source, workspace.dataset_folder) if is_moved else dataset


def _check_runtime(settings: ExtractionSettings, device: torch.device) -> None:
    """Refuse a runtime that cannot run here, before weights are fetched and files are written."""
    try:
        check_runtime(settings.runtime, device, settings.extractor.precision)
    except UnavailableError as error:
        raise UsageError(str(error)) from error


def merge(
    workspace: Workspace,
    source: Path | None,
    settings: ExtractionSettings,
    *,
    passed: frozenset[str] | None = None,
    reporter: Reporter,
    allow_missing: bool = False,
) -> ExtractionReport:
    """Merge the part files of all shards into features.h5.

    Args:
        workspace: the workspace of the part files.
        source: as for `extract`.
        settings: as for `extract`.
        passed: as for `extract`.
        reporter: receives the results.
        allow_missing: whether to leave out videos that are not extracted yet.

    Raises:
        PipelineError: videos are missing, a shard is still being extracted or the disk is full.
    """
    dataset = named_dataset(source, workspace.dataset_folder)
    with workspace.locked("extract --merge"):
        refuse_running_shards(workspace)
        dataset = _after_move(dataset, source, workspace, reporter)
        plan = plan_extraction(workspace, dataset, settings, passed, reporter, alone=True)
        try:
            return _merge(plan, reporter, allow_missing=allow_missing)
        except DamagedFileError:  # damage that the earlier checks did not find
            return _merge(plan.recheck(reporter), reporter, allow_missing=allow_missing)


def _merge(plan: ExtractionPlan, reporter: Reporter, *, allow_missing: bool) -> ExtractionReport:
    missing, videos = plan.due(retry_failed=False), len(plan.dataset.videos)
    if len(missing) == videos or (missing and not allow_missing):
        remedy = "" if len(missing) == videos else "; or merge what exists with --allow-missing"
        raise PipelineError(
            f"{len(missing)} of {videos} videos are not extracted yet: run the shards that did not end, "
            f"or avzsl extract without --part for what is missing{remedy}"
        )
    return merge_parts_of(plan.keep(reporter), missing=missing)
