"""Options of the DAAN network. P marks what the paper says (arXiv 2412.11715), C a choice of this project."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from daan.method import MethodConfig

Score = Literal["audio", "visual", "sum"]
Csgm = Literal["off", "convergence", "full"]
Convergence = Literal["sum", "product", "batch"]
Optimisation = Literal["other", "own", "batch"]
Tokens = Literal["seconds", "chunks"]
BypassInput = Literal["refined", "features"]
NoiseScale = Literal["gradient", "sgd"]
CsgmApply = Literal["gradient", "update"]


@dataclass(frozen=True, kw_only=True)
class DaanConfig(MethodConfig):
    """Options of the network, of CSGM and of scoring.

    Where the paper sets a number per benchmark, the default is the one of UCF. The presets contain the other numbers.

    Raises:
        ValueError: a field out of its range; the message names the field, its value and what is allowed.
    """

    # The margin and the dropout were chosen on the sample videos, where training reaches a margin of 1 too early
    # (benchmarks/network_size.py --workspace FOLDER compares them).
    small: ClassVar[Mapping[str, Any]] = {
        "hidden_width": 64,
        "output_width": 32,
        "heads": 4,
        "margin": 3.0,
        "input_dropout": 0.0,
    }
    sizes: ClassVar[tuple[str, ...]] = ("hidden_width", "output_width", "heads")

    hidden_width: int = 512  # H, a multiple of 2 * heads (P; as wide as SeLaVi's features, so that nothing is lost)
    output_width: int = 300  # O, width of the shared space (P; the width of the paper's class embeddings)
    heads: int = 8  # C: heads of both attentions; as in Transformer, with halves of 32 at the default width
    qdma: Literal["off", "on"] = "on"  # off: the base of the paper's ablation, an MLP over the averaged seconds
    beta: float = 0.5  # P: weight of the second softmax in eq. 1 and 2; C: its value, halfway from none to full weight
    # C: of the features and of the class embeddings in training. With it, long training loses less of its accuracy on
    # unseen classes (daan/README.md, section 7)
    input_dropout: float = 0.5
    encoder_dropout: float = 0.2  # C: in QDMA and cross-attention
    projection_dropout: float = 0.2  # C: in the projections of audio and visual
    decoder_dropout: float = 0.2  # C: in the projection of text and the reconstructors
    # C: what attention and bypass read. chunks: the mean over the seconds, cut into pieces; for averaged features
    tokens: Tokens = "seconds"
    chunks: int = 8  # C: pieces of a vector with tokens: chunks
    bypass: Literal["off", "on"] = "on"  # C: off leaves the temporal bypass out, for comparison
    # refined: D(C(o3)) + o3 (P, eq. 3); features: D(C(x)) + C(x) of the modality's features x (C)
    bypass_input: BypassInput = "refined"
    # P: dilation in seconds, 3/9/5 for UCF/ActivityNet/VGGSound. C: exponential means 1, 2, 4, ...
    tcn_gap: int | Literal["exponential"] = 3
    tcn_layers: int = 2  # P: number of dilated convolutions, 2/3/5 for UCF/ActivityNet/VGGSound
    tcn_kernel: int = 3  # C: taps per convolution; with the paper's dilations they cover the clips of its benchmarks
    feedforward_width: int = 64  # C: width of the cross-attention's feed-forward layer, as in AVCA's block
    margin: float = 1.0  # C: margin of the triplet terms, as AVCA
    score: Score = "sum"  # C: distance to a class; AVCA uses the visual distance alone
    modality_dropout: float = 0.0  # C: probability that one modality of a training video is hidden
    csgm: Csgm = "full"  # P: eq. 5 to 8 and the ablation; convergence: V_o is 1. Without QDMA nothing is modulated
    gamma: float = 0.45  # P: smallest rate M of eq. 5, 0.45/0.5/0.6 for UCF/ActivityNet/VGGSound
    omega: float = 1.15  # P: weight in the normalisation of V_c and V_o, 1.15/0.5/1.2 for UCF/ActivityNet/VGGSound
    noise: float = 1.0  # C: eps of eq. 8 in standard deviations, one per matrix; 0 for no noise
    # C: standard deviation of eps. gradient: that of the gradient's entries, as OGM-GE; sgd: that of the sum of the
    # batch's pair gradients, estimated from their spread
    noise_scale: NoiseScale = "gradient"
    # C: gradient: M weighs gradients, of which Adam cancels a constant factor; update: the mean M of a batch also
    # scales the optimiser's update
    csgm_apply: CsgmApply = "gradient"
    # Normalisation of V_c and V_o. C: the paper gives no formula; daan/README.md compares these readings.
    # sum: balance of the summed deltas; product: product of three balances; batch: eq. 6 squashed over the batch.
    convergence: Convergence = "sum"
    # other: the slower modality gets the larger rate; own: the faster one does; batch: eq. 7 squashed over the batch.
    optimisation: Optimisation = "other"

    def idle_options(self, longest_seconds: int) -> str:
        """Say that nothing attends over the seconds, because they are averaged or there is only one."""
        if self.qdma == "off":
            return "daan.qdma is off: the seconds are averaged first, so cross-attention weighs a single second"
        if self.tokens == "seconds" and longest_seconds == 1:
            return (
                "one second per video: the attentions over seconds and daan.beta have no effect "
                "(--set daan.tokens=chunks cuts each vector into pieces instead)"
            )
        return ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_widths()
        self._choice("qdma", ("off", "on"))
        self._choice("bypass", ("off", "on"))
        self._choice("bypass_input", get_args(BypassInput))
        self._choice("tokens", get_args(Tokens))
        self._choice("score", get_args(Score))
        self._check_csgm()
        gap: object = self.tcn_gap  # typed as a Literal, but a settings file can contain any text
        if gap != "exponential" and not (isinstance(gap, int) and gap >= 1):
            raise ValueError(f"tcn_gap is {gap!r}, must be a whole number of at least 1, or exponential")
        self._fraction("beta", "input_dropout", "encoder_dropout", "projection_dropout", "decoder_dropout")
        self._fraction("modality_dropout")
        self._not_negative("margin")

    def _check_widths(self) -> None:
        self._positive(
            "hidden_width", "output_width", "heads", "tcn_layers", "tcn_kernel", "feedforward_width", "chunks"
        )
        if self.hidden_width % (2 * self.heads):
            raise ValueError(
                f"hidden_width is {self.hidden_width}, must be a multiple of {2 * self.heads}, "
                f"twice the heads ({self.heads}): the queries of each head are halved"
            )

    def _check_csgm(self) -> None:
        self._choice("csgm", get_args(Csgm))
        self._choice("convergence", get_args(Convergence))
        self._choice("optimisation", get_args(Optimisation))
        self._choice("noise_scale", get_args(NoiseScale))
        self._choice("csgm_apply", get_args(CsgmApply))
        self._not_negative("gamma", "omega", "noise")

    @property
    def modulates(self) -> bool:
        """Whether training steps modulate gradients."""
        return self.csgm != "off" and self.qdma == "on"

    @property
    def tcn_gaps(self) -> tuple[int, ...]:
        """The dilation in seconds of each dilated convolution."""
        if self.tcn_gap == "exponential":
            return tuple(2**layer for layer in range(self.tcn_layers))
        return (self.tcn_gap,) * self.tcn_layers
