"""Plan an extraction: the dataset, the extractor, and the part files that exist already."""

import dataclasses
from pathlib import Path

from extractors.base import ResolvedWeights, width_of
from extractors.decoding.interface import get_decoder
from extractors.registry import about_extractor, extractor_family
from pipeline.base.files import fingerprint
from pipeline.base.progress import Reporter
from pipeline.base.system import collector_paused
from pipeline.base.wording import counted, some_of
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import Dataset, Video, nested_note
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.datasets.media_files import passed_over_note
from pipeline.datasets.split_folders import said
from pipeline.datasets.splits.splits import splits_of_folders
from pipeline.extraction.extractor_choice import choose_extractor, extractor_errors, record_extractor
from pipeline.features.attributes import Attributes, widths_as_attributes
from pipeline.features.index import StoredFailure
from pipeline.features.parts import FeatureParts
from pipeline.settings.extraction import ExtractionSettings

_STAGE_VERSION = 1


@dataclasses.dataclass(frozen=True)
class ExtractionPlan:
    """A dataset and the store that it is extracted into.

    Attributes:
        workspace: the workspace of both.
        dataset: the videos to extract.
        settings: the settings, with the exact name of the extractor.
        weights: the weights of the extractor's networks.
        attributes: the root attributes of the feature files.
        identity: the fingerprint of everything that can change a feature.
        parts: the part files that exist already.
    """

    workspace: Workspace
    dataset: Dataset
    settings: ExtractionSettings
    weights: ResolvedWeights
    attributes: Attributes
    identity: str
    parts: FeatureParts

    @property
    def folder(self) -> Path:
        """The folder of features.h5, failures.csv and parts/."""
        return self.workspace.feature_folder(self.identity)

    @collector_paused()
    def due(self, *, retry_failed: bool) -> list[Video]:
        """Find the videos to extract: those without features of their present content, and failed ones on request."""
        entries = ((video, self.parts.valid_entry(video)) for video in self.dataset.videos)
        return [
            video for video, entry in entries if entry is None or (retry_failed and isinstance(entry, StoredFailure))
        ]

    def keep(self, reporter: Reporter) -> "ExtractionPlan":
        """Record dataset and extractor in the workspace, so that a command without options uses them from now on."""
        record_extractor(self.workspace, self.settings, self.identity)
        folder = DatasetFolder(self.workspace.dataset_folder, origin=str(self.dataset.source))
        return dataclasses.replace(self, dataset=folder.keep(self.dataset, reporter))

    def recheck(self, reporter: Reporter) -> "ExtractionPlan":
        """Read every part file in full and rename the damaged ones. Call this only under the workspace's lock."""
        parts = FeatureParts(self.folder / "parts", read_fully="all")
        parts.back_up_damaged(reporter)
        parts.save_checks()
        return dataclasses.replace(self, parts=parts)


@collector_paused()
def plan_extraction(
    workspace: Workspace,
    dataset: Dataset,
    settings: ExtractionSettings,
    passed: frozenset[str] | None,
    reporter: Reporter,
    *,
    alone: bool,
) -> ExtractionPlan:
    """Choose the extractor and read the index of every part file. Call this while holding the workspace's lock.

    Args:
        workspace: the workspace to extract into.
        dataset: the videos to extract.
        settings: the settings of the extraction.
        passed: names of the extraction settings that the user gave; None for those that differ from their defaults.
        reporter: receives messages about the videos and the part files.
        alone: whether no other process adds part files, so that files of killed processes may be removed.

    Raises:
        PipelineError: the weights cannot be fetched, or the disk is full.
    """
    loose = f"; left out, because they are in no class folder: {some_of(dataset.loose)}" if dataset.loose else ""
    videos, classes = counted(len(dataset.videos), "video"), counted(len(dataset.classes), "class")
    reporter.say(f"{dataset.source}: {videos} in {classes}{loose}")
    if dataset.other_files:
        endings = some_of([f"{ending or 'no ending'} {count}" for ending, count in dataset.other_files.items()])
        reporter.say(f"left out by their endings: {counted(sum(dataset.other_files.values()), 'file')} ({endings})")
    if dataset.nested:
        reporter.warn(nested_note(dataset))
    if dataset.passed_over:
        reporter.say(passed_over_note(dataset.passed_over))
    of_folders = splits_of_folders(dataset)
    if of_folders is not None:
        reporter.say(f"{dataset.source}: {said(dataset.split_of, of_folders.test_unseen)}")
    with extractor_errors():
        settings, weights = choose_extractor(workspace, settings, passed, reporter)
        get_decoder(settings.decoder)
        family = extractor_family(settings.extractor.name)
        attributes = family.describe(settings.extractor, weights) | {
            "decoder": settings.decoder,
            "dtype": settings.dtype,
        }
        visual, audio = (width_of(width) for width in family.widths(settings.extractor, weights))
        where = family.where(settings.extractor, weights)
    identity = fingerprint({"stage": _STAGE_VERSION, **attributes})
    folder = workspace.feature_folder(identity)
    parts = FeatureParts(folder / "parts", read_fully="unknown")
    if alone:
        parts.back_up_damaged(reporter)
        parts.save_checks()
    for path in parts.damaged:
        reporter.warn(f"{path} is damaged: its videos are extracted again")
    attributes |= widths_as_attributes(visual=visual, audio=audio) | where
    return ExtractionPlan(workspace, dataset, settings, weights, attributes, identity, parts)


def describe_extractor(attributes: Attributes) -> str:
    """Name an extractor for people."""
    if attributes["extractor"] == "selavi":
        narrow = f", width {attributes['width']} instead of 64" if attributes["width"] != 64 else ""
        return f"SeLaVi ({attributes['weights']}, recipe {attributes['recipe']}{narrow})"
    models = [str(attributes[name]) for name in ("clip", "clap") if name in attributes]
    named = ", ".join(models) if attributes["weights"] == "auto" and models else attributes["weights"]
    return f"{about_extractor(str(attributes['extractor'])).title} ({named})"
