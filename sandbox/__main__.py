"""``python -m sandbox demo``, ``replay``, ``preview`` and ``serve``."""

import argparse
import logging
import sys
from pathlib import Path

from sandbox.commands import demo, preview, replay, serve
from sandbox.commands.guard import POLICY, ROLES_POLICY, DeploymentFailed


def parser():
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__.replace("``", ""))
    commands = top.add_subparsers(dest="command", required=True)
    parsers = {
        "demo": commands.add_parser("demo", help="show what the guard does, on an embedded AWS account"),
        "replay": commands.add_parser("replay", help="tell what the guard would have done with your logs"),
        "preview": commands.add_parser(
            "preview", help="make the page of a replay out of a preview's output folder"
        ),
        "serve": commands.add_parser(
            "serve", help="keep an AWS account running, to try the guard in by hand"
        ),
    }
    policy = {"type": policy_file, "metavar": "FILE"}
    parsers["demo"].add_argument("--policy", **policy, help="the policy file; the pack's own if left out")
    parsers["serve"].add_argument(
        "--port", type=int, default=0, help="the port on the loopback address; a free one if left out"
    )
    parsers["preview"].add_argument("folder", type=Path, metavar="FOLDER", help="the folder of -s")
    parsers["preview"].add_argument("report", type=Path, metavar="FILE", help="the page to write")
    replaying = parsers["replay"]
    replaying.add_argument(
        "files", nargs="+", metavar="FILE", help="files of any kind with CloudTrail records; a folder of them"
    )
    replaying.add_argument("--json", action="store_true", help="print one JSON object per caller")
    replaying.add_argument(
        "--calls", action="store_true", help="print the calls that led to each decision as well"
    )
    replaying.add_argument("--report", type=Path, metavar="FILE", help="write a page for the browser")
    replaying.add_argument(
        "--admin", nargs="*", action="extend", default=[], metavar="NAME", help="users in the admin group"
    )
    replaying.add_argument(
        "--admin-role",
        nargs="*",
        action="extend",
        metavar="NAME",
        help="roles that are meant to use IAM; with it, the policy of roles is deployed, too",
    )
    replaying.add_argument(
        "--policy",
        **policy,
        action="append",
        help="a policy file; may be repeated; the pack's own if left out",
    )
    return top


def policy_file(path):
    if not Path(path).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {path}")
    return Path(path)


def main(arguments=None):
    """Run the command.

    :returns: the exit status: 0; 1 where something did not hold or failed; 2 where the input is no log
    """
    options = parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    # moto warns of what it leaves out of a stack: alarms and queue policies, which nothing here needs.
    logging.getLogger("moto").setLevel(logging.ERROR)
    return run(options)


def run(options):
    """Run a command, and say why where the guard could not even be deployed."""
    try:
        if options.command == "demo":
            return demo.run(options.policy or POLICY)
        if options.command == "serve":
            return serve.run(options.port)
        if options.command == "preview":
            return preview.run(options.folder, options.report)
        policies = options.policy or [POLICY, *([] if options.admin_role is None else [ROLES_POLICY])]
        return replay.run(
            options.files,
            options.admin,
            options.json,
            policies,
            options.admin_role or (),
            options.calls,
            options.report,
        )
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
