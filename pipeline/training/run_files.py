"""The files of a finished run, and their checksums in model.json, by which damage is found before it is believed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from extractors.files.checksums import sha256_of_file
from pipeline.base.errors import DamagedFileError, StorageError
from pipeline.base.files import read_document, read_json, refuse_endless, storage_errors, write_json

DESCRIPTION = "model.json"  # written last; it has the checksums of the others
WEIGHTS, SPLITS, CONFIG = "model.safetensors", "splits.yaml", "config.yaml"
HISTORY, BALANCE = "stage1/history.csv", "stage1/balance.csv"
TIMING = "timing.json"  # without a checksum: two trainings of one run take different times
_CHECKED = (WEIGHTS, SPLITS, CONFIG, HISTORY, BALANCE)


def checksums_of(folder: Path) -> dict[str, str]:
    """Compute the sha256 of every file of a run that is read again: name -> checksum.

    Raises:
        StorageError: a file cannot be read.
    """
    found = {}
    for name in _CHECKED:
        path = folder / name
        if path.exists():
            with storage_errors(path):
                found[name] = sha256_of_file(path)
    return found


def check_file(folder: Path, name: str, checksums: Mapping[str, str]) -> Path:
    """Compare a file of a finished run with its checksum, and return its path.

    Args:
        folder: the run's folder.
        name: a name of this module.
        checksums: the checksums in model.json; a file that has none there is not checked.

    Raises:
        DamagedFileError: the file is not what training wrote.
        StorageError: the file cannot be read.
    """
    path = folder / name
    refuse_endless(path)
    with storage_errors(path):
        found = sha256_of_file(path)
    if checksums.get(name, found) != found:
        raise DamagedFileError(path, f"{path} is damaged: it is not what training wrote. Train the model again")
    return path


def damage_of(folder: Path) -> str:
    """Say which file of a finished run is damaged or missing; empty if all are whole."""

    def damage(fault: str) -> DamagedFileError:
        return DamagedFileError(folder, f"{folder / DESCRIPTION} is damaged ({fault}): train the model again")

    try:
        document = read_json(folder / DESCRIPTION, damage)
        files = document.get("files", {}) if isinstance(document, dict) else None
        if not isinstance(files, dict):
            raise damage("it lacks the checksums of its files")
        for name in files:
            check_file(folder, name, files)
    except StorageError as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class Timing:
    """How long an epoch of stage 1 took, with its validation, in the median."""

    seconds_per_epoch: float
    device: str


def write_timing(folder: Path, seconds_per_epoch: float, device: object) -> None:
    """Write timing.json next to the model.

    Raises:
        StorageError: a full disk, or a folder that cannot be written.
    """
    write_json(folder / TIMING, asdict(Timing(seconds_per_epoch, str(device))))


def read_timing(folder: Path) -> Timing | None:
    """Read timing.json; None for a run of an older version and for a damaged file: only a table lacks the time."""
    path = folder / TIMING
    try:
        return read_document(path, Timing, lambda fault: DamagedFileError(path, fault)) if path.is_file() else None
    except StorageError:
        return None
