"""The three published benchmarks: how their own files call them, and the stages of their protocol."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Benchmark:
    """A published benchmark."""

    name: str  # of our preset, and of its list of class names
    dataset: str  # what public code calls it
    vectors: str  # its file of class vectors

    @property
    def class_names_file(self) -> str:
        """In class-split: which words stand for which class, `original,manual`."""
        return f"{self.name}_w2v_class_names.csv"


BENCHMARKS: Mapping[str, Benchmark] = {
    "ucf": Benchmark("ucf", "UCF", "word_embeddings_ucf_normed.npy"),
    "activitynet": Benchmark("activitynet", "ActivityNet", "word_embeddings_activity_normed.npy"),
    "vggsound": Benchmark("vggsound", "VGGSound", "word_embeddings_vggsound_normed.npy"),
}

# Folders and lists of the official layout, in the order in which a video is met, and our part that each one is.
SPLIT_OF_STAGE: Mapping[str, str] = {
    "stage_1_train": "train",
    "stage_1_val_seen": "val_seen",
    "stage_1_val_unseen": "val_unseen",
    "stage_2_test_seen": "test_seen",
    "stage_2_test_unseen": "test_unseen",
}
RETRAINING = "stage_2_train"  # the first three together
STAGES = (*SPLIT_OF_STAGE, RETRAINING)
FOLDER_OF_MODALITY: Mapping[str, str] = {"audio": "audio", "visual": "video"}
