"""Each term of each method's loss equals its formula, computed one video and one coordinate at a time.

The layers are called with what the formulas name. The methods are in evaluation mode, without dropout.
"""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from daan.baselines.apn import Apn, ApnConfig
from daan.baselines.avca import Avca, AvcaConfig
from daan.baselines.avgzslnet import Avgzslnet, AvgzslnetConfig
from daan.baselines.bilinear import Ale, BilinearConfig, Devise, Sje
from daan.baselines.cjme import Cjme, CjmeConfig
from daan.baselines.clipclap import ClipClap, ClipClapConfig
from daan.baselines.lsc import Lsc, LscConfig
from daan.baselines.mft import Mft, MftConfig
from daan.baselines.tcaf import Tcaf, TcafConfig
from daan.batch import VideoBatch
from daan.method import Method, TrainingBatch

PAIRS, CLASSES, AUDIO, VISUAL, TEXT = 5, 4, 3, 2, 6
Rows = list[list[float]]
ATTENTION: dict[str, Any] = {"depth": 1, "heads": 2, "head_width": 3, "feedforward_width": 4}


def build(method: Any, config: Any, **options: Any) -> Any:
    """Make a small method in float64 in evaluation mode, with running statistics that differ from the first ones."""
    torch.manual_seed(0)
    widths = {"audio_width": AUDIO, "visual_width": VISUAL, "text_width": TEXT}
    made = method(config(**{**widths, **options})).double().eval()
    with torch.no_grad():
        for name, buffer in made.named_buffers():
            if "running_mean" in name:
                buffer.uniform_(-0.3, 0.1)
            elif "running_var" in name:
                buffer.uniform_(0.05, 0.2)
    return made


def a_batch(method: Method) -> TrainingBatch:
    """Make a batch of videos of one second, whose texts have length 1."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.arange(PAIRS) % CLASSES
    count = 2 * PAIRS if method.needs.negatives else PAIRS
    classes = torch.randn(CLASSES, TEXT, generator=generator, dtype=torch.float64)
    classes /= classes.norm(dim=1, keepdim=True)
    mask = torch.ones(count, 1, dtype=torch.bool)
    audio, visual = (
        torch.randn(count, 1, width, generator=generator, dtype=torch.float64) for width in (AUDIO, VISUAL)
    )
    text = classes[torch.cat((labels, (labels + 1) % CLASSES))[:count]]
    return TrainingBatch(VideoBatch(audio, visual, mask, mask), text, labels, classes)


def rows(x: Tensor) -> Rows:
    """Convert a matrix to lists."""
    found: Rows = x.detach().tolist()
    return found


def mean(values: Sequence[float]) -> float:
    """Average numbers."""
    return math.fsum(values) / len(values)


def distance(x: Sequence[float], y: Sequence[float], epsilon: float = 0.0) -> float:
    """Compute the Euclidean distance; torch's triplet loss adds epsilon to each difference."""
    return math.sqrt(math.fsum((a - b + epsilon) ** 2 for a, b in zip(x, y, strict=True)))


def dot(x: Sequence[float], y: Sequence[float]) -> float:
    """Compute the dot product."""
    return math.fsum(a * b for a, b in zip(x, y, strict=True))


def triplets(anchor: Tensor, near: Tensor, far: Tensor) -> list[float]:
    """Compute max(|anchor - near| - |anchor - far| + 1, 0) of each video."""
    return [
        max(distance(a, n, 1e-6) - distance(a, f, 1e-6) + 1, 0.0)
        for a, n, f in zip(rows(anchor), rows(near), rows(far), strict=True)
    ]


def t(anchor: Tensor, near: Tensor, far: Tensor) -> float:
    """Average the triplets."""
    return mean(triplets(anchor, near, far))


def mse(x: Tensor, y: Tensor) -> float:
    """Average the squared differences over all videos and coordinates."""
    return mean(
        [(a - b) ** 2 for of_x, of_y in zip(rows(x), rows(y), strict=True) for a, b in zip(of_x, of_y, strict=True)]
    )


def log_softmax(values: Sequence[float]) -> list[float]:
    """Compute the logarithms of the softmax."""
    total = math.log(math.fsum(math.exp(value) for value in values))
    return [value - total for value in values]


def cross_entropy(logits: Rows, labels: Tensor) -> float:
    """Average the negative logarithm of the right class's probability."""
    return mean([-log_softmax(row)[label] for row, label in zip(logits, labels.tolist(), strict=True)])


def products(x: Tensor, y: Tensor) -> Rows:
    """Compute all dot products."""
    return [[dot(a, b) for b in rows(y)] for a in rows(x)]


def kl_from_text(theta_o: Tensor, theta_w: Tensor) -> float:
    """Average KL(softmax(theta_w) || softmax(theta_o)) over the videos."""
    found = []
    for of_video, of_text in zip(rows(theta_o), rows(theta_w), strict=True):
        log_p, log_q = log_softmax(of_text), log_softmax(of_video)
        found.append(math.fsum(math.exp(p) * (p - q) for p, q in zip(log_p, log_q, strict=True)))
    return mean(found)


def check(method: Method, batch: TrainingBatch, expected: dict[str, float]) -> None:
    """Compare all terms by their names."""
    with torch.no_grad():
        found = method.losses(batch)
    assert min(expected.values()) > 0, "a term of 0 would say little"
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, rel=1e-9)


def first_and_second(batch: TrainingBatch) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the features (B, D) of positives and negatives, audio then visual."""
    audio, visual = batch.videos.audio[:, 0], batch.videos.visual[:, 0]
    return (audio[:PAIRS], visual[:PAIRS]), (audio[PAIRS:], visual[PAIRS:])


@pytest.mark.parametrize("text_layer_width", [0, 5])
def test_the_terms_of_avca(text_layer_width: int) -> None:
    """L_t, L_c and L_r have 4, 9 and 4 parts."""
    made = build(Avca, AvcaConfig, hidden_width=16, output_width=8, text_layer_width=text_layer_width)
    batch = a_batch(made)
    w, w_n = made.text_layer(batch.positive_text), made.text_layer(batch.negative_text)
    phi, theta = [], []
    for audio, visual in first_and_second(batch):
        phi_a, phi_v = made.audio_encoder(audio), made.visual_encoder(visual)
        tokens = torch.stack((phi_a + made.modality[0], phi_v + made.modality[1]), dim=1)
        attended = made.attention(tokens)
        phi.append((phi_a, phi_v))
        theta.append((made.audio_projection(phi_a + attended[:, 0]), made.visual_projection(phi_v + attended[:, 1])))
    (a, v), (a_n, v_n) = theta
    tw, tw_n = made.text_projection(w), made.text_projection(w_n)
    d = made.decoder
    check(
        made,
        batch,
        {
            "triplet": t(a, tw, a_n) + t(v, tw, v_n) + t(tw, a, tw_n) + t(tw, v, tw_n),
            "composite": mse(d(a), w)
            + mse(d(v), w)
            + mse(d(tw), w)
            + t(d(tw), d(a), d(a_n))
            + t(d(tw), d(v), d(v_n))
            + t(tw, a, a_n)
            + t(tw, v, v_n)
            + t(a, tw, tw_n)
            + t(v, tw, tw_n),
            "regularisation": mse(made.audio_reconstructor(a), phi[0][0])
            + mse(made.visual_reconstructor(v), phi[0][1])
            + mse(a, tw)
            + mse(v, tw),
        },
    )


@pytest.mark.parametrize("text_layer_width", [0, 5])
def test_the_terms_of_avgzslnet(text_layer_width: int) -> None:
    """Distances, not their squares, of decoded class embeddings of length 1; and six triplets."""
    made = build(Avgzslnet, AvgzslnetConfig, hidden_width=16, output_width=8, text_layer_width=text_layer_width)
    batch = a_batch(made)
    w, w_n = made.text_layer(batch.positive_text), made.text_layer(batch.negative_text)
    (a, v), (a_n, v_n) = (
        (made.audio_encoder(audio), made.visual_encoder(visual)) for audio, visual in first_and_second(batch)
    )
    tw, tw_n = made.text_encoder(w), made.text_encoder(w_n)

    def decoded(theta: Tensor) -> Tensor:
        plain = made.decoder(theta)
        return plain / plain.square().sum(1, keepdim=True).sqrt()

    def apart(theta: Tensor) -> float:
        return mean([distance(x, y) for x, y in zip(rows(decoded(theta)), rows(w), strict=True)])

    check(
        made,
        batch,
        {
            "reconstruction": apart(tw) + apart(a) + apart(v),
            "decoded": t(decoded(tw), decoded(a), decoded(a_n)) + t(decoded(tw), decoded(v), decoded(v_n)),
            "triplet": t(tw, a, a_n) + t(a, tw, tw_n) + t(tw, v, v_n) + t(v, tw, tw_n),
        },
    )


@pytest.mark.parametrize("faithful", [False, True])
def test_the_terms_of_cjme(faithful: bool) -> None:
    """The gate weighs the triplets of a video, or in the published code their means; its target follows entropies."""
    made = build(Cjme, CjmeConfig, hidden_width=16, output_width=8, faithful=faithful)
    batch = a_batch(made)
    (audio, visual), (audio_n, visual_n) = first_and_second(batch)
    a, a_n = made.audio_encoder(audio), made.audio_encoder(audio_n)
    v, v_n = made.visual_encoder(visual), made.visual_encoder(visual_n)
    tw, classes = made.text_encoder(batch.positive_text), made.text_encoder(batch.class_table)
    gate = made.gate(torch.cat((audio, visual), dim=1))[:, 0].tolist()
    of_audio, of_visual = triplets(tw, a, a_n), triplets(tw, v, v_n)

    def entropies(theta: Tensor) -> list[float]:
        logs = [log_softmax(row) for row in products(theta, classes)]
        return [-math.fsum(math.exp(log) * log for log in row) for row in logs]

    targets = [
        0.0 if h_v > h_a + 0.1 else 1.0 if h_a > h_v + 0.1 else 0.5
        for h_a, h_v in zip(entropies(a), entropies(v), strict=True)
    ]
    each = [(1 - g) * x + g * y for g, x, y in zip(gate, of_audio, of_visual, strict=True)]
    means = (1 - mean(gate)) * mean(of_audio) + mean(gate) * mean(of_visual)
    expected = {
        "triplet": means if faithful else mean(each),
        "alignment": mse(a, v),
        "gate": mean([(g - target) ** 2 for g, target in zip(gate, targets, strict=True)]),
    }
    check(made, batch, expected)


@pytest.mark.parametrize("faithful", [False, True])
def test_the_terms_of_apn(faithful: bool) -> None:
    """Both matrices have a cross entropy and a regression; the published code takes a second softmax."""
    made = build(Apn, ApnConfig, faithful=faithful)
    with torch.no_grad():
        made.final.normal_()
        made.prototypes.normal_()
    batch = a_batch(made)
    x = torch.cat((batch.videos.visual[:, 0], batch.videos.audio[:, 0]), dim=1)
    entropy, regression = 0.0, 0.0
    for matrix in (made.final, made.prototypes):
        mapped = x @ matrix.T
        logits = products(mapped, batch.class_table)
        if faithful:
            logits = [[math.exp(log) for log in log_softmax(row)] for row in logits]
        entropy += cross_entropy(logits, batch.labels)
        regression += mse(mapped, batch.text)
    check(made, batch, {"cross_entropy": entropy, "regression": regression})


@pytest.mark.parametrize("method", [Devise, Ale, Sje])
def test_the_ranking_of_the_bilinear_methods(method: Any) -> None:
    """Hinges of the wrong classes are summed, weighted by the rank, or only the largest counts."""
    made = build(method, BilinearConfig)
    batch = a_batch(made)
    found = made.embed_videos(batch.videos)["fused"]
    ranks = []
    for similarity, label in zip(products(found, batch.class_table), batch.labels.tolist(), strict=True):
        hinges = [max(0.0, 0.1 + s - similarity[label]) for c, s in enumerate(similarity) if c != label]
        r = sum(hinge > 0 for hinge in hinges)
        weighted = math.fsum(1 / k for k in range(1, r + 1)) / r * math.fsum(hinges) if r else 0.0
        ranks.append({Devise: math.fsum(hinges), Ale: weighted, Sje: max(hinges)}[method])
    check(made, batch, {"ranking": mean(ranks)})


def class_terms(made: Any, o: Tensor, batch: TrainingBatch) -> tuple[dict[str, float], Tensor, Tensor]:
    """Compute the terms of ClipClap's family from the joined features o, with theta_o and theta_w."""
    span = made.config.text_span
    w, table = (made.text_encoder(text[:, span]) for text in (batch.positive_text, batch.class_table))
    theta_o, theta_w = made.projection(o), made.text_projection(w)
    terms = {
        "cross_entropy": cross_entropy(products(theta_o, made.text_projection(table)), batch.labels),
        "reconstruction": mse(made.decoder(theta_o), w) + mse(made.text_decoder(theta_w), w),
        "regularisation": mse(theta_o, theta_w),
    }
    return terms, theta_o, theta_w


@pytest.mark.parametrize(("modality", "span"), [("both", (0, TEXT)), ("visual", (0, 2)), ("audio", (2, TEXT))])
def test_the_terms_of_clipclap(modality: str, span: tuple[int, int]) -> None:
    """A single modality reads its own part of the text: first the visual encoder's values, then the audio encoder's."""
    options = {
        "hidden_width": 16,
        "output_width": 8,
        "modality": modality,
        "visual_text_width": 2,
        "audio_text_width": 4,
    }
    made = build(ClipClap, ClipClapConfig, **options)
    assert (made.config.text_span.start, made.config.text_span.stop) == span
    batch = a_batch(made)
    parts = {"visual": batch.videos.visual[:, 0], "audio": batch.videos.audio[:, 0]}
    read = [x for name, x in parts.items() if modality in {"both", name}]
    check(made, batch, class_terms(made, made.encoder(torch.cat(read, dim=1)), batch)[0])


@pytest.mark.parametrize("kl", ["coordinates", "classes", "off"])
@pytest.mark.parametrize("cosine", ["label", "class", "off"])
def test_the_terms_of_mft(kl: str, cosine: str) -> None:
    """The KL measures from the target to the prediction; both further losses have their weights."""
    options = {"hidden_width": 16, "output_width": 8, "kl": kl, "cosine": cosine, **ATTENTION}
    made = build(Mft, MftConfig, kl_weight=0.7, cosine_weight=0.3, **options)
    batch = a_batch(made)
    inputs = (batch.videos.visual[:, 0], batch.videos.audio[:, 0])
    tokens = [encode(x) + mark for encode, x, mark in zip(made.encoders, inputs, made.token, strict=True)]
    attended = made.attention(torch.stack(tokens, dim=1))
    expected, theta_o, theta_w = class_terms(made, (attended[:, 0] + attended[:, 1]) / 2, batch)
    if kl == "coordinates":
        expected["kl"] = 0.7 * kl_from_text(theta_o, theta_w)
    elif kl == "classes":
        likeness = [[value / 0.1 for value in row] for row in products(batch.positive_text, batch.class_table)]
        found = products(theta_o, made.embed_classes(batch.class_table))
        expected["kl"] = 0.7 * kl_from_text(
            *(torch.tensor(values, dtype=torch.float64) for values in (found, likeness))
        )
    if cosine == "label":
        pairs = list(zip(rows(theta_o), rows(theta_w), strict=True))
    else:
        labels, videos = batch.labels.tolist(), rows(theta_o)
        pairs = [
            (videos[i], videos[j]) for j in range(PAIRS) for i in range(j) if labels[i] == labels[j]
        ]  # fmt: skip
    if cosine != "off":
        expected["cosine"] = 0.3 * mean([1 - dot(x, y) / math.sqrt(dot(x, x) * dot(y, y)) for x, y in pairs])
    check(made, batch, expected)


def test_the_terms_of_lsc() -> None:
    """The bottleneck's decoder must give its input back; the mixers and the attention keep what they get."""
    made = build(Lsc, LscConfig, hidden_width=16, output_width=8, bottleneck_width=4, mixer_width=3, **ATTENTION)
    batch = a_batch(made)
    o = made.encoder(torch.cat((batch.videos.visual[:, 0], batch.videos.audio[:, 0]), dim=1))
    z = made.bottleneck(o)
    attended = made.attention((z + made.token)[:, None])[:, 0]
    # The token mixer sees the one token of each coordinate, the channel mixer all coordinates of the token.
    mixed = attended + torch.stack([made.token_mixer(column[:, None])[:, 0] for column in attended.T], dim=1)
    mixed = mixed + made.channel_mixer(mixed)
    expected, theta_o, theta_w = class_terms(made, mixed, batch)
    expected["kl"] = kl_from_text(theta_o, theta_w)
    expected["auxiliary"] = 0.5 * mse(made.bottleneck_decoder(z), o)
    check(made, batch, expected)


def test_the_terms_of_tcaf() -> None:
    """The class family with the class embeddings themselves as target, and a decoder for each side."""
    made = build(Tcaf, TcafConfig, encoder_width=4, token_width=6, position_width=4, output_width=8, **ATTENTION)
    batch = a_batch(made)
    theta_o = made.embed_videos(batch.videos)["fused"]
    theta_w, table = made.embed_classes(batch.text), made.embed_classes(batch.class_table)
    check(
        made,
        batch,
        {
            "cross_entropy": cross_entropy(products(theta_o, table), batch.labels),
            "reconstruction": mse(made.decoder(theta_o), batch.text) + mse(made.text_decoder(theta_w), batch.text),
            "regularisation": mse(theta_o, theta_w),
        },
    )
