"""The three published benchmarks: their names in the official files, and the stages of their protocol."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.base.errors import UsageError
from pipeline.base.wording import did_you_mean


@dataclass(frozen=True)
class Benchmark:
    """A published benchmark.

    Attributes:
        name: the name of our preset, also used in the name of the list of class names.
        dataset: the name of the dataset in the published code.
        vectors: the name of the file of class vectors.
    """

    name: str
    dataset: str
    vectors: str

    @property
    def class_names_file(self) -> str:
        """The file in class-split that lists the phrases of each class, `original,manual`."""
        return f"{self.name}_w2v_class_names.csv"


BENCHMARKS: Mapping[str, Benchmark] = {
    "ucf": Benchmark("ucf", "UCF", "word_embeddings_ucf_normed.npy"),
    "activitynet": Benchmark("activitynet", "ActivityNet", "word_embeddings_activity_normed.npy"),
    "vggsound": Benchmark("vggsound", "VGGSound", "word_embeddings_vggsound_normed.npy"),
}


def benchmark_named(text: str) -> str:
    """Find a benchmark by its name in any case, as in `UCF`.

    Raises:
        UsageError: no benchmark of this name.
    """
    name = text.strip().lower()
    if name not in BENCHMARKS:
        known = ", ".join(BENCHMARKS)
        raise UsageError(f"unknown benchmark {text!r}: choose one of {known}.{did_you_mean(name, BENCHMARKS)}")
    return name


# Protocol stage, which names a folder and a list of the official layout -> our split. The protocol uses this order.
SPLIT_OF_STAGE: Mapping[str, str] = {
    "stage_1_train": "train",
    "stage_1_val_seen": "val_seen",
    "stage_1_val_unseen": "val_unseen",
    "stage_2_test_seen": "test_seen",
    "stage_2_test_unseen": "test_unseen",
}
RETRAINING = "stage_2_train"  # the first three protocol stages together
STAGES = (*SPLIT_OF_STAGE, RETRAINING)
FOLDER_OF_MODALITY: Mapping[str, str] = {"audio": "audio", "visual": "video"}
