"""Claim: on the sample videos, zero-shot accuracy on unseen classes is at least twice chance, over three seeds.

Runs the demo's stages once for each seed of training and prints S, U, HM and ZSL beside chance. Features are
extracted once and shared; a folder given as argument is the workspace, and may hold them already.
"""

import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SEEDS = (0, 1, 2)


def main() -> None:
    """One demo a seed in one workspace."""
    avzsl = str(Path(sys.executable).parent / "avzsl")
    with contextlib.ExitStack() as stack:
        folder = sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(tempfile.TemporaryDirectory())
        figures = []
        for seed in SEEDS:
            command = [avzsl, "demo", "--workspace", folder, "--seed", str(seed), "--json"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            scores = json.loads(done.stdout)["evaluation"]
            figures.append(scores)
            for name in ("audio", "visual", "sum"):
                shown = "  ".join(f"{key} {scores[name][key]:5.1f}" for key in ("S", "U", "HM", "ZSL"))
                print(f"seed {seed}  {name:6s}  {shown}")
        unseen = figures[0]["classes"]["unseen"]
        chance = 100 / unseen
        for name in ("audio", "visual", "sum"):
            values = [scores[name]["ZSL"] for scores in figures]
            mean = statistics.mean(values)
            spread = f"{mean:.1f} +- {statistics.stdev(values):.1f}"
            print(f"{name:6s}  ZSL {spread}, chance {chance:.1f}: {mean / chance:.2f} x chance")


if __name__ == "__main__":
    main()
