"""``python -m c7n_iamguard init FOLDER``: copies what an operator edits, deploys and reads; overwrites nothing."""

import shutil
import sys
from pathlib import Path

#: The settings, the policies, what an account and an organization need, and the pages that all of these name.
PACK = ("iam-guard.yml", "policies", "deploy", "docs")


def init(folder):
    """Copy the pack into a folder. A file that is there already stays, and is named if it differs.

    :param folder: where to; it is made if it does not exist
    """
    beside = Path(__file__).resolve().parents[1]
    # The wheel brings the pack in a folder of its own. A clone has it beside the package.
    source = beside / "c7n_iamguard_pack" if (beside / "c7n_iamguard_pack").is_dir() else beside
    for file in sorted(file for part in PACK for file in [source / part, *(source / part).rglob("*")]):
        if not file.is_file() or file.parent.name == "__pycache__":
            continue
        target = Path(folder) / file.relative_to(source)
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)
            print(f"made {target}")
        elif target.read_bytes() != file.read_bytes():
            print(f"kept {target}, which differs from this version's")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "init":
        sys.exit("usage: python -m c7n_iamguard init FOLDER")
    init(sys.argv[2])
