"""Variants of the pack's main policy, and whether ``custodian validate`` takes them."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import yaml
from c7n import commands
from helpers import REVOKE, shipped


def edited(**changes):
    """The main policy with keys of its mode replaced, or of the policy itself if it has them."""
    policy = shipped(REVOKE)
    for key, value in changes.items():
        key = key.replace("_", "-") if key.replace("_", "-") in policy["mode"] else key
        place = policy if key in policy or key == "source" else policy["mode"]
        place[key] = value
    return policy


def with_groups(groups, **more):
    """The main policy with these admin groups."""
    return edited(filters=[{"not": [{"type": "admin-group-member", "groups": groups, **more}]}])


def with_action(**action):
    """The main policy with these options of its action."""
    return edited(actions=[{"type": "revoke-iam-access", **action}])


def assert_validated(tmp_path, caplog, policy, *problem):
    """Fail unless ``custodian validate`` accepts a policy, or refuses it and names the policy, the key and the fix.

    :param problem: the key and the fix, if the policy is to be refused
    """
    file = tmp_path / "policy.yml"
    file.write_text(yaml.safe_dump({"policies": [policy]}))
    options = SimpleNamespace(configs=[str(file)], check_deprecations="skip", dryrun=True)
    with pytest.raises(SystemExit) if problem else nullcontext():
        commands.validate(options)
    said = " ".join(" ".join(record.getMessage() for record in caplog.records).split())
    for words in (REVOKE, *problem) if problem else ():
        assert words in said
