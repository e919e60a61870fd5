"""Options of the DAAN network. P marks what the paper says (arXiv 2412.11715), C a choice of this project."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

Score = Literal["audio", "visual", "sum"]
Csgm = Literal["off", "convergence", "full"]
Convergence = Literal["sum", "product", "batch"]
Optimisation = Literal["other", "own", "batch"]


@dataclass(frozen=True, kw_only=True)
class DaanConfig:
    """How the network is built, how CSGM modulates its gradients, and how it scores.

    The numbers that the paper sets for each benchmark are those of UCF here; the presets hold the others'.

    Raises:
        ValueError: a field is out of its range; the message names the field, its value and what is allowed.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    audio_width: int = 512  # of a second's audio vector; filled in from the data
    visual_width: int = 512  # of a second's visual vector; filled in from the data
    text_width: int = 300  # of a class embedding; filled in from the data (P: 300)
    hidden_width: int = 512  # H (C: SeLaVi's width, so that nothing is squeezed); a multiple of 2 * heads
    output_width: int = 300  # O, of the shared space (C: the width of the paper's class embeddings)
    heads: int = 8  # C: of both attentions; Transformer's number, halves of 32 at the default width
    qdma: Literal["off", "on"] = "on"  # off: the base of the paper's ablation, an MLP over the averaged seconds
    beta: float = 0.5  # weight of the second softmax in eq. 1 and 2 (P; the value C: midway between none and all)
    dropout: float = 0.2  # C: QDMA and cross-attention; a usual strength; 0 does better on some hundred clips
    projection_dropout: float = 0.2  # C: projections, reconstructors, decoder; likewise
    tcn_gap: int | Literal["exponential"] = (
        3  # P: dilation, 3/9/5 for UCF/ActivityNet/VGGSound; C: exponential is 1, 2, 4, ...
    )
    tcn_layers: int = 2  # P: dilated convolutions, 2/3/5
    tcn_kernel: int = 3  # C: taps of a convolution; with the paper's gaps it reaches over clips of its benchmarks
    feedforward_multiple: int = 2  # C: width of the cross-attention's feed-forward layer in H: half a Transformer's
    margin: float = 1.0  # C: AVCA's, of the triplet terms
    score: Score = "sum"  # C: AVCA scores by the visual embedding alone
    modality_dropout: float = 0.0  # C: chance that one modality of a training video is hidden
    csgm: Csgm = "full"  # P: eq. 5 to 8 and its ablation; convergence: V_o is 1. Without QDMA nothing is modulated
    gamma: float = 0.45  # P: least rate M of eq. 5, 0.45/0.5/0.6 for UCF/ActivityNet/VGGSound
    omega: float = 1.15  # P: weight of the normalisation of V_c and V_o, 1.15/0.5/1.2
    noise: float = 1.0  # eps of eq. 8 in deviations of the gradient (P: 1; C: one deviation a tensor, 0 is none)
    # How V_c and V_o are normalised (C: the paper gives no formula); daan/README.md compares the readings.
    convergence: Convergence = "sum"  # C: balance of the summed deltas, of each delta, or eq. 6 squashed over the batch
    optimisation: Optimisation = "other"  # C: the slower modality let through, the faster, or eq. 7 over the batch

    def __post_init__(self) -> None:
        self._check_widths()
        self._check_choice("qdma", ("off", "on"))
        self._check_choice("score", get_args(Score))
        self._check_csgm()
        gap: object = self.tcn_gap  # typed as a Literal, yet any text can arrive from a file
        if gap != "exponential" and not (isinstance(gap, int) and gap >= 1):
            raise ValueError(f"tcn_gap is {gap!r}, must be a whole number of at least 1, or exponential")
        for name in ("beta", "dropout", "projection_dropout", "modality_dropout"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value}, must be at least 0 and less than 1")
        if not 0 <= self.margin < float("inf"):
            raise ValueError(f"margin is {self.margin}, must be a finite number of at least 0")

    def _check_widths(self) -> None:
        for name in (
            "audio_width",
            "visual_width",
            "text_width",
            "hidden_width",
            "output_width",
            "heads",
            "tcn_layers",
            "tcn_kernel",
            "feedforward_multiple",
        ):
            value = getattr(self, name)
            if value < 1:
                raise ValueError(f"{name} is {value}, must be at least 1")
        if self.hidden_width % (2 * self.heads):
            raise ValueError(
                f"hidden_width is {self.hidden_width}, must be a multiple of {2 * self.heads}, "
                f"twice the heads ({self.heads}): the queries of each are halved"
            )

    def _check_csgm(self) -> None:
        self._check_choice("csgm", get_args(Csgm))
        self._check_choice("convergence", get_args(Convergence))
        self._check_choice("optimisation", get_args(Optimisation))
        for name in ("gamma", "omega", "noise"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise ValueError(f"{name} is {value}, must be a finite number of at least 0")

    def _check_choice(self, name: str, allowed: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in allowed:
            raise ValueError(f"{name} is {value!r}, must be one of {', '.join(allowed)}")

    @property
    def modulates(self) -> bool:
        """Whether training steps modulate gradients."""
        return self.csgm != "off" and self.qdma == "on"

    @property
    def tcn_gaps(self) -> tuple[int, ...]:
        """Dilation in seconds of each dilated convolution."""
        if self.tcn_gap == "exponential":
            return tuple(2**layer for layer in range(self.tcn_layers))
        return (self.tcn_gap,) * self.tcn_layers
