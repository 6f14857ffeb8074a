"""Variants of the pack's main policy, as an operator may write it."""

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
