"""Claim: an epoch of `avca` is at least 1.5 x as fast as with the public code, a validation 10 x; `tcaf`, `mft` 1 x.

The public code cannot be shipped. Ours is timed against a plain loop that does per step what the public code does. The
loop trains our networks with the public layers: torch's dropout, attention in three products, Adam that is not fused.
The rest was read in these files; small costs are left out:

- AVCA-GZSL, src/dataset.py, src/sampler.py, main.py: a DataLoader with 8 processes draws the negative of each video by
  itself and stacks 256 pairs of small tensors. src/model_improvements.py: three passes that no loss uses.
- TCAF-GZSL, src/dataset.py, main.py: a DataLoader with 4 processes pads each video by itself and makes tensors of lists
  of arrays, also for negatives, which no loss uses. src/model_sequence.py: the encoders also get the padding.
- Both, src/train.py: after each step the batch is embedded again, with a graph. Losses are copied to the host, in TCAF
  labels too, one by one. A validation does this without gradients for as many batches as an epoch has (AVCA: 500).
- AVCA-GZSL, src/utils.py: then all validation videos are embedded. For each of 16 betas all distances are computed, and
  the classes are counted 10 times. To count them, the file of their names is read 52 times.

MFT has no public code. ClipClap-GZSL and LSC-AVZSL, which it is based on, have TCAF's loop with averaged features.

One thread trains, so that the processes that load have a core of their own. An epoch is computed from timed steps. With
`--clock processor` only the process that trains counts: loading costs the plain loop nothing, and noise matters less.
"""

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from daan.baselines.avca import Avca
from daan.baselines.mft import Mft
from daan.baselines.tcaf import Tcaf
from daan.batch import VideoBatch
from daan.dropout import Dropout
from daan.gradients import total
from daan.method import Method, TrainingBatch
from pipeline.avgzsl_benchmark.synthetic.generate import synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import SyntheticRecipe
from pipeline.avgzsl_benchmark.synthetic.shapes import SHAPES
from pipeline.features.feature_set import Standardiser
from pipeline.settings.tree import load_settings
from pipeline.training.epoch import PairSampler, Period, TrainingStage
from pipeline.training.validation import Validator

CPU, FAR = torch.device("cpu"), 99_999_999_999_999  # FAR is a distance
SIDES, MODALITIES = ("positive", "negative"), ("audio", "visual")

CLOCKS: Mapping[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}

Item = tuple[dict[str, dict[str, Any]], dict[str, Any]]  # side -> name -> features and text; side -> class


class PlainAvca(Avca):
    """AVCA with the three passes that no loss uses."""

    def losses(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """Compute the losses, and pass on what the last calls of some layers returned."""
        found: dict[nn.Module, Tensor] = {}
        layers = (self.text_projection, self.audio_reconstructor, self.visual_reconstructor)
        hooks = [each.register_forward_hook(lambda layer, _, output: found.update({layer: output})) for each in layers]
        terms = super().losses(batch)
        for hook in hooks:
            hook.remove()
        for layer, unused in zip((self.decoder, self.audio_projection, self.visual_projection), layers, strict=True):
            layer(found[unused])
        return terms


class PlainTcaf(Tcaf):
    """TCaF whose encoders also get the padding."""

    def _each_second(self, encode: nn.Sequential, x: Tensor, mask: Tensor) -> Tensor:
        encoded: Tensor = encode(x.flatten(0, 1))
        return encoded.reshape(*mask.shape, -1)


class Rival(NamedTuple):
    """A method and what its public code does."""

    name: str
    ours: type[Method]
    plain: type[Method]
    options: Mapping[str, Any]  # of the plain network, which differ from ours
    goal: float  # ratio of a step
    validation_goal: float  # 0: not compared
    workers: int  # processes that load batches
    widths: tuple[int, int, int]  # audio, visual, text


RIVALS = (
    Rival("avca", Avca, PlainAvca, {}, 1.5, 10, 8, (512, 512, 300)),
    Rival("tcaf", Tcaf, PlainTcaf, {"faithful": True}, 1, 0, 4, (512, 512, 300)),
    Rival("mft", Mft, Mft, {}, 1, 0, 4, (1024, 512, 1536)),
)


class Ours:
    """Data in UCF's shape, and training and validation as `avzsl train` does them."""

    def __init__(self, rival: Rival, steps: int) -> None:
        audio, visual, text = rival.widths
        recipe = SyntheticRecipe(dtype="float32", audio_width=audio, visual_width=visual, text_width=text)
        benchmark = synthetic_benchmark(replace(SHAPES["ucf"], seconds=(1, 10)), recipe)
        splits, settings = benchmark.splits.by_name, load_settings(preset=f"{rival.name}-ucf")
        features = benchmark.features if rival.ours.needs.seconds else benchmark.features.averaged()
        vectors, unchanged = torch.from_numpy(benchmark.class_vectors), Standardiser.identity(audio, visual)
        train, held_out = (
            features.indices([key for name in names for key in splits[name]])
            for names in (("train",), ("val_seen", "val_unseen"))
        )
        seen, allowed = (torch.zeros(len(vectors), dtype=torch.bool) for _ in range(2))
        seen[features.labels[train]], allowed[features.labels[torch.cat((train, held_out))]] = True, True
        self.config: Any = replace(settings.method_config, audio_width=audio, visual_width=visual, text_width=text)
        self.network, self.epoch = rival.ours(self.config).train(), settings.training.steps_per_epoch
        changed, score = replace(settings.training, steps_per_epoch=steps), self.network.score
        fixed: Any = {"periods": 1, "validations_per_epoch": 1, "device": CPU, "folder": Path(), "fingerprint": ""}
        videos: Any = {"train": train, "features": features, "class_vectors": vectors, "standardiser": unchanged}
        self.stage = TrainingStage(name="stage1", settings=changed, **fixed, **videos)
        self.validator = Validator(
            features, held_out, vectors, unchanged, seen=seen, allowed=allowed, score=score, least_videos=20, device=CPU
        )
        self.held_out, self.seen, self.allowed = held_out, seen, allowed
        self._optimizer, self._sampler = adam(self.network, fused=True), PairSampler(features.labels, train)

    def steps(self) -> None:
        """Train one period."""
        Period(self.network, self._optimizer, self._sampler, self.stage, 1).run(lambda: None)


class PlainVideos(Dataset[Item]):
    """Pairs of videos, each made by itself. The negatives of validation videos are drawn once."""

    def __init__(self, ours: Ours, indices: Tensor) -> None:
        features, needs = ours.stage.features, ours.network.needs
        self.targets, self._keys = features.labels[indices], [features.keys[index] for index in indices]
        self._classes = set(self.targets.tolist())
        self.of_class = {label: np.flatnonzero(self.targets == label) for label in self._classes}
        self.table = ours.stage.class_vectors[sorted(self._classes)]
        self.row_of = {label: row for row, label in enumerate(sorted(self._classes))}
        first, seconds = features.offsets[indices], features.seconds[indices].tolist()

        def videos(values: Tensor) -> Any:  # noqa: ANN401 - tensors in AVCA, arrays in the other code
            if needs.seconds:
                return [values[start : start + many].numpy() for start, many in zip(first, seconds, strict=True)]
            return values[first] if needs.negatives else values[first].numpy()

        self.values = {"audio": videos(features.audio), "visual": videos(features.visual)}
        self._text: Any = self.table if needs.negatives else self.table.numpy()
        labels = enumerate(self.targets.tolist())
        self._fixed = [self._negative(index, label) for index, label in labels] if indices is ours.held_out else None

    def __getitem__(self, index: int) -> Item:
        """Make a pair."""
        label = int(self.targets[index].item())
        other, other_label = self._fixed[index] if self._fixed else self._negative(index, label)
        sides = {"positive": self._side(index, label), "negative": self._side(other, other_label)}
        return sides, {"positive": label, "negative": other_label}

    def _negative(self, index: int, label: int) -> tuple[int, int]:
        again = index
        while again == index:  # a second video of the class is drawn too, and not used
            again = np.random.choice(self.of_class[label])  # noqa: NPY002 - the function of the public code
        other_label = np.random.choice(list(self._classes - {label}))  # noqa: NPY002
        return np.random.choice(self.of_class[other_label]), other_label  # noqa: NPY002

    def _side(self, index: int, label: int) -> dict[str, Any]:
        text = self._text[list(self._classes).index(label)]
        return {"text": text, "key": self._keys[index], **{name: self.values[name][index] for name in MODALITIES}}


def padded(items: list[Item]) -> Item:
    """Pad each video by itself, and make tensors of lists of arrays."""
    batch: dict[str, dict[str, Any]] = {}
    for side in SIDES:
        sides = [pair[side] for pair, _ in items]
        batch[side] = {"text": torch.tensor([one["text"] for one in sides]), "key": [one["key"] for one in sides]}
        for name in MODALITIES:
            values = [one[name] for one in sides]
            seconds = [1 if value.ndim == 1 else len(value) for value in values]
            mask = torch.ones(len(values), max(seconds))
            for row, spare in enumerate(max(seconds) - each for each in seconds):
                if spare:
                    mask[row, -spare:] = 0
                    values[row] = np.pad(values[row], [(0, spare), (0, 0)])
            batch[side] |= {name: torch.tensor(values), f"{name}_mask": mask}
    return batch, {side: torch.tensor([labels[side] for _, labels in items]) for side in SIDES}


class Plain:
    """A plain loop that does what the public code does."""

    def __init__(self, rival: Rival, ours: Ours, workers: int | None) -> None:
        self._ours, self._workers = ours, rival.workers if workers is None else workers
        self.network = rival.plain(replace(ours.config, **rival.options))
        self.network.load_state_dict(ours.network.state_dict())
        self._optimizer, self._loss, self._terms = adam(self.network, fused=False), 0.0, dict[str, Tensor]()
        self.train, self.held_out = PlainVideos(ours, ours.stage.train), PlainVideos(ours, ours.held_out)

    def seconds(self, clock: Callable[[], float], videos: PlainVideos, count: int) -> tuple[float, float]:
        """Time steps on training videos, or batches of validation videos; return also what of it gets data.

        Timing begins when the queue of loaded batches is as full as usual, and ends before the last batch is loaded.
        """
        queue, waited = 2 * self._workers, 0.0
        batches = iter(self.loader(videos, 2 + queue + count + queue))
        self.network.train(videos is self.train)
        with public_layers(), torch.set_grad_enabled(self.network.training):
            for _ in range(2 + queue):
                self._step(videos, next(batches))
            began = clock()
            for _ in range(count):
                asked = clock()
                batch = next(batches)
                waited += clock() - asked
                self._step(videos, batch)
        return (clock() - began) / count, waited / count

    def loader(self, videos: PlainVideos, count: int) -> DataLoader[Item]:
        """Load batches in which all classes are equally likely."""
        rows = [(row, 1 / len(of_class)) for of_class in videos.of_class.values() for row in of_class]
        sampler = WeightedRandomSampler([weight for _, weight in rows], self._ours.stage.pairs)
        batches = ([rows[place][0] for place in sampler] for _ in range(count))
        collate = None if self.network.needs.negatives else padded
        return DataLoader(videos, batch_sampler=batches, num_workers=self._workers, collate_fn=collate)

    def pairs(self, videos: PlainVideos, batch: Item) -> TrainingBatch:
        """Give a batch the form that the network takes."""
        positive, negative = (batch[0][side] for side in SIDES)
        first, text, labels = video_batch(positive), positive["text"], batch[1]["positive"]
        if self.network.needs.negatives:
            both = zip(vars(first).values(), vars(video_batch(negative)).values(), strict=True)
            joined, texts = VideoBatch(*map(torch.cat, both)), torch.cat((text, negative["text"]))
            return TrainingBatch(joined, texts, labels, videos.table)
        for place in range(len(labels)):
            labels[place] = videos.row_of[labels[[place]].item()]
        return TrainingBatch(first, text, labels, videos.table)

    def _step(self, videos: PlainVideos, batch: Item) -> None:
        pairs = self.pairs(videos, batch)
        terms = self.network.losses(pairs)
        loss = total(terms)
        if self.network.training:
            self._optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self._optimizer.step()
        if not self.network.needs.negatives:
            for name, value in {**terms, "total": loss}.items():
                self._terms[name] = self._terms.get(name, torch.zeros(())) + value.detach().cpu()
        self.network.embed_videos(pairs.positive)
        self.network.embed_classes(pairs.positive_text)
        self._loss += loss.item()

    def evaluate(self) -> list[float]:
        """Compute HM in percent for each beta, as AVCA's code does."""
        videos, kept, figures = self.held_out, self._ours.allowed, []
        allowed, seen, unseen = (each.nonzero().flatten() for each in (kept, self._ours.seen, kept & ~self._ours.seen))
        self.network.eval()
        with public_layers(), torch.no_grad(), tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "classes.txt"
            file.write_text("".join(f"{name}\n" for name in self._ours.stage.features.classes))
            embedded = self.network.embed_videos(video_batch(videos.values))[self.network.score]
            classes = self.network.embed_classes(videos.table)

            def blank(*rows: int) -> Tensor:
                return torch.zeros(*rows, len(class_numbers(file)))

            def recall(nearest: Tensor) -> Tensor:
                right = nearest[nearest.eq(videos.targets.int()).nonzero().flatten()]
                found, every = (torch.bincount(one, minlength=len(blank())) for one in (right, videos.targets))
                recalls = blank()
                recalls[allowed] = found[allowed] / every[allowed]
                return recalls

            for beta in torch.linspace(0, 3, 16):
                distances, _ = (blank(len(embedded)) + FAR for _ in range(2))  # the second one is never used
                distances[:, allowed] = torch.cdist(embedded, classes)
                far, shift = blank(), blank() + beta
                far[seen], shift[unseen] = FAR, 0
                recalls, zero_shot = (recall((distances + more).argmin(1)) for more in (shift, far))
                s, u = recalls[seen].mean(), recalls[unseen].mean()
                hm = 200 * u * s / (u + s + np.finfo(float).eps)
                figures.append([each.item() for each in (hm, s, u, zero_shot[unseen].mean())] + zero_shot.tolist())
        return [each[0] for each in figures]


def class_numbers(file: Path) -> list[int]:
    """Number the classes as the public code does: it reads their file once, and again for each of them."""

    def names() -> list[str]:
        with file.open() as lines:
            return sorted(line.strip() for line in lines)

    return [{other.lower(): row for row, other in enumerate(sorted(names()))}[name.lower()] for name in names()]


def video_batch(values: Mapping[str, Any]) -> VideoBatch:
    """Give features of seconds, or their averages, the form that the network takes."""
    audio, visual = (each if each.ndim == 3 else each[:, None] for each in (values["audio"], values["visual"]))
    every = torch.ones(audio.shape[:2], dtype=torch.bool)
    return VideoBatch(audio, visual, *(values.get(f"{name}_mask", every).bool() for name in MODALITIES))


@contextmanager
def public_layers() -> Iterator[None]:
    """Use torch's dropout, and attention in three products with a mask per head."""

    def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        likeness = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        if attn_mask is not None:
            likeness.masked_fill_(~attn_mask.repeat(1, query.shape[1], 1, 1), -torch.finfo(likeness.dtype).max)
        return torch.matmul(likeness.softmax(-1), value)

    dropout = mock.patch.object(Dropout, "forward", nn.Dropout.forward)
    with dropout, mock.patch.object(F, "scaled_dot_product_attention", attention):
        yield


def adam(network: Method, *, fused: bool) -> torch.optim.Optimizer:
    """Create the optimiser; both loops have the same one in two implementations."""
    parameters = [each for each in network.parameters() if each.requires_grad]
    return torch.optim.Adam(parameters, lr=1e-4, weight_decay=1e-5, fused=fused)


def check(rival: Rival, ours: Ours) -> None:
    """Check that a plain loop computes our loss on a batch, and in AVCA our best HM of the betas, without dropout."""
    plain, stage, features = Plain(rival, ours, 0), ours.stage, ours.stage.features
    reference = rival.ours(plain.network.config).train()
    reference.load_state_dict(plain.network.state_dict())
    for module in (*reference.modules(), *plain.network.modules()):
        if isinstance(module, Dropout):
            module.p = 0.0
    batch = next(iter(plain.loader(plain.train, 1)))
    sides = SIDES if reference.needs.negatives else SIDES[:1]
    indices = features.indices([key for side in sides for key in batch[0][side]["key"]])
    labels, videos = features.labels[indices], features.batch(indices, stage.standardiser, CPU)
    rows = stage.rows_of_classes[labels[: stage.pairs]]
    expected = total(reference.losses(TrainingBatch(videos, stage.class_vectors[labels], rows, stage.class_table)))
    with public_layers():
        found = total(plain.network.losses(plain.pairs(plain.train, batch)))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    if rival.validation_goal:
        reference.load_state_dict(plain.network.state_dict())
        validation, means = ours.validator(reference), plain.evaluate()
        at_ours = means[round(5 * validation.grid_betas["avca"][reference.score])]
        np.testing.assert_allclose(at_ours, max(means), atol=0.2)
        np.testing.assert_array_less((1, max(means)), (max(means), validation.metrics.HM + 0.2))


def seconds(clock: Callable[[], float], work: Callable[..., object], *arguments: object) -> float:
    """Time one call in seconds."""
    began = clock()
    work(*arguments)
    return clock() - began


def spread(rounds: list[list[float]], first: int, second: int) -> str:
    """Format the ratio of two times of each round: the median, the least and the greatest."""
    ratios = [times[first] / times[second] for times in rounds]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Time both in turns and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="timed steps in a round, and batches of a validation")
    parser.add_argument("--threads", type=int, default=1, help="threads of training and validation")
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument("--workers", type=int, help="processes that load for the plain loop; default: as published")
    given = parser.parse_args()
    clock = CLOCKS[given.clock]
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    warnings.filterwarnings("ignore", message="Creating a tensor from a list|This DataLoader will create")
    print("| method | ms per step: plain | ours | ratio | goal | s per validation: plain | ours | ratio | goal |")
    print("|-|-|-|-|-|-|-|-|-|", flush=True)
    notes = []
    for rival in RIVALS:
        ours = Ours(rival, given.steps)
        ours.steps()
        check(rival, ours)
        plain, rounds = Plain(rival, ours, given.workers), []
        for _ in range(given.rounds):
            times = [*plain.seconds(clock, plain.train, given.steps), seconds(clock, ours.steps) / given.steps]
            if rival.validation_goal:
                losses, _ = plain.seconds(clock, plain.held_out, given.steps)
                evaluation = seconds(clock, plain.evaluate)
                times += [ours.epoch * losses + evaluation, seconds(clock, ours.validator, ours.network), evaluation]
            rounds.append(times)
        step, waited, our_step, *whole = np.median(rounds, axis=0).tolist()
        epochs = (
            f"an epoch of {ours.epoch} steps takes {ours.epoch * step:.1f} s plain, {ours.epoch * our_step:.1f} s ours"
        )
        notes.append(f"{rival.name}: {epochs}; the plain loop needs {1e3 * waited:.1f} ms per step to get its data")
        row = f"| {rival.name} | {1e3 * step:.1f} | {1e3 * our_step:.1f} | {spread(rounds, 0, 2)} | {rival.goal} |"
        if whole:
            row += f" {whole[0]:.1f} | {whole[1]:.3f} | {spread(rounds, 3, 4)} | {rival.validation_goal} |"
            share = f"{whole[0] - whole[2]:.1f} s are the losses of {ours.epoch} batches, computed from some"
            notes.append(f"{rival.name}: of the plain validation {share}; the rest takes {spread(rounds, 5, 4)} x ours")
        print(row if whole else f"{row} | | | |", flush=True)
    print(
        f"{given.clock} time, {given.threads} threads; medians of {given.rounds} rounds, ratios with least and greatest"
    )
    print(*notes, sep="\n")


if __name__ == "__main__":
    main()
