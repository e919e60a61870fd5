"""pipeline/avgzsl_benchmark/synthetic/modality.py: each property changes nothing at 0, and shows in a statistic."""

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.avgzsl_benchmark.synthetic.generate import SyntheticBenchmark, synthetic_benchmark
from pipeline.avgzsl_benchmark.synthetic.recipe import RECIPES, SyntheticRecipe
from pipeline.avgzsl_benchmark.synthetic.shapes import Shape

SHAPE = Shape(
    train_classes=8,
    val_unseen_classes=2,
    test_unseen_classes=4,
    train=160,
    val_seen=16,
    val_unseen=20,
    test_seen=20,
    test_unseen=40,
    seconds=(1, 9),
)
PLAIN = SyntheticRecipe(audio_width=40, visual_width=40, text_width=12, dtype="float32")
SWITCHES = (
    "zeros",
    "spectrum",
    "autocorrelation",
    "background",
    "order_pairs",
    "unreliable",
    "foreign_sound",
    "shared",
)


def made(**changes: float) -> SyntheticBenchmark:
    """Generate data with some properties switched on."""
    return synthetic_benchmark(SHAPE, dataclasses.replace(PLAIN, **changes))  # type: ignore[arg-type]  # numbers


def rows(benchmark: SyntheticBenchmark, modality: str = "visual") -> list[NDArray[np.float64]]:
    """Return the features (T, D) of every video."""
    values = getattr(benchmark.features, modality).numpy().astype(np.float64)
    starts = zip(benchmark.features.offsets.tolist(), benchmark.features.seconds.tolist(), strict=True)
    return [values[start : start + seconds] for start, seconds in starts]


def old_modality(name: str, recipe: SyntheticRecipe, benchmark: SyntheticBenchmark) -> NDArray[np.floating]:
    """Generate a modality as version 0.1.0 did, before these properties existed."""
    features, vectors = benchmark.features, benchmark.class_vectors
    labels, seconds = features.labels.numpy(), features.seconds.numpy()
    present = getattr(features, f"has_{name}").numpy()
    random = np.random.default_rng([recipe.seed, 2 if name == "audio" else 3])
    hidden = np.tanh(vectors @ random.standard_normal((vectors.shape[1], 256), np.float32))
    centres = hidden @ random.standard_normal((256, 32), np.float32)
    centres /= centres.std()
    centres = np.float32(np.sqrt(1 - recipe.own)) * centres
    centres += np.float32(np.sqrt(recipe.own)) * random.standard_normal(centres.shape, np.float32)
    centres = np.float32(getattr(recipe, f"{name}_strength")) * centres
    factors = random.standard_normal((32, recipe.audio_width), np.float32) / np.float32(np.sqrt(32))
    parts = []
    for label, centre in enumerate(centres):
        of_class = labels == label
        scatter = random.standard_normal((int(of_class.sum()), 32), np.float32)
        videos = (centre + np.float32(recipe.noise) * scatter) @ factors
        part = np.repeat(videos, seconds[of_class], axis=0)
        part += np.float32(recipe.second_noise) * random.standard_normal(part.shape, np.float32)
        part[~np.repeat(present[of_class], seconds[of_class])] = 0
        parts.append(part.astype(recipe.dtype))
    return np.concatenate(parts)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_plain_recipe_gives_the_data_of_earlier_versions(dtype: str) -> None:
    """Every bit is the same, and so are the fingerprint and the record in the splits."""
    recipe = dataclasses.replace(PLAIN, missing_audio=0.2, dtype=dtype, seed=3)  # type: ignore[arg-type]
    benchmark = synthetic_benchmark(SHAPE, recipe)

    for name in ("audio", "visual"):
        np.testing.assert_array_equal(getattr(benchmark.features, name).numpy(), old_modality(name, recipe, benchmark))
    assert list(benchmark.splits.origin["synthetic"])[-3:] == ["missing_visual", "dtype", "seed"]


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_property_changes_the_data_alone(switch: str) -> None:
    """Lengths, labels and class vectors stay; with 0 nothing changes; for one second per video it works too."""
    plain, changed = made(), made(**{switch: 0.5})

    assert not np.array_equal(changed.features.audio, plain.features.audio)
    assert np.array_equal(changed.features.seconds, plain.features.seconds)
    assert np.array_equal(changed.class_vectors, plain.class_vectors)
    assert changed.features.attributes["content"] != plain.features.attributes["content"]
    assert np.array_equal(made(**{switch: 0.0}).features.audio, plain.features.audio)
    shape = dataclasses.replace(SHAPE, seconds=(1, 1))
    single = synthetic_benchmark(shape, dataclasses.replace(PLAIN, **{switch: 0.5}))  # type: ignore[arg-type]
    assert bool(np.isfinite(single.features.visual.numpy()).all())


def test_a_fraction_of_the_values_is_zero_and_none_is_negative() -> None:
    """Absent modalities stay zeros."""
    benchmark = made(zeros=0.6, missing_audio=0.3)
    present = np.concatenate(
        [part for part, has in zip(rows(benchmark, "audio"), benchmark.features.has_audio.tolist(), strict=True) if has]
    )

    assert present.min() == 0
    assert (present == 0).mean() == pytest.approx(0.6, abs=0.03)
    assert not any(
        part.any()
        for part, has in zip(rows(benchmark, "audio"), benchmark.features.has_audio.tolist(), strict=True)
        if not has
    )


@pytest.mark.parametrize("exponent", [0.5, 1.5])
def test_the_variances_follow_a_power_law(exponent: float) -> None:
    """The slope of log variance over log rank, for noise alone."""
    values = np.concatenate(rows(made(spectrum=exponent, noise=0, audio_strength=0, visual_strength=0)))
    variances = np.linalg.eigvalsh(np.cov(values.T))[::-1]
    ranks = np.arange(1, len(variances) + 1)

    slope = np.polyfit(np.log(ranks), np.log(variances), 1)[0]

    assert slope == pytest.approx(-exponent, abs=0.15)
    assert variances.mean() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("correlation", [0.4, 0.9])
def test_neighbouring_seconds_are_correlated(correlation: float) -> None:
    """The correlation falls geometrically with the distance, and the deviation stays 1."""
    noise = rows(made(autocorrelation=correlation, noise=0, audio_strength=0, visual_strength=0))

    for lag in (1, 2):
        before = np.concatenate([part[:-lag].ravel() for part in noise if len(part) > lag])
        after = np.concatenate([part[lag:].ravel() for part in noise if len(part) > lag])
        assert float(np.corrcoef(before, after)[0, 1]) == pytest.approx(correlation**lag, abs=0.05)
    assert np.concatenate(noise).std() == pytest.approx(1, abs=0.05)


def test_a_video_shows_its_class_in_a_part_of_its_seconds() -> None:
    """Without noise, a video has two kinds of seconds; the background of one is shared with other classes."""
    benchmark = made(background=0.5, noise=0, second_noise=0)
    centres = {
        int(label): part[0]
        for label, part in zip(benchmark.features.labels, rows(made(noise=0, second_noise=0)), strict=True)
    }
    found: list[tuple[NDArray[np.float64], set[int]]] = []  # backgrounds and the classes that they are used in
    for label, part in zip(benchmark.features.labels.tolist(), rows(benchmark), strict=True):
        shows_class = np.abs(part - centres[label]).max(axis=1) < 1e-4
        assert shows_class.sum() == max(1, round(0.5 * len(part)))
        assert np.diff(np.flatnonzero(shows_class)).max(initial=1) == 1
        for background in part[~shows_class][:1]:
            np.testing.assert_allclose(
                part[~shows_class], np.broadcast_to(background, part[~shows_class].shape), atol=1e-4
            )
            known = [index for index, (other, _) in enumerate(found) if np.allclose(other, background, atol=1e-3)]
            if not known:
                found.append((background, set()))
            found[known[0] if known else -1][1].add(label)
    assert len(found) <= 8
    assert max(len(classes) for _, classes in found) > 1


def test_the_classes_of_an_order_pair_have_equal_time_averages_and_opposite_orders() -> None:
    """Without noise, the first half of one class is the second half of the other."""
    benchmark = made(order_pairs=1, noise=0, second_noise=0)
    labels, videos = benchmark.features.labels.tolist(), rows(benchmark)
    long = {label: part for label, part in zip(labels, videos, strict=True) if len(part) == 8}
    plain = {label: part.mean(axis=0) for label, part in zip(labels, videos, strict=True)}
    pairs = [
        (one, other)
        for one in long
        for other in long
        if one < other and np.allclose(plain[one], plain[other], atol=1e-4)
    ]

    assert len(pairs) == 6  # of 7 possible ones: both unseen validation classes are on one side
    for one, other in pairs:
        np.testing.assert_allclose(long[one][:4], long[other][4:], atol=1e-4)
        assert np.abs(long[one][:4] - long[one][4:]).max() > 0.5


def test_an_unreliable_modality_shows_less_of_its_class() -> None:
    """The features of different videos of a class are less alike; their variance stays."""

    def within(benchmark: SyntheticBenchmark) -> float:
        first = np.stack([part[0] for part in rows(benchmark)])
        labels = benchmark.features.labels.numpy()
        centres = np.stack([first[labels == label].mean(axis=0) for label in range(14)])
        return float(((first - centres[labels]) ** 2).sum() / ((first - first.mean(axis=0)) ** 2).sum())

    assert within(made(noise=0, second_noise=0)) == pytest.approx(0, abs=1e-6)
    assert (
        0.2
        < within(made(unreliable=0.7, noise=0, second_noise=0))
        < within(made(unreliable=1, noise=0, second_noise=0))
        < 0.95
    )


def test_foreign_sound_is_that_of_another_class() -> None:
    """Without noise, such sound equals another class's centre; pictures keep their own class."""
    plain, foreign = made(noise=0, second_noise=0), made(foreign_sound=0.4, noise=0, second_noise=0)
    sounds = np.stack([part[0] for part in rows(plain, "audio")])
    changed = np.stack([part[0] for part in rows(foreign, "audio")])

    moved = np.abs(changed - sounds).max(axis=1) > 1e-4

    assert moved.mean() == pytest.approx(0.4, abs=0.12)
    assert all(np.abs(sounds - one).max(axis=1).min() < 1e-4 for one in changed[moved])
    assert np.array_equal(foreign.features.visual, plain.features.visual)


@pytest.mark.parametrize("shared", [0.0, 0.8])
def test_modalities_share_what_distinguishes_the_videos_of_a_class(shared: float) -> None:
    """The correlation of the best linear prediction of sound from pictures grows with the shared part."""
    benchmark = made(shared=shared, second_noise=0, audio_strength=0, visual_strength=0)
    audio, visual = (np.stack([part[0] for part in rows(benchmark, name)]) for name in ("audio", "visual"))

    predicted = visual @ np.linalg.lstsq(visual, audio, rcond=1e-6)[0]

    explained = 1 - ((audio - predicted) ** 2).sum() / (audio**2).sum()
    chance = 32 / len(audio)
    assert explained == pytest.approx(shared**2 + (1 - shared**2) * chance, abs=0.08)


def test_a_plain_classifier_does_well_but_not_perfectly_on_lifelike_data() -> None:
    """Ridge regression from time averages to class vectors, on unseen classes; chance is 1 in 12."""
    shape = dataclasses.replace(
        SHAPE,
        train_classes=40,
        train=800,
        val_seen=0,
        test_seen=0,
        test_unseen_classes=12,
        test_unseen=240,
        seconds=(3, 8),
    )
    rates = []
    for seed in range(2):
        recipe = dataclasses.replace(RECIPES["lifelike"], audio_width=96, visual_width=96, seed=seed)
        benchmark = synthetic_benchmark(shape, recipe)
        both = zip(rows(benchmark, "audio"), rows(benchmark), strict=True)
        means = np.stack([np.concatenate((sound.mean(axis=0), picture.mean(axis=0))) for sound, picture in both])
        train, test = (
            benchmark.features.indices(benchmark.splits.by_name[n]).numpy() for n in ("train", "test_unseen")
        )
        means = (means - means[train].mean(axis=0)) / means[train].std(axis=0)
        labels, vectors = benchmark.features.labels.numpy(), benchmark.class_vectors.astype(np.float64)
        centre = vectors[labels[train]].mean(axis=0)
        inner = means[train].T @ means[train] + len(train) * np.eye(means.shape[1])
        weights = np.linalg.solve(inner, means[train].T @ (vectors[labels[train]] - centre))
        predicted, unseen = means[test] @ weights + centre, np.unique(labels[test])
        cosines = (predicted / np.linalg.norm(predicted, axis=1, keepdims=True)) @ vectors[unseen].T
        rates.append(float((unseen[cosines.argmax(axis=1)] == labels[test]).mean()))

    assert 1.5 / 12 < np.mean(rates) < 0.6
