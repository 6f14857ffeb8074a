"""``python -m sandbox demo``, ``replay``, ``preview`` and ``serve``."""

import argparse
import logging
import sys
from pathlib import Path

from sandbox.commands import demo, preview, replay, serve
from sandbox.commands.guard import POLICY, DeploymentFailed


def parser():
    top = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__.replace("``", ""))
    commands = top.add_subparsers(dest="command", required=True)
    policy = {"type": policy_file, "metavar": "FILE"}

    shown = commands.add_parser("demo", help="show what the guard does, on an embedded AWS account")
    own = "the policy file; the pack's own if left out"
    shown.add_argument("--policy", **policy, default=POLICY, help=own)
    shown.set_defaults(run=lambda options: demo.run(options.policy))

    kept = commands.add_parser("serve", help="keep an AWS account running, to try the guard in by hand")
    kept.add_argument("--port", type=int, default=0, help="on the loopback address; a free one if left out")
    kept.set_defaults(run=lambda options: serve.run(options.port))

    paged = commands.add_parser("preview", help="make the page of a replay out of a preview's output folder")
    paged.add_argument("folder", type=Path, metavar="FOLDER", help="the folder of -s")
    paged.add_argument("report", type=Path, metavar="FILE", help="the page to write")
    paged.set_defaults(run=lambda options: preview.run(options.folder, options.report))

    told = commands.add_parser("replay", help="tell what the guard would have done with your logs")
    logs = "files with CloudTrail records; a folder of them"
    told.add_argument("files", nargs="+", metavar="FILE", help=logs)
    told.add_argument("--json", action="store_true", help="print one JSON object per caller")
    calls = "print the calls that led to each decision as well"
    told.add_argument("--calls", action="store_true", help=calls)
    told.add_argument("--report", type=Path, metavar="FILE", help="write a page for the browser")
    names = {"nargs": "*", "action": "extend", "metavar": "NAME"}
    told.add_argument("--admin", **names, default=[], help="users in the admin group")
    deployed = "roles that are meant to use IAM; with it, the policy of roles is deployed, too"
    told.add_argument("--admin-role", **names, help=deployed)
    repeated = "a policy file; may be repeated; the pack's own if left out"
    told.add_argument("--policy", **policy, action="append", help=repeated)
    told.set_defaults(run=replay.run)
    return top


def policy_file(path):
    if not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path}")
    return Path(path)


def main(arguments=None):
    """Run the command, and say why if the guard could not even be deployed.

    :returns: the exit status: 0; 1 where something did not hold or failed; 2 where the input is no log
    """
    options = parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    # moto warns of what it leaves out of a stack: alarms and queue policies, which nothing here needs.
    logging.getLogger("moto").setLevel(logging.ERROR)
    try:
        return options.run(options)
    except DeploymentFailed as failure:
        print(f"{options.command}: the guard was not deployed: {failure}", file=sys.stderr)
        return 1
    except OSError as error:
        if options.command != "serve":
            raise
        print(f"serve: port {options.port}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
