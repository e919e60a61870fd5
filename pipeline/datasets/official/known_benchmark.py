"""Tell which published benchmark a workspace holds, and refuse settings of another one."""

from pipeline.base.errors import UsageError
from pipeline.base.workspace import Stage, Workspace
from pipeline.datasets.dataset import dataset_record
from pipeline.datasets.official.protocol import BENCHMARKS


def benchmark_in(workspace: Workspace) -> str | None:
    """Return the benchmark that was imported or generated in a workspace; None if it is unknown."""
    dataset = dataset_record(workspace.dataset_folder)
    if "generated" in dataset:
        shape = str(dataset.get("source", "")).rpartition("--shape ")[2]
        return shape if shape in BENCHMARKS else None
    record = workspace.stages().get(Stage.FEATURES)
    found = record.summary.get("report", {}).get("benchmark") if record else None
    return str(found) if found else None


def refuse_other_preset(preset: str | None, workspace: Workspace) -> None:
    """Refuse the preset of another benchmark than that of the workspace, if that is known.

    Args:
        preset: the name of a preset, such as avca-ucf; None for no preset.
        workspace: the workspace.

    Raises:
        UsageError: a preset of another benchmark.
    """
    of_preset = set((preset or "").strip().lower().split("-")) & set(BENCHMARKS)
    found = benchmark_in(workspace)
    if found is not None and of_preset and found not in of_preset:
        raise UsageError(
            f"--preset {preset} has the settings for {BENCHMARKS[of_preset.pop()].dataset}, but {workspace.root} has "
            f"features of {BENCHMARKS[found].dataset}: give a preset for {found}, or write the settings into a file "
            "(--show-config) and give that with --config"
        )
