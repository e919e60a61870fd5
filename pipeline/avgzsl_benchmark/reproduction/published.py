"""Published results to print next to ours, in percent: one table for each benchmark and each kind of features.

The metrics are defined in pipeline/avgzsl_benchmark/README.md. The figures are as printed; `PublishedRow.doubts` finds
those that cannot be right. Figures that could only be quoted from memory are left out: two of the three rows of
Hyper-AVZSL for main, and S and U of CJME, AVGZSLNet and AVCA for cls.
"""

from collections.abc import Mapping

from pipeline.base.workspace import Workspace
from pipeline.comparison.published import PublishedRow, PublishedTable
from pipeline.datasets.official.known_benchmark import benchmark_in
from pipeline.features.feature_kinds import FEATURE_KINDS, FeatureKind, kind_in

# Where the rows of a method come from, if not from the paper of the table.
_AVCA = "arXiv 2203.03598"
_AVCA_NOTES = "README of github.com/ExplainableML/AVCA-GZSL, which has HM and ZSL only"
_CLIPCLAP = "arXiv 2404.06309"
_MFT = "doi 10.11999/JEIT241090"
SOURCES: Mapping[str, Mapping[str, str]] = {
    "main": {
        **dict.fromkeys(("DeViSE", "ALE", "SJE", "APN", "f-VAEGAN-D2", "CJME", "AVGZSLNet", "AVCA"), _AVCA),
        "TSART": "doi 10.3390/math12142200",
        "TCaF": "arXiv 2207.09966",
        "AVMST": "ICME 2023, as quoted by arXiv 2412.11715",
        "Hyper-alignment": "ICCV 2023, as quoted by arXiv 2412.11715",
        "MSTR": "the notes of github.com/xia-zhe/MSTR, which have HM only",
        "MDFT": "ACM MM 2023, as quoted by arXiv 2412.11715",
        "DAAN": "arXiv 2412.11715",
    },
    "cls": {
        **dict.fromkeys(("ALE", "SJE", "DeViSE", "APN", "CJME", "AVGZSLNet", "AVCA"), _AVCA_NOTES),
        "TCaF": "arXiv 2207.09966",
        "AVFS": "doi 10.1109/ijcnn54540.2023.10191705",
        "KDA": "arXiv 2311.12268",
        "STFT": "arXiv 2407.08130",
    },
    "clip": {
        **dict.fromkeys(("CJME", "AVGZSLNet", "AVCA", "Hyper-multiple", "ClipClap"), _CLIPCLAP),
        "MFT": _MFT,
        "HSP-MoE": "the notes of its authors",
        "SGTG": "a manuscript of 2026, HM only",
    },
}
_NOTES: Mapping[str, str] = {
    "KDA": "epoch, beta and learning rate were chosen on the test videos, so that no other row is comparable with it",
    "HSP-MoE": "one seed, not published in a paper",
    "SGTG": "not published yet; it reads seconds and other descriptions of the classes than the other rows",
    "f-VAEGAN-D2": "the published code trains 50 steps and chooses the epoch on the test videos",
}


def rows_of(table: str, sources: Mapping[str, str] | None = None) -> tuple[PublishedRow, ...]:
    """Read a table with one line per method: its name, then S, U, HM and ZSL; `-` for a figure that is not published.

    Args:
        table: the lines.
        sources: method -> source.
    """
    rows = []
    for name, *cells in (line.split() for line in table.strip().splitlines()):
        seen, unseen, mean, zero_shot = (float(cell.replace("-", "nan")) for cell in cells)
        source, note = (sources or {}).get(name, ""), _NOTES.get(name, "")
        rows.append(PublishedRow(name, seen, unseen, mean, zero_shot, source=source, note=note))
    return tuple(rows)


_MAIN: Mapping[str, str] = {
    "ucf": """
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
        Hyper-alignment  57.28  17.83  27.19  19.02
        MSTR                 -      -  32.43      -
        MDFT             48.79  23.11  31.36  31.53
        DAAN             52.38  23.48  32.42  31.09
    """,
    "activitynet": """
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
        Hyper-alignment  23.50   8.47  12.46   9.83
        MSTR                 -      -  13.21      -
        MDFT             18.32  10.55  13.39  12.55
        DAAN             20.91  10.26  13.87  11.15
    """,
    "vggsound": """
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
        Hyper-alignment  13.22   5.01   7.27   6.14
        MSTR                 -      -   7.83      -
        MDFT             16.14   5.97   8.72   7.13
        DAAN             10.04   7.10   8.32   7.91
    """,
}

_CLS: Mapping[str, str] = {
    "ucf": """
        ALE                  -      -  35.37  32.30
        SJE                  -      -  24.28  32.47
        DeViSE               -      -  31.98  35.48
        APN                  -      -  18.35  29.69
        CJME                 -      -  28.65  29.01
        AVGZSLNet            -      -  36.51  31.51
        AVCA                 -      -  41.34  37.72
        TCaF             67.14  40.83  50.78  44.64
        AVFS             54.57  36.94  44.06  41.55
        KDA              75.88  42.97  54.84  52.66
        STFT             61.42  43.81  51.14  49.74
    """,
    "activitynet": """
        ALE                  -      -   1.55   6.16
        SJE                  -      -   2.35   4.35
        DeViSE               -      -   0.33   5.84
        APN                  -      -   3.58   3.97
        CJME                 -      -   7.32   6.29
        AVGZSLNet            -      -   8.30   6.39
        AVCA                 -      -   9.92   7.58
        TCaF             30.12   7.65  12.20   7.96
        AVFS             14.41   8.91  11.01   9.15
        KDA              37.55  10.25  17.95  11.85
        STFT             25.12   9.83  14.13   9.46
    """,
    "vggsound": """
        ALE                  -      -   3.23   4.97
        SJE                  -      -   4.69   3.22
        DeViSE               -      -   3.64   4.72
        APN                  -      -   6.29   6.50
        CJME                 -      -   3.68   3.72
        AVGZSLNet            -      -   5.26   4.81
        AVCA                 -      -   8.31   6.91
        TCaF             12.63   6.72   8.77   7.41
        AVFS             15.62   6.00   8.67   7.31
        KDA              13.30   7.74   9.78   8.32
        STFT             11.74   8.83  10.08   8.79
    """,
}

_CLIP: Mapping[str, str] = {
    "ucf": """
        CJME             48.18  17.68  25.87  20.46
        AVGZSLNet        56.26  34.37  42.67  35.66
        AVCA             34.90  38.67  36.69  38.67
        Hyper-multiple   43.52  39.77  41.56  40.28
        ClipClap         77.14  43.91  55.97  46.96
        MFT              72.52  47.12  57.12  48.56
        HSP-MoE          81.54  56.90  67.03  59.16
        SGTG                 -      -  60.63      -
    """,
    "activitynet": """
        CJME             16.06   9.13  11.64   9.92
        AVGZSLNet        14.81  11.11  12.70  12.39
        AVCA             24.04  19.88  21.76  20.88
        Hyper-multiple   20.52  21.30  20.90  22.18
        ClipClap         45.98  20.06  27.93  22.76
        MFT              42.58  25.66  32.02  27.88
        HSP-MoE          52.74  27.99  36.57  31.28
        SGTG                 -      -  31.49      -
    """,
    "vggsound": """
        CJME             11.96   5.41   7.45   6.84
        AVGZSLNet        13.02   2.88   4.71   5.44
        AVCA             32.47   6.81  11.26   8.16
        Hyper-multiple   21.99   8.12  11.87   8.47
        ClipClap         29.68  11.12  16.18  11.53
        MFT              31.63  13.37  18.80  13.97
        HSP-MoE          31.49  13.78  19.17  14.97
        SGTG                 -      -  22.78      -
    """,
}

# kind of features -> benchmark -> rows
PUBLISHED: Mapping[str, Mapping[str, tuple[PublishedRow, ...]]] = {
    kind: {benchmark: rows_of(table, SOURCES[kind]) for benchmark, table in tables.items()}
    for kind, tables in (("main", _MAIN), ("cls", _CLS), ("clip", _CLIP))
}


def published_in(workspace: Workspace) -> PublishedTable | None:
    """Return the published rows for the features of a workspace; None without a known benchmark, or features."""
    benchmark = benchmark_in(workspace)
    return published_table(benchmark, kind_in(workspace.current_features())) if benchmark else None


def published_table(benchmark: str | None, kind: FeatureKind | None) -> PublishedTable | None:
    """Return the published rows for a benchmark with one kind of features; None if there are none."""
    if benchmark is None or kind is None or benchmark not in PUBLISHED[kind.name]:
        return None
    return PublishedTable(benchmark, FEATURE_KINDS[kind.name], PUBLISHED[kind.name][benchmark])
