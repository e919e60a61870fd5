"""The dropouts of the network: each option drops values in its own places, and nowhere else (daan/README.md, 4)."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.masked import MaskedBatchNorm, RowBatchNorm
from daan.network import Daan
from daan.qdma import AveragedMlp, Qdma
from daan.temporal_convolution import CausalConvolution

AUDIO, VISUAL, TEXT, HIDDEN, VIDEOS = 5, 7, 6, 16, 60
PROBABILITY = 0.8
OPTIONS = ("input_dropout", "encoder_dropout", "projection_dropout", "decoder_dropout")
CROSS_ATTENTION = ("cross-attention: attention", "cross-attention: feed-forward")
QDMA = ("refinement", "bypass: first dilated convolution", "bypass: last dilated convolution")
MLP = ("MLP: first layer", "MLP: last layer")

every_option = pytest.mark.parametrize("option", OPTIONS)
every_encoder = pytest.mark.parametrize("qdma", ["on", "off"])
one_second_and_more = pytest.mark.parametrize("seconds", [1, 5])


def places_of(option: str, qdma: str) -> set[str]:
    """List the places in which an option drops values."""
    encoder = (*(QDMA if qdma == "on" else MLP), *CROSS_ATTENTION)
    return {
        "input_dropout": {"audio features", "visual features", "class embeddings"},
        "encoder_dropout": {f"{modality} {place}" for modality in ("audio", "visual") for place in encoder},
        "projection_dropout": {"theta_a", "theta_v"},
        "decoder_dropout": {"theta_w", "phi_rec_a", "phi_rec_v"},
    }[option]


def network(qdma: str, **dropouts: float) -> Daan:
    """Make a network in which every ReLU gives positive numbers; dropouts that are not given are 0."""
    torch.manual_seed(1)
    widths = {
        "audio_width": AUDIO,
        "visual_width": VISUAL,
        "text_width": TEXT,
        "hidden_width": HIDDEN,
        "output_width": 8,
    }
    options: dict[str, Any] = {"heads": 2, "tcn_gap": 1, "tcn_kernel": 2, "tcn_layers": 2, "qdma": qdma, **widths}
    daan = Daan(DaanConfig(**{**options, **dict.fromkeys(OPTIONS, 0.0), **dropouts})).double()
    with torch.no_grad():
        for module in daan.modules():
            if isinstance(module, RowBatchNorm | MaskedBatchNorm):
                module.bias.fill_(20.0)  # a normalised value is greater than -sqrt(300), for 60 videos of 5 seconds
            elif isinstance(module, CausalConvolution):
                module.bias.fill_(1.0)
                for tap in module.taps:
                    tap.mul_(1e-3)
    return daan


def inputs_of(seconds: int) -> tuple[VideoBatch, Tensor]:
    """Make videos without padding and their class embeddings; no value is 0."""
    generator = torch.Generator().manual_seed(2)
    mask = torch.ones(VIDEOS, seconds, dtype=torch.bool)
    audio, visual, text = (
        torch.randn(*shape, dtype=torch.float64, generator=generator)
        for shape in ((VIDEOS, seconds, AUDIO), (VIDEOS, seconds, VISUAL), (VIDEOS, TEXT))
    )
    return VideoBatch(audio, visual, mask, mask), text


def outputs_of(daan: Daan, seconds: int) -> list[Tensor]:
    """Compute all outputs of the network."""
    embedded = daan(*inputs_of(seconds))
    return [getattr(embedded, field.name) for field in dataclasses.fields(embedded)]


def added_to_first_second(_: nn.Module, __: Any, output: Tensor) -> Tensor:
    """Make a feed-forward layer add 1 to the first second alone, so that its dropout is visible in the average."""
    replaced = torch.zeros_like(output)
    replaced[:, 0] = 1.0
    return replaced


def dropped_values(daan: Daan, seconds: int) -> dict[str, Tensor]:
    """Find the values that a forward pass dropped, as one bool tensor per place."""
    calls: dict[nn.Module, tuple[Any, Any]] = {}  # the inputs and the output of each module
    for cross in (daan.audio_asks_visual, daan.visual_asks_audio):
        cross.feedforward.register_forward_hook(added_to_first_second)
    for module in daan.modules():
        module.register_forward_hook(lambda module, inputs, output: calls.__setitem__(module, (inputs, output)))
    embedded = daan(*inputs_of(seconds))

    found = {name: getattr(embedded, name) == 0 for name in ("theta_a", "theta_v", "theta_w", "phi_rec_a", "phi_rec_v")}
    found |= {name: getattr(embedded, name) == 0 for name in ("rho_a", "rho_v", "rho_w")}
    found["class embeddings"] = calls[daan.text_projection][0][0] == 0
    for modality, encoder, cross in (
        ("audio", daan.audio_encoder, daan.audio_asks_visual),
        ("visual", daan.visual_encoder, daan.visual_asks_audio),
    ):
        found[f"{modality} features"] = calls[encoder][0][0] == 0
        values = _dropped_by_qdma(encoder, calls) if isinstance(encoder, Qdma) else _dropped_by_mlp(encoder, calls)
        # A residual sum to which nothing was added is unchanged.
        queries, attended = calls[cross][0][0].seconds, calls[cross.feedforward_norm][0][0]
        values["cross-attention: attention"] = attended == queries
        values["cross-attention: feed-forward"] = torch.isclose(calls[cross][1], attended.mean(1), rtol=0, atol=1e-6)
        found |= {f"{modality} {place}": value for place, value in values.items()}
    return found


def _dropped_by_qdma(encoder: Qdma, calls: dict[nn.Module, tuple[Any, Any]]) -> dict[str, Tensor]:
    assert encoder.bypass is not None
    (refined, _), bypassed = calls[encoder.bypass]
    return {
        "refinement": refined == 0,
        "bypass: first dilated convolution": calls[encoder.bypass.dilated[1]][0][0] == 0,
        "bypass: last dilated convolution": bypassed == refined[:, -1],
    }


def _dropped_by_mlp(encoder: AveragedMlp, calls: dict[nn.Module, tuple[Any, Any]]) -> dict[str, Tensor]:
    last = encoder.branches.attention[1]
    return {"MLP: first layer": calls[last][0][0] == 0, "MLP: last layer": calls[encoder][1].phi == 0}


@one_second_and_more
@every_encoder
@every_option
def test_in_training_an_option_drops_values_in_its_own_places_alone(option: str, qdma: str, seconds: int) -> None:
    """In these places the fraction of dropped values is the option's value; in all others it is 0."""
    daan = network(qdma, **{option: PROBABILITY}).train()

    fractions = {place: float(each.double().mean()) for place, each in dropped_values(daan, seconds).items()}

    assert {place for place, fraction in fractions.items() if fraction > 0} == places_of(option, qdma)
    expected = dict.fromkeys(places_of(option, qdma), PROBABILITY)
    assert {place: fractions[place] for place in expected} == pytest.approx(expected, abs=0.1)


@one_second_and_more
@every_encoder
@every_option
def test_without_the_dropouts_of_its_places_an_option_changes_nothing(option: str, qdma: str, seconds: int) -> None:
    """There is one dropout per place. If each returns its input, the outputs are those without the option."""
    daan, without = network(qdma, **{option: PROBABILITY}).train(), network(qdma).train()
    dropping = []

    def undo(_: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        dropping.append(not torch.equal(inputs[0], output))
        return inputs[0]

    for module in daan.modules():
        if isinstance(module, nn.Dropout):
            module.register_forward_hook(undo)

    outputs = outputs_of(daan, seconds)

    assert sum(dropping) == len(places_of(option, qdma))
    for output, expected in zip(outputs, outputs_of(without, seconds), strict=True):
        torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-10)


@one_second_and_more
@every_encoder
def test_in_evaluation_nothing_is_dropped(qdma: str, seconds: int) -> None:
    """With all options at a high probability the outputs are those without dropout."""
    daan = network(qdma, **dict.fromkeys(OPTIONS, PROBABILITY)).eval()

    for output, expected in zip(outputs_of(daan, seconds), outputs_of(network(qdma).eval(), seconds), strict=True):
        torch.testing.assert_close(output, expected, rtol=1e-10, atol=1e-10)
