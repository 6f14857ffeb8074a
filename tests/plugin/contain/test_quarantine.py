"""Users and roles that are quarantined, and those that never are. In this process."""

from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from c7n.exceptions import PolicyExecutionError

from c7n_iamguard import settings
from c7n_iamguard.contain.plan import Target
from c7n_iamguard.contain.quarantine import Quarantine
from c7n_iamguard.iam.managed_policies import Distrusted


def test_a_function_needs_the_admin_groups_ids_unless_there_are_none(contained, by_hand):
    """Without the pins of the deployment nobody is quarantined; without admin groups the action spares nobody."""
    mallory = contained.person()
    mallory.iam.create_user(UserName=f"eve-{mallory.name}")
    (event,) = contained.events()
    unpinned = by_hand()
    del unpinned.data["mode"]["environment"]["Variables"][settings.PINS]
    with pytest.raises(PolicyExecutionError, match="deploy the policy again"):
        unpinned.get_execution_mode().run(event, None)
    assert not contained.quarantined("user", f"eve-{mallory.name}")
    by_hand(groups=[]).get_execution_mode().run(event, None)
    assert contained.quarantined("user", f"eve-{mallory.name}")


@pytest.mark.parametrize(
    ("kind", "attached", "trusted", "expected"),
    [
        ("user", ["x", "q"], True, True),
        ("role", ["q"], True, True),
        ("user", ["x"], True, False),
        ("user", ["q"], False, False),
        ("role", None, True, False),
        ("group", ["q"], True, False),
    ],
)
def test_a_quarantine_outweighs_what_a_call_gave_while_it_denies_all(kind, attached, trusted, expected):
    """Whoever is gone carries none, and no group can."""
    client, policies = Mock(), Mock()
    client.exceptions.NoSuchEntityException = KeyError
    pages = [{"AttachedPolicies": [{"PolicyArn": arn} for arn in attached or ()]}]
    client.get_paginator().paginate.side_effect = KeyError if attached is None else [pages]
    policies.check.side_effect = None if trusted else Distrusted
    quarantine = Quarantine(SimpleNamespace(arn_of=lambda name: "q"), policies)
    assert quarantine.is_on(client, Target(kind, "eve")) is expected


def test_a_member_of_the_admin_group_is_never_quarantined(contained, by_hand):
    """By the group's id. A role of a member's name is no member."""
    (action,) = by_hand().resource_manager.actions
    with pytest.raises(PolicyExecutionError, match="the call made ada, who is a member of the admin group"):
        action.quarantine.refuse_admin(contained.iam, Target("user", "ada"))
    action.quarantine.refuse_admin(contained.iam, Target("role", "ada"))
    action.quarantine.refuse_admin(contained.iam, Target("user", "nobody"))
