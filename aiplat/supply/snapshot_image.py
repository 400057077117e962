"""Makes images of Hugging Face snapshots that a script of a component writes; judging them is snapshots'."""

from __future__ import annotations

import sys

from aiplat.errors import AiplatError
from aiplat.supply.contract import Job, Made
from aiplat.supply.oci import VERSION
from aiplat.supply.process import run
from aiplat.supply.snapshots import judge_snapshot
from aiplat.supply.upstream.weights import ModelImage


def build_snapshot(job: Job) -> Made:
    """Run the recipe's script, judge the folder it wrote, and make an image whose root that folder is.

    Raises:
        AiplatError: the script fails, or the snapshot has code run or something fetched.
    """
    recipe = job.recipe.snapshot
    assert recipe is not None  # noqa: S101 - the supply asks by the recipe's kind
    folder = job.work / "snapshot"
    job.phase("write the weights", 0, 0)
    script = job.component.folder / recipe.script
    run([sys.executable, script, *recipe.arguments, folder], what=f"model {job.artifact.ref}")
    findings = judge_snapshot(job.artifact.ref, folder)
    if findings:
        raise AiplatError(findings)
    job.phase("make the image", 0, 0)
    image = ModelImage(job.folder, job.work)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        image.add(str(path.relative_to(folder)), path)
    labels = {
        "dev.aiplat.supply": "packages",
        VERSION: job.artifact.version,
        "dev.aiplat.model": job.component.name,
    }
    return image.finish(labels, [job.artifact.platform])
