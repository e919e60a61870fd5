"""The ablations of the papers of DAAN and MFT: the variants to train, and their published results."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.avgzsl_benchmark.reproduction.published import rows_of
from pipeline.base.errors import UsageError
from pipeline.comparison.configured_methods import ConfiguredMethod
from pipeline.comparison.published import PublishedRow
from pipeline.features.feature_kinds import FeatureKind
from pipeline.settings.training import section_of


@dataclass(frozen=True)
class Variant:
    """A row of an ablation.

    Attributes:
        name: the name in documents and in `PUBLISHED_ABLATIONS`.
        title: the name in tables.
        options: the method's options that differ from the full method.
    """

    name: str
    title: str
    options: Mapping[str, Any]

    def applied_to(self, config: Any) -> Any:  # noqa: ANN401 - the options of any method
        """Return the options of a method with those of this variant."""
        return dataclasses.replace(config, **self.options)


_FULL = Variant("full", "full", {})
# Method -> the rows of its ablation, the full method last.
ABLATIONS: Mapping[str, tuple[Variant, ...]] = {
    "daan": (
        Variant("base", "base", {"qdma": "off", "csgm": "off"}),
        Variant("qdma", "+ QDMA", {"csgm": "off"}),
        Variant("qdma-convergence", "+ CSGM by V_c", {"csgm": "convergence"}),
        dataclasses.replace(_FULL, title="+ CSGM, full"),
    ),
    "mft": (
        # One modality is a single token.
        Variant("audio", "audio alone", {"modality": "audio", "tokens": "fused"}),
        Variant("visual", "visual alone", {"modality": "visual", "tokens": "fused"}),
        Variant("fused", "one fused token", {"tokens": "fused"}),  # as LSC's code; no published row says its reading
        Variant("without-attention", "without attention", {"attention": "off"}),
        Variant("without-cosine", "without cosine", {"cosine": "off"}),
        Variant("without-kl", "without KL", {"kl": "off"}),
        _FULL,
    ),
}

# Method and kind of features -> benchmark -> rows. DAAN's (arXiv 2412.11715) is for UCF only. The first digits of S in
# its row "base" were hard to read in our copy of the paper; U and HM of the row confirm 49.14. MFT's is from
# doi 10.11999/JEIT241090, and some of its rows have HM and ZSL only.
PUBLISHED_ABLATIONS: Mapping[tuple[str, str], Mapping[str, tuple[PublishedRow, ...]]] = {
    ("daan", "main"): {
        "ucf": rows_of("""
            base               49.14  17.46  25.77  19.03
            qdma               44.30  18.86  26.46  28.78
            qdma-convergence   46.34  23.64  31.31  28.44
            full               52.38  23.48  32.42  31.09
        """)
    },
    ("mft", "clip"): {
        "ucf": rows_of("""
            audio                  -      -  42.25  39.02
            visual                 -      -  48.38  46.17
            without-attention  74.36  43.89  55.20  45.28
            without-cosine         -      -  46.00  39.79
            without-kl             -      -  48.84  37.27
            full               72.52  47.12  57.12  48.56
        """),
        "activitynet": rows_of("""
            audio                  -      -   8.97   8.31
            visual                 -      -  27.54  24.21
            without-attention  40.85  20.97  27.71  22.51
            without-cosine         -      -  27.96  24.92
            without-kl             -      -  30.35  26.05
            full               42.58  25.66  32.02  27.88
        """),
        "vggsound": rows_of("""
            audio                  -      -  12.21   9.91
            visual                 -      -   9.47   7.91
            without-attention  25.87  10.47  14.91  10.69
            without-cosine         -      -  17.63  12.84
            without-kl             -      -  16.88  11.91
            full               31.63  13.37  18.80  13.97
        """),
    },
}


def published_variants(method: str, kind: FeatureKind | None, benchmark: str) -> dict[str, PublishedRow]:
    """Return the published rows of an ablation by variant; empty if there are none for the features and benchmark."""
    of_kind = PUBLISHED_ABLATIONS.get((method, kind.name), {}) if kind else {}
    return {row.method: row for row in of_kind.get(benchmark, ())}


def variants_of(method: ConfiguredMethod) -> list[ConfiguredMethod]:
    """Return the settings of every row of a method's ablation, the full method last; empty if it has no ablation.

    Raises:
        UsageError: settings that are one of the rows before the last.
    """
    config, variants = method.settings.method_config, ABLATIONS.get(method.key, ())
    section = section_of(method.key)
    for variant in variants[:-1]:
        if variant.applied_to(config) == config:
            given = " and ".join(f"{section}.{name} is {value}" for name, value in variant.options.items())
            raise UsageError(
                f"{given}, which is a row of the ablation: leave the setting out, or train only this variant with "
                "--no-ablation"
            )
    return [
        ConfiguredMethod(
            each.name,
            each.title,
            method.settings.with_method_config(each.applied_to(config)),
            of=method.title,
            optional=True,
        )
        for each in variants
    ]
