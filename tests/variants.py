"""Variants of the pack's main policy, as an operator may write it, and what ``custodian validate`` says of them."""

from types import SimpleNamespace

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


def custodian_validates(tmp_path, caplog, policy):
    """What ``custodian validate`` says of a policy: None if it is valid, else its errors as one text."""
    file = tmp_path / "policy.yml"
    file.write_text(yaml.safe_dump({"policies": [policy]}))
    options = SimpleNamespace(configs=[str(file)], check_deprecations="skip", dryrun=True)
    try:
        commands.validate(options)
    except SystemExit:
        return " ".join(" ".join(record.getMessage() for record in caplog.records).split())
    return None


def assert_refused(tmp_path, caplog, policy, key, fix):
    """Fail unless ``custodian validate`` refuses a policy, and names the policy, the key and the fix."""
    said = custodian_validates(tmp_path, caplog, policy)
    assert said is not None
    for words in (REVOKE, key, fix):
        assert words in said
