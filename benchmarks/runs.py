"""Resumable runs of a benchmark: generated data, a training that is tested after every epoch, and stored results.

`does_it_help.py`, `network_size.py`, `training_holds.py` and `what_forgets.py` share them.
"""

import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from baselines import BASELINES, measured, table_of
from scipy.stats import t as student
from torch import Tensor

from daan.config import DaanConfig
from daan.method import Method
from daan.network import Daan
from pipeline.base.progress import never_stop
from pipeline.features.feature_set import FeatureSet, Standardiser
from pipeline.scoring.metrics import Metrics, gzsl_metrics
from pipeline.scoring.score_videos import score_videos
from pipeline.settings.training import TrainingSettings
from pipeline.training.epoch import TrainingStage, validations_per_epoch
from pipeline.training.fitting import StageState, fit
from pipeline.training.validation import Validation, Validator


@dataclass(frozen=True)
class Data:
    """Generated data and the videos that are used."""

    features: FeatureSet
    vectors: Tensor  # (C, W)
    train: Tensor  # indices of videos, as in the fields below
    validation: Tensor
    test: Tensor  # of training classes and of unseen test classes


class TestingValidator(Validator):
    """A validator that also tests the network, at the beta of the validation. It keeps the figures of every epoch.

    Args:
        data: the videos.
        standardiser: standardiser of the features.
        device: device of the network.
        watch: called with the network after each test.
    """

    def __init__(
        self, data: Data, standardiser: Standardiser, device: torch.device, watch: Callable[[Method], None]
    ) -> None:
        labels = data.features.labels
        seen, allowed = (torch.zeros(len(data.vectors), dtype=torch.bool) for _ in range(2))
        seen[labels[data.train]] = True
        allowed[labels[torch.cat((data.train, data.validation))]] = True
        super().__init__(
            data.features,
            data.validation,
            data.vectors,
            standardiser,
            seen=seen,
            allowed=allowed,
            score="sum",
            least_videos=20,
            device=device,
        )
        self._data, self._test_device, self._test_standardiser = data, device, standardiser
        self._tested = torch.unique(labels[torch.cat((data.train, data.test))])  # classes
        self._trained = seen[self._tested].numpy()
        self._watch = watch
        self.epochs: list[tuple[Validation, Metrics]] = []

    def __call__(self, network: Method) -> Validation:
        """Validate and test."""
        validation = super().__call__(network)
        data = self._data
        scored = score_videos(
            network,
            data.features,
            data.test,
            data.vectors[self._tested],
            self._trained,
            self._test_standardiser,
            self._test_device,
        )
        labels = torch.searchsorted(self._tested, data.features.labels[data.test]).numpy()
        self.epochs.append((validation, gzsl_metrics(scored.nearest["sum"], labels, validation.metrics.beta)))
        self._watch(network)
        return validation


def trained(
    config: DaanConfig,
    settings: TrainingSettings,
    data: Data,
    device: torch.device,
    watch: Callable[[Method], None] = lambda _: None,
) -> tuple[StageState, list[tuple[Validation, Metrics]]]:
    """Train DAAN on the training videos. Each validation is followed by a test.

    Args:
        config: options of the network, with the widths of the data.
        settings: settings of the training; the seed also gives the network's first weights.
        data: the videos.
        device: device to train on.
        watch: called with the network after each validation.

    Returns:
        The finished stage, and the metrics of each validation and of the test after it.
    """
    standardiser = data.features.statistics(data.train).to(device)
    validator = TestingValidator(data, standardiser, device, watch)
    per_epoch = validations_per_epoch(settings, len(data.train))
    with tempfile.TemporaryDirectory() as folder:
        stage = TrainingStage(
            name="stage1",
            folder=Path(folder),
            periods=settings.epochs * per_epoch,
            validations_per_epoch=per_epoch,
            train=data.train,
            features=data.features,
            standardiser=standardiser,
            class_vectors=data.vectors,
            settings=settings,
            device=device,
            fingerprint="",
            validator=validator,
        )
        torch.manual_seed(settings.seed)
        state = fit(Daan(config).to(device), stage, on_epoch=lambda *_: None, stop=never_stop)
    return state, validator.epochs


def baseline(name: str, data: Data, test: Tensor, seed: int = 0) -> Metrics:
    """Fit a baseline to the training videos; the validation videos choose its setting.

    Args:
        name: a name in BASELINES.
        data: the videos.
        test: indices of the videos that the metrics are of.
        seed: seed of the baseline.
    """
    table = table_of(
        data.features,
        data.vectors,
        train=data.train,
        validation=data.validation,
        retrain=data.train,
        test=test,
    )
    return measured(table, BASELINES[name](seed)).metrics


class Results:
    """The finished runs, in a file of one JSON document per line."""

    def __init__(self, file: Path) -> None:
        self._file = file
        text = file.read_text() if file.exists() else ""
        whole = text[: text.rfind("\n") + 1]  # a killed process may have left a part of a line
        if whole != text:
            file.write_text(whole)
        self._runs: dict[str, dict[str, Any]] = {one["key"]: one for one in map(json.loads, whole.splitlines())}

    def finish(self, tasks: Sequence[Any], jobs: int, work: Callable[[Any], dict[str, Any]]) -> None:
        """Do the runs that are not finished yet, and print how far they are.

        Args:
            tasks: the runs, each with a `key`.
            jobs: number of processes.
            work: does a run and returns its figures with its key.
        """
        due = [task for task in tasks if task.key not in self._runs]
        began = time.monotonic()
        with multiprocessing.get_context("spawn").Pool(jobs) as pool, self._file.open("a") as file:
            for number, one in enumerate(pool.imap_unordered(work, due), start=1):
                file.write(json.dumps(one) + "\n")
                file.flush()
                self._runs[one["key"]] = one
                left = (time.monotonic() - began) / number * (len(due) - number) / 60
                print(f"{number} of {len(due)}, about {left:.0f} min left", flush=True)

    def __getitem__(self, task: Any) -> dict[str, Any]:  # noqa: ANN401 - as in `finish`
        return self._runs[task.key]


def interval(differences: Sequence[float]) -> str:
    """Format a mean and its 95 % interval by Student's t."""
    mean, count = statistics.mean(differences), len(differences)
    if count < 2:
        return f"{mean:+.1f}"
    half = float(student.ppf(0.975, count - 1)) * statistics.stdev(differences) / count**0.5
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def numbers(text: str) -> list[int]:
    """Read seeds such as `4-13` or `0,2,5`."""
    first, dash, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if dash else [int(one) for one in text.split(",")]
