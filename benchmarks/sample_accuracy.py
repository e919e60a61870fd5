"""Claim: on the sample videos, zero-shot accuracy on unseen classes is at least twice chance, over three seeds.

It runs the demo once for each training seed and prints S, U, HM and ZSL, and ZSL next to chance. Features are extracted
once for all seeds. A folder given as argument is the workspace and may already contain them.
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
    """Run one demo per seed in one workspace and print the metrics."""
    avzsl = str(Path(sys.executable).parent / "avzsl")
    with contextlib.ExitStack() as stack:
        folder = sys.argv[1] if len(sys.argv) > 1 else stack.enter_context(tempfile.TemporaryDirectory())
        evaluations = []
        for seed in SEEDS:
            command = [avzsl, "demo", "--workspace", folder, "--seed", str(seed), "--json"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            evaluation = json.loads(done.stdout)["evaluation"]
            evaluations.append(evaluation)
            for name in ("audio", "visual", "sum"):
                shown = "  ".join(f"{key} {evaluation[name][key]:5.1f}" for key in ("S", "U", "HM", "ZSL"))
                print(f"seed {seed}  {name:6s}  {shown}")
        unseen = evaluations[0]["classes"]["unseen"]
        chance = 100 / unseen
        for name in ("audio", "visual", "sum"):
            values = [evaluation[name]["ZSL"] for evaluation in evaluations]
            mean = statistics.mean(values)
            spread = f"{mean:.1f} +- {statistics.stdev(values):.1f}"
            print(f"{name:6s}  ZSL {spread}, chance {chance:.1f}: {mean / chance:.2f} x chance")


if __name__ == "__main__":
    main()
