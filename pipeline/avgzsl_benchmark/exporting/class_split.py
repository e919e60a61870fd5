"""Write the folder `class-split`: the classes, their wordings, and the videos of each protocol stage."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.avgzsl_benchmark.importing.official_folder import MAIN_SPLIT
from pipeline.base.csv_tables import write_rows
from pipeline.base.files import write_text
from pipeline.datasets.official.protocol import RETRAINING, SPLIT_OF_STAGE, Benchmark
from pipeline.datasets.splits.splits import Splits


def videos_of_stages(splits: Splits) -> dict[str, list[str]]:
    """Map each protocol stage to its videos; stage 2 trains on all videos of stage 1."""
    stages = {stage: list(splits.by_name[split]) for stage, split in SPLIT_OF_STAGE.items()}
    stages[RETRAINING] = [key for stage in stages if stage.startswith("stage_1") for key in stages[stage]]
    return stages


def write_class_split(
    folder: Path,
    benchmark: Benchmark,
    words: Mapping[str, str],
    stages: Mapping[str, Sequence[tuple[str, str]]],
) -> None:
    """Write all_class.txt, the list of wordings, and for each protocol stage its classes and its videos.

    Args:
        folder: the folder class-split, which is created.
        benchmark: the benchmark that the published code will treat the folder as.
        words: class -> wording, for all classes.
        stages: protocol stage -> videos with their classes.

    Raises:
        StorageError: a full disk, or a folder that cannot be written.
    """
    names = sorted(words)
    code_of = {name: code for code, name in enumerate(names)}
    write_text(folder / "all_class.txt", _lines(names))
    pairs = [("original", "manual"), *((name, words[name]) for name in names)]
    write_rows(folder / benchmark.class_names_file, pairs, line_end="\n")
    for stage, videos in stages.items():
        write_text(folder / MAIN_SPLIT / f"{stage}.txt", _lines(sorted({name for _, name in videos})))
        rows = [(video, name, str(code_of[name])) for video, name in videos]
        write_rows(folder / MAIN_SPLIT / f"{stage}.csv", [("filename", "label", "label_code"), *rows], line_end="\n")


def _lines(names: Sequence[str]) -> str:
    return "".join(f"{name}\n" for name in names)
