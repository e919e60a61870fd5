"""Tests of daan/network.py: embeddings do not depend on other videos, padding or absent modalities."""

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.losses import Embeddings
from daan.network import Daan

AUDIO, VISUAL, TEXT = 5, 7, 6


def network(**options: Any) -> Daan:
    """Make a small network in float64 with running statistics that differ from the initial ones."""
    config = DaanConfig(
        **{"audio_width": AUDIO, "visual_width": VISUAL, "text_width": TEXT, "hidden_width": 16, "heads": 2, **options},
        output_width=8,
    )
    made = Daan(config).double()
    with torch.no_grad():
        made.absent_audio.normal_()
        made.absent_visual.normal_()
        for name, buffer in made.named_buffers():
            if "running" in name:
                buffer.uniform_(0.5, 1.5)
    return made.eval()


def videos(audio_seconds: list[int], visual_seconds: list[int], padding: float = 0.0) -> VideoBatch:
    """Make random videos with the value `padding` at invalid seconds."""
    longest = torch.arange(max(audio_seconds + visual_seconds))
    audio_mask, visual_mask = (longest < torch.tensor(seconds)[:, None] for seconds in (audio_seconds, visual_seconds))
    audio = torch.randn(*audio_mask.shape, AUDIO, dtype=torch.float64)
    visual = torch.randn(*visual_mask.shape, VISUAL, dtype=torch.float64)
    return VideoBatch(
        audio=audio.masked_fill(~audio_mask[..., None], padding),
        visual=visual.masked_fill(~visual_mask[..., None], padding),
        audio_mask=audio_mask,
        visual_mask=visual_mask,
    )


def thetas(daan: Daan, batch: VideoBatch) -> tuple[Tensor, Tensor]:
    """Compute theta_a and theta_v of videos."""
    found = daan.embed_videos(batch)
    return found["audio"], found["visual"]


def one(batch: VideoBatch, video: int) -> VideoBatch:
    """Select one video without padding after its longer modality."""
    longest = int(torch.stack((batch.audio_mask, batch.visual_mask)).sum(2).max(0).values[video])
    return VideoBatch(*(getattr(batch, field.name)[video : video + 1, :longest] for field in dataclasses.fields(batch)))


@settings(deadline=None, max_examples=15)
@given(
    seconds=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=4),
    qdma=st.sampled_from(["on", "off"]),
    padding=st.sampled_from([0.0, 1e9, float("nan"), float("inf")]),
)
def test_a_video_is_the_same_alone_and_in_a_batch(seconds: list[tuple[int, int]], qdma: str, padding: float) -> None:
    """This holds for different lengths, absent modalities, batches of absent ones only, and every padding value."""
    daan = network(qdma=qdma)
    batch = videos([pair[0] for pair in seconds], [pair[1] for pair in seconds], padding)

    theta_a, theta_v = thetas(daan, batch)

    assert theta_a.shape == theta_v.shape == (len(seconds), 8)
    for video in range(len(seconds)):
        alone_a, alone_v = thetas(daan, one(batch, video))
        torch.testing.assert_close(theta_a[video], alone_a[0])
        torch.testing.assert_close(theta_v[video], alone_v[0])


@pytest.mark.parametrize("qdma", ["on", "off"])
def test_values_in_the_padding_change_no_gradient(qdma: str) -> None:
    """In training mode, padding with NaN gives the same losses and gradients as padding with zeros."""
    clean = videos([3, 1, 0], [2, 3, 1])
    gradients = []
    for padding in (0.0, float("nan")):
        torch.manual_seed(3)
        daan = network(
            qdma=qdma, input_dropout=0.0, encoder_dropout=0.0, projection_dropout=0.0, decoder_dropout=0.0
        ).train()
        batch = dataclasses.replace(
            clean,
            audio=clean.audio.masked_fill(~clean.audio_mask[..., None], padding),
            visual=clean.visual.masked_fill(~clean.visual_mask[..., None], padding),
        )
        embedded = daan(batch, torch.ones(3, TEXT, dtype=torch.float64).cumsum(0))
        sum(getattr(embedded, field.name).sin().sum() for field in dataclasses.fields(embedded)).backward()
        gradients.append([parameter.grad for parameter in daan.parameters() if parameter.grad is not None])

    for zeros, nans in zip(*gradients, strict=True):
        assert torch.isfinite(zeros).all()
        torch.testing.assert_close(nans, zeros, rtol=0, atol=0)


@pytest.mark.parametrize("bypass_input", ["refined", "features"])
@pytest.mark.parametrize("qdma", ["on", "off"])
def test_one_second_gives_the_values_and_gradients_of_one_second_with_padding(qdma: str, bypass_input: str) -> None:
    """What one second makes inert is not computed: training mode gives the same without a padded second."""
    options = {"qdma": qdma, "bypass_input": bypass_input}
    dropouts = {"input_dropout": 0.0, "encoder_dropout": 0.0, "projection_dropout": 0.0, "decoder_dropout": 0.0}
    one_second, text = videos([1, 1, 0, 1], [1, 1, 1, 1]), torch.randn(4, TEXT, dtype=torch.float64)
    padded = VideoBatch(
        *(
            torch.cat((each, torch.zeros_like(each)), dim=1)
            for each in (one_second.audio, one_second.visual, one_second.audio_mask, one_second.visual_mask)
        )
    )
    found = []
    for batch in (one_second, padded):
        torch.manual_seed(3)
        daan = network(**options, **dropouts).train()
        embedded = daan(batch, text)
        values = [getattr(embedded, field.name) for field in dataclasses.fields(embedded)]
        sum(value.sin().sum() for value in values).backward()
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in daan.parameters()]
        found.append([*values, *gradients, *daan.buffers()])

    assert any(gradient.abs().max() > 0 for gradient in gradients)
    for without, with_padding in zip(*found, strict=True):
        torch.testing.assert_close(without, with_padding, rtol=1e-6, atol=1e-7)


def test_an_absent_modality_is_one_second_of_the_learned_vector() -> None:
    """A silent clip equals a clip with that vector as sound; a present modality ignores the vector."""
    daan = network()
    silent, full = videos([0], [3]), videos([2], [3])
    stand_in = torch.zeros(1, 3, AUDIO, dtype=torch.float64)
    stand_in[0, 0] = daan.absent_audio.detach()
    voiced = dataclasses.replace(silent, audio=stand_in, audio_mask=torch.tensor([[True, False, False]]))

    torch.testing.assert_close(thetas(daan, silent), thetas(daan, voiced))
    before = thetas(daan, full)
    with torch.no_grad():
        daan.absent_audio.fill_(float("nan"))
        daan.absent_visual.fill_(float("nan"))
    assert torch.equal(thetas(daan, full)[0], before[0])
    assert torch.equal(thetas(daan, full)[1], before[1])


@pytest.mark.parametrize("qdma", ["on", "off"])
def test_input_dropout_drops_values_of_features_and_class_embeddings_in_training_alone(qdma: str) -> None:
    """About half of the inputs become 0 and the others twice as large; scoring reads the inputs as they are."""
    torch.manual_seed(0)
    daan = network(qdma=qdma, input_dropout=0.5)
    batch, text = videos([3] * 20, [2] * 20), torch.randn(20, TEXT, dtype=torch.float64)
    read: dict[str, torch.Tensor] = {}
    for name in ("audio_encoder", "visual_encoder", "text_projection"):
        daan.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, name=name: read.__setitem__(name, inputs[0])
        )
    given = {"audio_encoder": batch.audio, "visual_encoder": batch.visual, "text_projection": text}

    daan.eval()(batch, text)
    for name, inputs in given.items():
        assert torch.equal(read[name], inputs)

    daan.train()(batch, text)
    for name, inputs in given.items():
        kept = read[name] != 0
        torch.testing.assert_close(read[name][kept], 2 * inputs[kept])
        assert 0.3 < kept[inputs != 0].double().mean() < 0.7


def test_forward_equals_embed_videos_and_embed_classes() -> None:
    """Training and scoring use the same layers, and widths follow the configuration."""
    daan, batch, text = network(), videos([2, 3], [1, 3]), torch.randn(2, TEXT, dtype=torch.float64)

    embedded = daan(batch, text)

    theta_a, theta_v = thetas(daan, batch)
    assert torch.equal(embedded.theta_a, theta_a)
    assert torch.equal(embedded.theta_v, theta_v)
    assert torch.equal(embedded.theta_w, daan.embed_classes(text))
    assert (
        embedded.phi_a.shape == embedded.phi_rec_a.shape == embedded.phi_v.shape == embedded.phi_rec_v.shape == (2, 16)
    )
    assert embedded.rho_a.shape == embedded.rho_v.shape == embedded.rho_w.shape == (2, TEXT)
    torch.testing.assert_close(embedded.rho_w, daan.decoder(embedded.theta_w))
    torch.testing.assert_close(embedded.phi_rec_v, daan.visual_reconstructor(embedded.theta_v))


def test_only_positives_are_reconstructed_in_training() -> None:
    """Reconstructions and text of the negatives, which no loss reads, are left out; in evaluation the rest is equal."""
    daan, batch, text = network(), videos([2, 3, 1], [1, 3, 2]), torch.randn(3, TEXT, dtype=torch.float64)

    whole, part = daan.eval()(batch, text), daan(batch, text, 1)

    assert len(part.phi_rec_a) == len(part.phi_rec_v) == len(part.rho_w) == 1
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        torch.testing.assert_close(value, getattr(whole, field.name)[: len(value)])


def test_splitting_keeps_positives_and_negatives_in_order() -> None:
    """Every embedding is split into the first rows and the rest."""
    embedded = Embeddings(*(torch.arange(5) + 10 * index for index in range(10)))

    first, rest = embedded.split(2)

    assert first.phi_a.tolist() == [30, 31]
    assert rest.rho_w.tolist() == [92, 93, 94]


def test_equal_seeds_make_equal_networks() -> None:
    """Only torch's generator decides the weights."""
    torch.manual_seed(5)
    first = network()
    torch.manual_seed(5)
    second = network()

    assert all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())


def test_every_parameter_gets_a_gradient() -> None:
    """With absent modalities in the batch, no parameter has a gradient of zero."""
    daan = network(
        input_dropout=0.0, encoder_dropout=0.0, projection_dropout=0.0, decoder_dropout=0.0, tcn_gap=1
    ).train()
    embedded = daan(videos([3, 2, 0, 4], [3, 4, 2, 0]), torch.randn(4, TEXT, dtype=torch.float64))
    sum(getattr(embedded, field.name).sin().sum() for field in dataclasses.fields(embedded)).backward()

    idle = [name for name, value in daan.named_parameters() if value.grad is None or not value.grad.abs().max() > 1e-9]

    assert idle == []


@pytest.mark.parametrize(
    ("audio", "visual", "text", "message"),
    [
        (4, VISUAL, TEXT, "audio features are 4 wide, the network takes 5"),
        (AUDIO, 9, TEXT, "visual features are 9 wide, the network takes 7"),
        (AUDIO, VISUAL, 2, "class embeddings are 2 wide, the network takes 6"),
    ],
)
def test_widths_that_do_not_fit_raise(audio: int, visual: int, text: int, message: str) -> None:
    """The message names the given width and the width of the network."""
    mask = torch.ones(1, 1, dtype=torch.bool)
    batch = VideoBatch(torch.zeros(1, 1, audio).double(), torch.zeros(1, 1, visual).double(), mask, mask)

    with pytest.raises(ValueError, match=message):
        network()(batch, torch.zeros(1, text).double())


def test_different_numbers_of_class_embeddings_and_videos_raise() -> None:
    """Each video needs the embedding of its class."""
    with pytest.raises(ValueError, match="3 class embeddings for 2 videos"):
        network()(videos([1, 1], [1, 1]), torch.zeros(3, TEXT).double())
