"""The faults of published code: `faithful` repeats each of them, and the default mends it."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daan.baselines.apn import Apn, ApnConfig
from daan.baselines.avca import Avca, AvcaConfig
from daan.baselines.bilinear import BilinearConfig, Sje
from daan.baselines.cjme import Cjme, CjmeConfig
from daan.baselines.losses import entropy, gate_target
from daan.baselines.tcaf import Tcaf, TcafConfig, _what_sees_what
from daan.baselines.zero_shot import ZeroShot, ZeroShotConfig
from daan.batch import VideoBatch
from daan.method import Method, TrainingBatch

WIDTHS = {"audio_width": 3, "visual_width": 4, "text_width": 5}
PAIRS = 6


def videos(count: int, seconds: int = 1) -> VideoBatch:
    """Make videos of equal length with both modalities."""
    valid = torch.ones(count, seconds, dtype=torch.bool)
    return VideoBatch(torch.randn(count, seconds, 3), torch.randn(count, seconds, 4), valid, valid)


def batch(method: Method) -> TrainingBatch:
    """Make six videos of three classes, and their negatives if the method needs them."""
    labels = torch.arange(PAIRS) % 3
    table = F.normalize(torch.randn(3, 5), dim=1)
    negatives = method.needs.negatives
    text = table[torch.cat((labels, (labels + 1) % 3))] if negatives else table[labels]
    return TrainingBatch(videos(len(text)), text, labels, table)


@pytest.mark.parametrize(("faithful", "passes"), [(False, 2), (True, 4)])
def test_avca_counts_reconstructed_features_in_running_statistics_only_if_faithful(faithful: bool, passes: int) -> None:
    """The published code passes its projections twice more per step; nothing but the statistics changes."""
    method = Avca(AvcaConfig(**WIDTHS, faithful=faithful)).train()
    method.losses(batch(method))
    for projection in (method.audio_projection, method.visual_projection):
        norms = [layer for layer in projection if isinstance(layer, nn.BatchNorm1d)]
        assert [int(norm.num_batches_tracked or 0) for norm in norms] == [passes, passes]
    assert method.modality.requires_grad is not faithful


def test_the_bilinear_methods_score_as_they_are_trained_unless_faithful() -> None:
    """A long class embedding has a large dot product, and is far by Euclidean distance."""
    video = {"fused": torch.tensor([[1.0, 0, 0, 0, 0]])}
    classes = torch.tensor([[0.9, 0, 0, 0, 0], [9.0, 0, 0, 0, 0]])
    mended, repeated = (Sje(BilinearConfig(**WIDTHS, faithful=faithful)) for faithful in (False, True))
    assert mended.distances(video, classes)["fused"].argmin() == 1
    assert repeated.distances(video, classes)["fused"].argmin() == 0
    assert repeated.distances(video, classes)["fused"][0].tolist() == pytest.approx([0.1, 8], abs=1e-3)


@pytest.mark.parametrize(("faithful", "calls"), [(False, 1), (True, 2)])
def test_the_bilinear_methods_drop_values_of_class_embeddings_only_if_faithful(faithful: bool, calls: int) -> None:
    """The features are dropped in any case."""
    method = Sje(BilinearConfig(**WIDTHS, faithful=faithful)).train()
    seen: list[tuple[int, ...]] = []
    method.dropout.register_forward_hook(lambda _module, inputs, _output: seen.append(tuple(inputs[0].shape)))
    method.losses(batch(method))
    assert len(seen) == calls


def test_the_gate_of_cjme_weighs_each_video_unless_faithful() -> None:
    """The published code multiplies (B, 1) by (B,), so that only the mean of the gate acts."""
    for faithful in (False, True):
        method = Cjme(CjmeConfig(**WIDTHS, dropout=0.0, faithful=faithful)).eval()
        given = batch(method)
        found = method.losses(given)
        positive, negative = method.embed_videos(given.positive), method.embed_videos(given.negative)
        theta_w, gate = method.embed_classes(given.positive_text), positive["gate"]
        of_audio, of_visual = (
            F.triplet_margin_loss(theta_w, positive[name], negative[name], reduction="none")
            for name in ("audio", "visual")
        )
        if faithful:  # as published: (B, 1) times (B,) is (B, B)
            expected = ((1 - gate[:, None]) * of_audio + gate[:, None] * of_visual).mean()
        else:
            expected = torch.stack(
                [(1 - gate[row]) * of_audio[row] + gate[row] * of_visual[row] for row in range(PAIRS)]
            ).mean()
        torch.testing.assert_close(found["triplet"], expected)
        classes = method.embed_classes(given.class_table)
        target = gate_target(entropy(positive["audio"] @ classes.T), entropy(positive["visual"] @ classes.T))
        torch.testing.assert_close(found["gate"], F.mse_loss(gate, target))


def test_the_gate_of_cjme_chooses_the_modality_that_scores() -> None:
    """A gate of at least 0.5 chooses visual; a modality that a video lacks is never chosen."""
    method = Cjme(CjmeConfig(**WIDTHS))
    flags = {
        "has_audio": torch.tensor([True, True, True, False]),
        "has_visual": torch.tensor([True, True, False, True]),
    }
    embedded = {"audio": torch.zeros(4, 64), "visual": torch.ones(4, 64), "gate": torch.tensor([0.5, 0.49, 0.9, 0.1])}
    found = method.distances({**embedded, **flags}, torch.zeros(2, 64))["gated"][:, 0]
    assert found.tolist() == pytest.approx([8, 0, 0, 8], abs=1e-3)


def test_apn_takes_a_softmax_of_probabilities_only_if_faithful() -> None:
    """The cross entropy of the published code gets probabilities as logits."""
    for faithful in (False, True):
        method = Apn(ApnConfig(**WIDTHS, faithful=faithful))
        given = batch(method)
        x = torch.cat((given.videos.visual[:, 0], given.videos.audio[:, 0]), dim=1)
        expected = torch.zeros(())
        for matrix in (method.final, method.prototypes):
            logits = x @ matrix.T @ given.class_table.T
            expected = expected + F.cross_entropy(logits.softmax(1) if faithful else logits, given.labels)
        torch.testing.assert_close(method.losses(given)["cross_entropy"], expected)


def tcaf(**options: Any) -> Tcaf:
    """Make a small network."""
    small = {"encoder_width": 6, "token_width": 8, "depth": 1, "heads": 2, "head_width": 4}
    return Tcaf(TcafConfig(**{**WIDTHS, **small, **options}))


def test_tcaf_scales_each_second_unless_faithful() -> None:
    """The published code scales each visual coordinate over the seconds, and divides any audio by 255."""
    some = videos(2, seconds=3)
    audio, visual = tcaf()._scaled(some)
    assert torch.equal(audio, some.audio)
    torch.testing.assert_close(visual.norm(dim=2), torch.ones(2, 3))
    assert torch.equal(tcaf(bytes_of_audio=True)._scaled(some)[0], some.audio / 255)
    audio, visual = tcaf(faithful=True)._scaled(some)
    assert torch.equal(audio, some.audio / 255)
    torch.testing.assert_close(visual.norm(dim=1), torch.ones(2, 4))


def test_tcaf_counts_padding_in_batch_statistics_only_if_faithful() -> None:
    """More padding changes the running statistics of the published code."""
    for faithful in (False, True):
        means = []
        for padding in (0, 5):
            torch.manual_seed(0)
            method, short = tcaf(faithful=faithful).train(), videos(3, seconds=2)
            padded = VideoBatch(
                *(F.pad(x, (0, 0, 0, padding), value=7) for x in (short.audio, short.visual)),
                *(F.pad(mask, (0, padding)) for mask in (short.audio_mask, short.visual_mask)),
            )
            method.embed_videos(padded)
            norm = method.audio_encoder[1]
            assert isinstance(norm, nn.BatchNorm1d)
            means.append(norm.running_mean)
        assert torch.equal(means[0], means[1]) is not faithful  # type: ignore[arg-type]


def test_in_tcaf_seconds_see_only_the_other_modality_and_the_class_token() -> None:
    """Checked token by token, with padding and an absent modality."""
    audio = torch.tensor([[True, True, False], [False, False, False]])
    visual = torch.tensor([[True, False], [True, True]])
    found = _what_sees_what(audio, visual)[:, 0]
    for video in range(2):
        tokens = ["class", "audio", "audio", "audio", "visual", "visual"]
        valid = [True, *audio[video].tolist(), *visual[video].tolist()]
        for row, looking in enumerate(tokens):
            for column, seen in enumerate(tokens):
                allowed = looking == "class" or looking != seen
                assert bool(found[video, row, column]) == (allowed and valid[column])


def test_the_time_embedding_of_tcaf_adds_two_frequencies() -> None:
    """The second t stands twice before the 2 x 32 random frequencies (daan/pages/tcaf.md)."""
    positions = tcaf().positions
    frequencies = positions.frequencies.sum(0)
    angles = 2 * torch.pi * torch.arange(4.0)[:, None] * frequencies
    expected = positions.time(torch.cat((angles.sin(), angles.cos()), dim=1))
    torch.testing.assert_close(positions.of_time(4), expected, atol=1e-4, rtol=1e-4)


def test_tcaf_cuts_long_videos_at_random_in_training_and_about_the_centre_later() -> None:
    """Both modalities are cut at the same seconds, and short videos stay whole."""
    method = tcaf(most_training_seconds=2, most_seconds=4)
    number = torch.arange(7.0)
    lengths = torch.tensor([7, 3, 5])
    mask = number < lengths[:, None]
    some = VideoBatch(
        number[None, :, None].expand(3, -1, 3).clone(), number[None, :, None].expand(3, -1, 4).clone(), mask, mask
    )
    centre = method.eval()._cut(some)
    assert centre.audio[:, :, 0].tolist() == [[1, 2, 3, 4], [0, 1, 2, 3], [0, 1, 2, 3]]
    assert centre.audio_mask.sum(1).tolist() == [4, 3, 4]
    starts: set[tuple[float, ...]] = set()
    for _ in range(60):
        drawn = method.train()._cut(some)
        assert torch.equal(drawn.audio[..., 0], drawn.visual[..., 0])
        assert drawn.audio_mask.all()
        starts.add(tuple(drawn.audio[:, 0, 0].tolist()))
    assert {start[0] for start in starts} == {0, 1, 2, 3, 4, 5}
    assert {start[1] for start in starts} == {0, 1}


def test_zero_shot_needs_texts_of_the_features_own_encoders() -> None:
    """300 numbers of fastText are no text of CLIP's encoder."""
    with pytest.raises(ValueError, match=r"text_width is 300, must be 512 \+ 512"):
        ZeroShotConfig(text_width=300)


def test_zero_shot_is_one_minus_the_cosine() -> None:
    """With a class embedding of two parts, each modality meets its own part."""
    method = ZeroShot(ZeroShotConfig(audio_width=3, visual_width=4, text_width=7))
    some, text = videos(2, seconds=3), torch.randn(5, 7)
    found = method.distances(method.embed_videos(some), method.embed_classes(text))

    def one_minus_cosine(x: Tensor, w: Tensor) -> Tensor:
        return 1 - F.cosine_similarity(x.mean(1)[:, None], w[None], dim=2)

    torch.testing.assert_close(found["visual"], one_minus_cosine(some.visual, text[:, :4]))
    torch.testing.assert_close(found["audio"], one_minus_cosine(some.audio, text[:, 4:]))
    torch.testing.assert_close(found["sum"], found["visual"] + found["audio"])
