"""What every method must do, whichever it is: one suite for all of them."""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from daan.baselines.anchored import Anchored
from daan.baselines.apn import Apn, ApnConfig
from daan.baselines.avca import Avca, AvcaConfig
from daan.baselines.avgzslnet import Avgzslnet, AvgzslnetConfig
from daan.baselines.bilinear import Ale, BilinearConfig, Devise, Sje
from daan.baselines.cjme import Cjme, CjmeConfig
from daan.baselines.clipclap import ClipClap, ClipClapConfig
from daan.baselines.lsc import Lsc, LscConfig
from daan.baselines.mft import Mft, MftConfig
from daan.baselines.tcaf import Tcaf, TcafConfig
from daan.baselines.zero_shot import ZeroShot, ZeroShotConfig
from daan.batch import VideoBatch
from daan.config import DaanConfig
from daan.method import Method, MethodConfig, TrainingBatch
from daan.network import Daan

AUDIO, VISUAL, TEXT = 5, 7, 12
CLASSES = 4
SMALL_ATTENTION: Mapping[str, Any] = {"depth": 2, "heads": 2, "head_width": 4, "feedforward_width": 8}
NO_DROPOUT = ("dropout", "encoder_dropout", "projection_dropout", "decoder_dropout", "text_dropout", "token_dropout")
NO_DROPOUT = (*NO_DROPOUT, "attention_dropout", "mixer_dropout", "input_dropout")


class Row(NamedTuple):
    """A method with options of a small network."""

    method: type[Method]
    config: type[MethodConfig]
    options: Mapping[str, Any]

    def build(self, **options: Any) -> Method:
        """Make the method, in float64."""
        widths = {"audio_width": AUDIO, "visual_width": VISUAL, "text_width": TEXT}
        torch.manual_seed(0)
        make: Any = self.method
        made: Method = make(self.config(**{**widths, **self.options, **options})).double()
        return made


class AnchoredAle(Anchored):
    """ALE whose distances are mixed with frozen ones."""

    def __init__(self, config: BilinearConfig) -> None:
        super().__init__(Ale(config), ZeroShotConfig(audio_width=AUDIO, visual_width=VISUAL, text_width=TEXT))
        self.set_factors(dict.fromkeys(self.scores, 0.01))


ROWS = {
    "daan": Row(Daan, DaanConfig, {"hidden_width": 16, "output_width": 8, "heads": 2, "feedforward_width": 8}),
    "daan-base": Row(
        Daan, DaanConfig, {"hidden_width": 16, "output_width": 8, "heads": 2, "feedforward_width": 8, "qdma": "off"}
    ),
    "avca": Row(Avca, AvcaConfig, {"encoder_width": 16, "hidden_width": 12, "projection_width": 16, "output_width": 8}),
    "avca-faithful": Row(Avca, AvcaConfig, {"hidden_width": 12, "output_width": 8, "faithful": True}),
    "avca-with-text-layer": Row(Avca, AvcaConfig, {"hidden_width": 12, "output_width": 8, "text_layer_width": 9}),
    "devise": Row(Devise, BilinearConfig, {}),
    "ale": Row(Ale, BilinearConfig, {"normalise": True}),
    "sje": Row(Sje, BilinearConfig, {}),
    "sje-faithful": Row(Sje, BilinearConfig, {"faithful": True}),
    "apn": Row(Apn, ApnConfig, {}),
    "apn-faithful": Row(Apn, ApnConfig, {"faithful": True, "normalise": True}),
    "cjme": Row(Cjme, CjmeConfig, {"hidden_width": 16, "text_hidden_width": 16, "output_width": 8}),
    "cjme-faithful": Row(
        Cjme, CjmeConfig, {"hidden_width": 16, "text_hidden_width": 16, "output_width": 16, "faithful": True}
    ),
    "cjme-with-text-layer": Row(Cjme, CjmeConfig, {"hidden_width": 16, "output_width": 8, "text_layer_width": 9}),
    "avgzslnet-with-text-layer": Row(
        Avgzslnet, AvgzslnetConfig, {"hidden_width": 16, "output_width": 8, "text_layer_width": 9}
    ),
    "avgzslnet": Row(Avgzslnet, AvgzslnetConfig, {"hidden_width": 16, "text_hidden_width": 16, "output_width": 8}),
    "tcaf": Row(Tcaf, TcafConfig, {"encoder_width": 8, "token_width": 12, "position_width": 4, **SMALL_ATTENTION}),
    "tcaf-faithful": Row(Tcaf, TcafConfig, {"token_width": 12, "faithful": True, **SMALL_ATTENTION}),
    "clipclap": Row(ClipClap, ClipClapConfig, {"hidden_width": 16, "output_width": 8}),
    "clipclap-audio": Row(
        ClipClap,
        ClipClapConfig,
        {"modality": "audio", "visual_text_width": 7, "audio_text_width": 5, "hidden_width": 8},
    ),
    "clipclap-visual": Row(
        ClipClap,
        ClipClapConfig,
        {"modality": "visual", "visual_text_width": 7, "audio_text_width": 5, "hidden_width": 8},
    ),
    "mft": Row(Mft, MftConfig, {"hidden_width": 16, "output_width": 8, **SMALL_ATTENTION}),
    "mft-fused": Row(
        Mft, MftConfig, {"hidden_width": 16, "tokens": "fused", "kl": "classes", "cosine": "class", **SMALL_ATTENTION}
    ),
    "mft-plain": Row(
        Mft, MftConfig, {"hidden_width": 16, "attention": "off", "kl": "off", "cosine": "off", **SMALL_ATTENTION}
    ),
    "lsc": Row(Lsc, LscConfig, {"hidden_width": 16, "bottleneck_width": 8, "mixer_width": 4, **SMALL_ATTENTION}),
    "ale-anchored": Row(AnchoredAle, BilinearConfig, {}),
    "zero-shot": Row(ZeroShot, ZeroShotConfig, {}),
    "zero-shot-joint": Row(ZeroShot, ZeroShotConfig, {"audio_width": 6, "visual_width": 6, "text_width": 6}),
}
TRAINED = [name for name, row in ROWS.items() if row.method.needs.training]


def videos(
    method: Method, audio_seconds: list[int], visual_seconds: list[int], padding: float = 0.0, seed: int = 0
) -> VideoBatch:
    """Make random videos with the value `padding` at invalid seconds."""
    generator = torch.Generator().manual_seed(seed)
    places = torch.arange(max(1, *audio_seconds, *visual_seconds))
    parts = {}
    for name, seconds in (("audio", audio_seconds), ("visual", visual_seconds)):
        mask = places < torch.tensor(seconds)[:, None]
        width = getattr(method.config, f"{name}_width")
        values = torch.randn(*mask.shape, width, generator=generator, dtype=torch.float64)
        parts |= {name: values.masked_fill(~mask[..., None], padding), f"{name}_mask": mask}
    return VideoBatch(**parts)


def table(method: Method, classes: int = CLASSES) -> Tensor:
    """Make class embeddings of length 1."""
    generator = torch.Generator().manual_seed(1)
    vectors = torch.randn(classes, method.config.text_width, generator=generator, dtype=torch.float64)
    return vectors / vectors.norm(dim=1, keepdim=True)


def batch(method: Method, pairs: int = 6, seconds: int = 3) -> TrainingBatch:
    """Make a batch of ragged videos, some of which lack a modality."""
    labels = torch.arange(pairs) % CLASSES
    count = 2 * pairs if method.needs.negatives else pairs
    audio = [1 + n % seconds for n in range(count)]
    visual = [1 + (n + 1) % seconds for n in range(count)]
    if pairs > 2:
        audio[1], visual[2] = 0, 0
    classes = table(method)
    text = classes[torch.cat((labels, (labels + 1) % CLASSES))[:count]]
    return TrainingBatch(videos(method, audio, visual), text, labels, classes)


def scores_of(method: Method, some: VideoBatch) -> dict[str, Tensor]:
    """Compute the distances of videos to the classes of `table`."""
    with torch.no_grad():
        return method.distances(method.embed_videos(some), method.embed_classes(table(method)))


@pytest.fixture(params=ROWS)
def method(request: pytest.FixtureRequest) -> Method:
    """Each method in turn, in evaluation mode, with running statistics that differ from the first ones."""
    made = ROWS[request.param].build()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, buffer in made.named_buffers():
            if "running" in name:
                buffer.uniform_(0.5, 1.5, generator=generator)
    return made.eval()


@pytest.mark.parametrize(
    ("audio_seconds", "visual_seconds"),
    [([1, 1, 1], [1, 1, 1]), ([1, 1, 1], [2, 3, 1]), ([3, 1, 2], [2, 3, 1]), ([4, 0, 2], [2, 3, 1])],
)
def test_distances_have_one_row_per_video_and_are_finite(
    method: Method, audio_seconds: list[int], visual_seconds: list[int]
) -> None:
    """One second, ragged videos and an absent modality all give finite (N, C) distances by every score."""
    found = scores_of(method, videos(method, audio_seconds, visual_seconds))
    assert set(found) >= set(method.scores)
    for score in method.scores:
        assert found[score].shape == (3, CLASSES)
        assert torch.isfinite(found[score]).all()


@pytest.mark.parametrize("padding", [float("nan"), float("inf"), 1e9])
@pytest.mark.parametrize("method", sorted(ROWS.keys() - {"tcaf-faithful"}), indirect=True)
def test_a_video_is_the_same_alone_and_in_a_batch(method: Method, padding: float) -> None:
    """Neither other videos nor padding changes a distance; TCaF's published code scales over padded seconds."""
    seconds = [(3, 2), (1, 4), (0, 2), (2, 0)]
    together = scores_of(method, videos(method, *map(list, zip(*seconds, strict=True)), padding=padding))
    full = videos(method, *map(list, zip(*seconds, strict=True)))
    for row, each in enumerate(seconds):
        alone = scores_of(
            method,
            VideoBatch(
                *(
                    getattr(full, name)[row : row + 1, : max(each)]
                    for name in ("audio", "visual", "audio_mask", "visual_mask")
                )
            ),
        )
        for score in method.scores:
            torch.testing.assert_close(alone[score][0], together[score][row])


@pytest.mark.parametrize("what", ["audio", "visual"])
def test_another_width_is_refused_by_name(method: Method, what: str) -> None:
    """The message names the features and both widths."""
    some = videos(method, [1], [1])
    wrong = VideoBatch(**{**some.__dict__, what: torch.zeros(1, 1, 3)})
    with pytest.raises(ValueError, match=f"{what} features are 3 wide, the network takes"):
        method.embed_videos(wrong)
    with pytest.raises(ValueError, match="class embeddings are 3 wide, the network takes"):
        method.embed_classes(torch.zeros(2, 3))


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("pairs", [1, 2, 6])
def test_the_terms_are_finite_scalars(name: str, pairs: int) -> None:
    """Also for a batch of one pair, whose rows have no variance."""
    made = ROWS[name].build().train()
    terms = made.losses(batch(made, pairs))
    assert all(term.shape == () and torch.isfinite(term) for term in terms.values())


# Without QDMA, DAAN's cross-attention weighs a single vector, so that its queries and keys have no effect.
@pytest.mark.parametrize("name", sorted(set(TRAINED) - {"daan-base"}))
def test_the_terms_have_gradients_for_every_learned_parameter(name: str) -> None:
    """What `faithful` freezes has none. The videos are long enough for every tap of DAAN's convolutions."""
    made = ROWS[name].build().train()
    sum(made.losses(batch(made, seconds=9)).values()).backward()  # type: ignore[union-attr, no-untyped-call]
    for parameter_name, parameter in made.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, parameter_name


@pytest.mark.parametrize("name", TRAINED)
def test_a_method_learns_eight_videos_by_heart(name: str) -> None:
    """After a short training without dropout, every video is nearest to its own class."""
    options = dict.fromkeys(set(NO_DROPOUT) & set(ROWS[name].config.__dataclass_fields__), 0.0)
    made = ROWS[name].build(**options).train()
    pairs = 8
    labels = torch.arange(pairs) % CLASSES
    count = 2 * pairs if made.needs.negatives else pairs
    some, classes = videos(made, [2] * pairs, [2] * pairs), table(made)
    optimizer = torch.optim.Adam([each for each in made.parameters() if each.requires_grad], lr=0.003)
    first = torch.tensor(0.0)
    for step in range(80):
        negatives = (torch.arange(pairs) + 1 + step % (CLASSES - 1)) % pairs
        order = torch.cat((torch.arange(pairs), negatives))[:count]
        optimizer.zero_grad()
        losses = made.losses(TrainingBatch(some[order], classes[labels[order]], labels, classes))
        total = sum(losses.values(), start=torch.zeros((), dtype=torch.float64))
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        first = total.detach() if step == 0 else first
    assert total < 0.9 * first
    if any(isinstance(each, torch.nn.BatchNorm1d) for each in made.modules()):
        made.train()  # running statistics of so few steps say little
    found = scores_of(made, some)[made.scores[0]]
    # CJME's triplets compare videos for a text, so that a text far from all videos costs it little.
    least = 0.5 if isinstance(made, Cjme) else 0.875
    assert (found.argmin(1) == labels).double().mean() >= least


def test_a_saved_method_scores_the_same(method: Method) -> None:
    """The state holds everything that a score depends on."""
    copied = copy.deepcopy(method)
    with torch.no_grad():
        for value in copied.state_dict().values():
            if value.is_floating_point():
                value.zero_()
    copied.load_state_dict(method.state_dict())
    some = videos(method, [2, 1], [1, 3])
    for score, found in scores_of(copied, some).items():
        assert torch.equal(found, scores_of(method, some)[score])


@pytest.mark.parametrize("name", TRAINED)
def test_two_trainings_with_one_seed_are_equal(name: str) -> None:
    """Every random choice comes from torch's generator, so that a training can be resumed bit for bit."""
    states = []
    for _ in range(2):
        made = ROWS[name].build().train()
        torch.manual_seed(3)
        optimizer = torch.optim.Adam([each for each in made.parameters() if each.requires_grad])
        for _ in range(3):
            optimizer.zero_grad()
            sum(made.losses(batch(made)).values()).backward()  # type: ignore[union-attr, no-untyped-call]
            optimizer.step()
        states.append(made.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


@pytest.mark.parametrize(
    ("method_type", "config", "count"),
    [
        (Avca, AvcaConfig(), 1_693_108),
        (Cjme, CjmeConfig(), 1_299_157),
        (Avgzslnet, AvgzslnetConfig(), 1_319_872),
        (
            Tcaf,
            TcafConfig(audio_width=128, visual_width=4096, encoder_width=512, depth=6),
            7_269_972,  # the log of its authors prints 7.3 million
        ),
        (ClipClap, ClipClapConfig(audio_width=1024, text_width=1536), 2_237_824),
        (Mft, MftConfig(audio_width=1024, text_width=1536, tokens="fused"), 11_697_024),
        (Devise, BilinearConfig(), 307_200),
        (Apn, ApnConfig(), 614_400),
        (ZeroShot, ZeroShotConfig(), 0),
    ],
)
def test_the_published_networks_have_their_numbers_of_parameters(
    method_type: Any, config: MethodConfig, count: int
) -> None:
    """They are counted from the layers of the published code, vectors that are never learned included."""
    assert sum(each.numel() for each in method_type(config).parameters()) == count
