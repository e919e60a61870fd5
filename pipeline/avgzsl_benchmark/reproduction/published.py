"""Published results to print next to ours, in percent, for the main split and SeLaVi features.

The metrics are defined in pipeline/avgzsl_benchmark/README.md. One figure is corrected: DAAN's paper prints an HM of
13.87 for ActivityNet, but its S and U give 13.77. Rows that could only be quoted from memory are left out, such as two
of the three of Hyper-AVZSL.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from daan.config import Csgm, DaanConfig


@dataclass(frozen=True)
class PublishedRow:
    """The published metrics of one method; NaN for a metric that was not published."""

    method: str
    S: float
    U: float
    HM: float
    ZSL: float


def _rows(table: str) -> tuple[PublishedRow, ...]:
    """Read a table with one line per method: its name, then S, U, HM and ZSL."""
    lines = (line.split() for line in table.strip().splitlines())
    return tuple(
        PublishedRow(method, *(float(one.replace("-", "nan")) for one in metrics)) for method, *metrics in lines
    )


# Where the rows of a method come from. Of those of AVCA's paper, HM and ZSL also stand in its repository.
_AVCA = "arXiv 2203.03598"
SOURCES: Mapping[str, str] = {
    **dict.fromkeys(("DeViSE", "ALE", "SJE", "APN", "f-VAEGAN-D2", "CJME", "AVGZSLNet", "AVCA"), _AVCA),
    "TSART": "doi 10.3390/math12142200",
    "TCaF": "arXiv 2207.09966",
    "AVMST": "ICME 2023, as quoted by arXiv 2412.11715",
    "Hyperalignment": "ICCV 2023, as quoted by arXiv 2412.11715",
    "MSTR": "the notes of github.com/xia-zhe/MSTR, which have HM only",
    "MDFT": "ACM MM 2023, as quoted by arXiv 2412.11715",
    "DAAN": "arXiv 2412.11715",
}


PUBLISHED: Mapping[str, tuple[PublishedRow, ...]] = {
    "ucf": _rows("""
        DeViSE           55.59  14.94  23.56  16.09
        ALE              57.59  14.89  23.66  16.32
        SJE              63.10  16.77  26.50  18.93
        APN              28.46  16.16  20.61  16.44
        f-VAEGAN-D2      17.29   8.47  11.37  11.11
        CJME             26.04   8.21  12.48   8.29
        AVGZSLNet        52.52  10.90  18.05  13.65
        TSART            20.96  21.27  21.11  22.86
        AVCA             51.53  18.43  27.15  20.01
        TCaF             58.60  21.74  31.72  24.81
        AVMST            44.08  22.63  29.91  28.19
        Hyperalignment   57.28  17.83  27.19  19.02
        MSTR                 -      -  32.43      -
        MDFT             48.79  23.11  31.36  31.53
        DAAN             52.38  23.48  32.42  31.09
    """),
    "activitynet": _rows("""
        DeViSE            3.45   8.53   4.91   8.53
        ALE               2.63   7.87   3.94   7.90
        SJE               4.61   7.04   5.57   7.08
        APN               9.84   5.76   7.27   6.34
        f-VAEGAN-D2       4.36   2.14   2.87   2.40
        CJME              5.55   4.75   5.12   5.84
        AVGZSLNet         8.93   5.04   6.44   5.40
        TSART             8.99   7.41   8.12   7.65
        AVCA             24.86   8.02  12.13   9.13
        TCaF             18.70   7.50  10.71   7.91
        AVMST            17.75   9.90  12.71  10.37
        Hyperalignment   23.50   8.47  12.46   9.83
        MSTR                 -      -  13.21      -
        MDFT             18.32  10.55  13.39  12.55
        DAAN             20.91  10.26  13.77  11.15
    """),
    "vggsound": _rows("""
        DeViSE           36.22   1.07   2.08   5.59
        ALE               0.28   5.48   0.53   5.48
        SJE              48.33   1.10   2.15   4.06
        APN               7.48   3.88   5.11   4.49
        f-VAEGAN-D2      12.77   0.95   1.77   1.91
        CJME              8.69   4.78   6.17   5.16
        AVGZSLNet        18.05   3.48   5.83   5.28
        TSART            10.45   3.43   5.16   4.03
        AVCA             14.90   4.00   6.31   6.00
        TCaF              9.64   5.91   7.33   6.06
        AVMST            14.14   5.28   7.68   6.61
        Hyperalignment   13.22   5.01   7.27   6.14
        MSTR                 -      -   7.83      -
        MDFT             16.14   5.97   8.72   7.13
        DAAN             10.04   7.10   8.32   7.91
    """),
}

# The ablation of DAAN in its paper (arXiv 2412.11715), which is published for UCF only. The first digits of S in the
# row "base" were hard to read in our copy of the paper; U and HM of the row confirm 49.14.
PUBLISHED_ABLATION: Mapping[str, Mapping[str, PublishedRow]] = {
    "ucf": {
        row.method: row
        for row in _rows("""
            base             49.14  17.46  25.77  19.03
            qdma             44.30  18.86  26.46  28.78
            qdma-convergence 46.34  23.64  31.31  28.44
            full             52.38  23.48  32.42  31.09
        """)
    }
}


@dataclass(frozen=True)
class Variant:
    """A row of the ablation.

    Attributes:
        name: the name here and in `PUBLISHED_ABLATION`.
        title: the name in tables.
        qdma: the setting `daan.qdma` of this row.
        csgm: the setting `daan.csgm` of this row.
    """

    name: str
    title: str
    qdma: Literal["off", "on"]
    csgm: Csgm

    def applied_to(self, config: DaanConfig) -> DaanConfig:
        """Return the configuration with the two settings of this variant and everything else unchanged."""
        return dataclasses.replace(config, qdma=self.qdma, csgm=self.csgm)


ABLATION = (
    Variant("base", "base", "off", "off"),
    Variant("qdma", "+ QDMA", "on", "off"),
    Variant("qdma-convergence", "+ CSGM by V_c", "on", "convergence"),
    Variant("full", "+ CSGM, full", "on", "full"),
)


def variants_of(config: DaanConfig, *, ablation: bool) -> tuple[Variant, ...]:
    """List the variants to train: the rows of the ablation with the full method last, or only the configuration."""
    if ablation:
        return ABLATION
    return (Variant("configured", f"QDMA {config.qdma}, CSGM {config.csgm}", config.qdma, config.csgm),)
