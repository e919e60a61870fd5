"""Stage 1: videos -> features.h5. Only what is not there yet is extracted, by one process or by several."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import torch

from extractors.errors import UnavailableError
from extractors.runtime.networks import check_runtime
from pipeline.base.errors import DamagedFileError, PipelineError, UsageError
from pipeline.base.progress import Reporter, Stop, never_stop
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import named_dataset
from pipeline.extraction.extract_missing import extract_missing
from pipeline.extraction.merge import ExtractionReport, merge_store
from pipeline.extraction.plan import Preparation, prepare
from pipeline.extraction.shards import Share, preparing_share, refuse_running_shares, working_on
from pipeline.features.index import StoredFailure, StoredVideo
from pipeline.settings.extraction import ExtractionSettings


@dataclass(frozen=True)
class ShareReport:
    """What the extraction of one share did."""

    share: Share
    videos: int  # of the share
    extracted: int
    reused: int
    failures: tuple[tuple[str, str], ...]  # video, reason; of the share

    @property
    def failed(self) -> int:
        """Videos without features."""
        return len(self.failures)


def extract(
    workspace: Workspace,
    source: Path | None,
    settings: ExtractionSettings,
    *,
    device: torch.device,
    reporter: Reporter,
    retry_failed: bool = False,
    stop: Stop = never_stop,
) -> ExtractionReport:
    """Extract the features of every video that `source` names and that has none yet, and merge them into features.h5.

    Args:
        workspace: where everything is kept.
        source: a folder `<class>/<file>` or a manifest; None: the dataset the workspace holds.
        settings: how.
        device: where the networks run.
        reporter: hears what happens.
        retry_failed: try videos again that failed before.
        stop: whether to stop, with all that is finished in parts.

    Raises:
        ExtractionStoppedError: `stop` said so.
        PipelineError: the source is wrong, the weights cannot be had, the workspace is in use, the disk is full.
    """
    _check_runtime(settings, device)
    dataset = named_dataset(source, workspace.dataset_folder)
    with workspace.locked("extract"):
        refuse_running_shares(workspace)
        store = prepare(workspace, dataset, settings, reporter, alone=True).keep(reporter)
        todo = store.due(retry_failed=retry_failed)
        extract_missing(todo, store, device=device, reporter=reporter, stop=stop)
        try:
            return merge_store(store, new=todo)
        except DamagedFileError:  # where no other sign told of it
            store = store.recheck(reporter)
            again = store.due(retry_failed=False)
            extract_missing(again, store, device=device, reporter=reporter, stop=stop)
            return merge_store(store, new=(*todo, *again))


def extract_share(
    workspace: Workspace,
    source: Path | None,
    settings: ExtractionSettings,
    *,
    share: Share,
    device: torch.device,
    reporter: Reporter,
    retry_failed: bool = False,
    stop: Stop = never_stop,
) -> ShareReport:
    """Extract one share of the videos beside other processes, and leave merging for later.

    Args:
        workspace: on a folder that all these processes see.
        source: as for `extract`; at the same place for all of them.
        settings: as for `extract`; those that can change a feature must be the same for all of them.
        share: which videos.
        device: where the networks run.
        reporter: hears what happens.
        retry_failed: try videos again that failed before.
        stop: whether to stop, with all that is finished in parts.

    Raises:
        ExtractionStoppedError: `stop` said so.
        PipelineError: as for `extract`; also where another process has this share.
    """
    _check_runtime(settings, device)
    dataset = named_dataset(source, workspace.dataset_folder)
    with contextlib.ExitStack() as stack:
        with preparing_share(workspace, reporter):
            stack.enter_context(working_on(workspace, share))
            store = prepare(workspace, dataset, settings, reporter, alone=False).keep(reporter)
        todo = [video for video in store.due(retry_failed=retry_failed) if share.takes(video.key)]
        extract_missing(todo, store, device=device, reporter=reporter, stop=stop)
    mine = [video for video in store.dataset.videos if share.takes(video.key)]
    entries, new = [store.parts.entry(video) for video in mine], {video.key for video in todo}
    stored = {entry.video for entry in entries if isinstance(entry, StoredVideo)}
    return ShareReport(
        share=share,
        videos=len(mine),
        extracted=len(stored & new),
        reused=len(stored - new),
        failures=tuple((entry.video, entry.reason) for entry in entries if isinstance(entry, StoredFailure)),
    )


def _check_runtime(settings: ExtractionSettings, device: torch.device) -> None:
    """Refuse what cannot run here before weights are fetched and files are written."""
    try:
        check_runtime(settings.runtime, device, settings.extractor.precision)
    except UnavailableError as error:
        raise UsageError(str(error)) from error


def merge(
    workspace: Workspace,
    source: Path | None,
    settings: ExtractionSettings,
    *,
    reporter: Reporter,
    allow_missing: bool = False,
) -> ExtractionReport:
    """Merge what several shares extracted into features.h5.

    Args:
        workspace: where their parts are.
        source: as for `extract`.
        settings: as for `extract`.
        reporter: hears what happens.
        allow_missing: also while videos are not extracted yet; those are left out.

    Raises:
        PipelineError: videos are missing, a share is still being extracted, the disk is full.
    """
    dataset = named_dataset(source, workspace.dataset_folder)
    with workspace.locked("extract --merge"):
        refuse_running_shares(workspace)
        store = prepare(workspace, dataset, settings, reporter, alone=True)
        try:
            return _merge(store, reporter, allow_missing=allow_missing)
        except DamagedFileError:  # where no other sign told of it
            return _merge(store.recheck(reporter), reporter, allow_missing=allow_missing)


def _merge(store: Preparation, reporter: Reporter, *, allow_missing: bool) -> ExtractionReport:
    missing, videos = store.due(retry_failed=False), len(store.dataset.videos)
    if len(missing) == videos or (missing and not allow_missing):
        remedy = "" if len(missing) == videos else "; or merge what is there with --allow-missing"
        raise PipelineError(
            f"{len(missing)} of {videos} videos are not extracted yet: run the parts that did not end, "
            f"or avzsl extract without --part for what is missing{remedy}"
        )
    return merge_store(store.keep(reporter), missing=missing)
