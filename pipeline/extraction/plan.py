"""What every way to extract begins with: the dataset, the extractor, and the parts that are there already."""

import dataclasses
from pathlib import Path

from extractors.decoding.interface import get_decoder
from extractors.selavi.extractor import describe
from extractors.selavi.weights import ResolvedWeights
from pipeline.base.files import fingerprint, sweep
from pipeline.base.progress import Reporter
from pipeline.base.system import collector_paused
from pipeline.base.wording import counted, some_of
from pipeline.base.workspace import Workspace
from pipeline.datasets.dataset import Dataset, Video
from pipeline.datasets.dataset_folder import DatasetFolder
from pipeline.extraction.extractor_choice import choose_extractor, extractor_errors, remember
from pipeline.features.index import StoredFailure
from pipeline.features.parts import FeatureParts
from pipeline.features.store import Attributes
from pipeline.settings.extraction import ExtractionSettings

_STAGE_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Preparation:
    """A dataset and the store that it is extracted into.

    Attributes:
        workspace: where both are.
        dataset: what is to be extracted.
        settings: they name the extractor exactly.
        weights: of its networks.
        attributes: what its files of features say of it.
        identity: the fingerprint of everything that can change a feature.
        parts: what is extracted already.
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
        """features.h5, failures.csv and parts/."""
        return self.workspace.feature_folder(self.identity)

    @collector_paused()
    def due(self, *, retry_failed: bool) -> list[Video]:
        """Videos without features of their present content, and on request those that failed."""
        entries = ((video, self.parts.valid_entry(video)) for video in self.dataset.videos)
        return [
            video for video, entry in entries if entry is None or (retry_failed and isinstance(entry, StoredFailure))
        ]

    def keep(self, reporter: Reporter) -> "Preparation":
        """Make the dataset and the extractor those of the workspace, which from now on a bare command means."""
        remember(self.workspace, self.settings, self.identity)
        folder = DatasetFolder(self.workspace.dataset_folder, origin=str(self.dataset.source))
        return dataclasses.replace(self, dataset=folder.keep(self.dataset, reporter))

    def recheck(self, reporter: Reporter) -> "Preparation":
        """Read every part to its last byte, and set aside those that are damaged. Only under the workspace's lock."""
        parts = FeatureParts(self.folder / "parts", read_fully="all")
        parts.set_damaged_aside(reporter)
        parts.save_checks()
        return dataclasses.replace(self, parts=parts)


@collector_paused()
def prepare(
    workspace: Workspace, dataset: Dataset, settings: ExtractionSettings, reporter: Reporter, *, alone: bool
) -> Preparation:
    """Choose the extractor and look at the parts. Call it under the workspace's lock; `keep` what comes of it.

    Args:
        workspace: where everything is kept.
        dataset: what is to be extracted.
        settings: how.
        reporter: hears what happens.
        alone: no other process adds parts meanwhile, so what killed ones left may be put in order.

    Raises:
        PipelineError: the weights cannot be had, the disk is full.
    """
    ignored = f" ({dataset.ignored} more lie in no class folder and are left out)" if dataset.ignored else ""
    videos, classes = counted(len(dataset.videos), "video"), counted(len(dataset.classes), "class")
    reporter.say(f"{dataset.source}: {videos} in {classes}{ignored}")
    if dataset.other_files:
        endings = some_of([f"{ending or 'no ending'} {count}" for ending, count in dataset.other_files.items()])
        reporter.say(f"left out by their endings: {counted(sum(dataset.other_files.values()), 'file')} ({endings})")
    with extractor_errors():
        settings, weights = choose_extractor(workspace, settings, reporter)
        get_decoder(settings.decoder)
        attributes = describe(settings.extractor, weights) | {"decoder": settings.decoder, "dtype": settings.dtype}
    identity = fingerprint({"stage": _STAGE_VERSION, **attributes})
    folder = workspace.feature_folder(identity)
    if alone:
        sweep(workspace.root, workspace.dataset_folder, folder.parent, folder, folder / "parts")
    parts = FeatureParts(folder / "parts", read_fully="unknown")
    if alone:
        parts.set_damaged_aside(reporter)
        parts.save_checks()
    for path in parts.damaged:
        reporter.warn(f"{path} is damaged: its videos are extracted again")
    attributes |= {"feature_width": settings.extractor.feature_width}
    if Path(settings.extractor.weights).is_absolute():
        attributes |= {"weights_file": settings.extractor.weights}
    return Preparation(workspace, dataset, settings, weights, attributes, identity, parts)


def in_words(attributes: Attributes) -> str:
    """An extractor for people."""
    narrow = f", width {attributes['width']} instead of 64" if attributes["width"] != 64 else ""
    return f"SeLaVi ({attributes['weights']}, recipe {attributes['recipe']}{narrow})"
