"""A deployment compares the settings with the account, and with what was deployed before."""

import time
from datetime import timedelta

import pytest
from helpers import (
    FUNCTION,
    POLICIES,
    REVOKE,
    case,
    made,
    moto_group,
    moto_user,
    ok,
    policy,
    revoked,
    settings_file,
    shipped,
    stock,
)
from kept import functions as kept_functions

from c7n_iamguard.errors import Refusal
from c7n_iamguard.function import changes


@pytest.fixture
def pins(deployed, unchanged, monkeypatch):
    """``pins(before, **settings)``: what a deployment of the main policy would pin."""

    def pin(before=None, **settings):
        main = policy(shipped(REVOKE, **settings), deployed.environ(), monkeypatch)
        return changes.pins_for(main, before)[0]

    return pin


@pytest.fixture
def ungrouped(monkeypatch):
    """The functions' role is of no stack of ours, so that its groups are not compared."""
    monkeypatch.setattr(changes, "GROUPS_TAG", "of-no-stack")


@pytest.mark.parametrize("spelling", ["Admins", "ADMINS"])
def test_a_group_that_took_the_name_of_the_deployed_one_is_refused(pins, fresh, user, spelling):
    """Names were swapped: the deployment names both ids, and goes on if the settings name the new one."""
    before = pins(admin_groups=["Admins"])
    iam, old = fresh.client("iam"), moto_group(fresh, "Admins").id
    iam.update_group(GroupName="Admins", NewGroupName="x")
    iam.create_group(GroupName="Admins")
    user("mallory", groups=["Admins"])
    new = moto_group(fresh, "Admins").id
    with pytest.raises(Refusal, match=f"is {new}, and the deployed function knows it as {old}"):
        pins(before, admin_groups=[spelling])
    assert pins(before, admin_groups=[new])["groups"] == {new: new}


def test_a_new_function_takes_no_group_that_took_the_name_of_the_one_that_others_know(
    deployed, fresh, user, monkeypatch
):
    """Somebody deleted a function and swapped names: the deployment says the group's id, and refuses another."""
    mode = policy(shipped(REVOKE) | {"name": "new"}, deployed.environ(), monkeypatch).get_execution_mode()
    iam, old = fresh.client("iam"), moto_group(fresh, "Admins").id
    assert f"new: acts (new); meant: 1 user of admins ({old})" in mode.preview()[0]
    iam.update_group(GroupName="Admins", NewGroupName="x")
    iam.create_group(GroupName="Admins")
    user("mallory", groups=["Admins"])
    with pytest.raises(Refusal, match=f"the deployed function knows it as {old}"):
        mode.preview()


def test_nobody_meant_at_all_is_refused(pins, ungrouped):
    """Without any group, role or exempt id, everybody would be denied."""
    with pytest.raises(Refusal, match="nobody would be meant to use IAM; name somebody under admin_groups"):
        pins(admin_groups=[], admin_roles=[], exempt=[])
    assert pins(admin_groups=[], admin_roles=["Terraform"])


def test_what_is_taken_off_any_list_is_remembered_until_it_is_listed_again(pins, fresh, ungrouped):
    """The pins say by id which group, role or call was taken off, and when; a third deployment still knows it."""
    fresh.client("iam").create_group(GroupName="ops")
    role_id = fresh.create_role("Terraform")["RoleId"]
    longer = {
        "admin_groups": ["Admins", "ops"],
        "admin_roles": ["Terraform", "AWSReservedSSO_Old_*"],
        "self_service": ["ChangePassword"],
    }
    shorter = {"admin_groups": ["Admins"], "admin_roles": []}
    before = pins(**longer)
    assert before["off"] == {}
    off = (after := pins(before, **shorter))["off"]
    ids = {"groups": [moto_group(fresh, "ops").id], "roles": [role_id], "self_service": ["ChangePassword"]}
    ids["patterns"] = ["AWSReservedSSO_Old_*"]
    assert {name: list(entries) for name, entries in off.items()} == ids
    assert all(0 <= time.time() - end < 600 for entries in off.values() for end in entries.values())
    assert pins(after, **shorter)["off"] == off
    assert pins(after, **longer)["off"] == {}


@pytest.fixture
def deploy(fresh, tmp_path):
    """``deploy(**settings)``: the main policy's functions, deployed once more until the test is over."""
    put_back = kept_functions(fresh.account, fresh.region)

    def run(*options, **settings):
        output = () if "-s" in options else ("-s", tmp_path)
        said = ok(
            stock(
                "custodian", "run", *output, *options, "-r", fresh.region, POLICIES / f"{REVOKE}.yml",
                environ=fresh.environ(), settings=settings_file(tmp_path, **settings),
            )
        )  # fmt: skip
        fresh.pending.clear()
        fresh.functions.cool()
        return said

    yield run
    put_back()
    fresh.functions.cool()


def reason(invocation):
    return invocation.decisions[-1].get("reason")


def test_calls_from_before_an_exemption_ended_are_not_held_against_its_owner(fresh, deploy):
    """bob is exempt, and is taken off the list: a call from before lets him pass, and one since then does not.

    Custodian's options for metrics, logs and output stay with the command: the function has no rights for them.
    """
    bob = moto_user(fresh, "bob").id
    fresh.client("s3").create_bucket(Bucket="custodian-output")
    said = deploy(
        "-m", "aws", "-l", "/custodian", "-s", "s3://custodian-output/logs?region=us-east-1", exempt=[bob]
    )
    assert f"{FUNCTION}: acts; meant: 1 user of admins, 1 role; exempt: {bob}" in said
    assert (
        f"{FUNCTION} runs without --metrics, --log-group, --output-dir, which stay with this command" in said
    )
    assert reason(fresh.functions.invoke(FUNCTION, case("revoked-create-user"))) == f"exempt: {bob}"
    deploy()
    before = made(case("revoked-create-user"), timedelta(minutes=5))
    assert reason(fresh.functions.invoke(FUNCTION, before)) == f"exempt: {bob}"
    assert revoked(fresh, "bob") == []
    fresh.functions.invoke(FUNCTION, case("revoked-create-user"))
    assert revoked(fresh, "bob") == ["managed"]


def test_an_exemption_that_is_ended_by_a_day_that_has_passed_forgives_what_came_before(pins, fresh):
    """An operator may end an exemption by ``until``: calls from before are not held against anybody."""
    bob = moto_user(fresh, "bob").id
    before = pins(exempt=[bob])
    after = pins(before, exempt=[{"id": bob, "until": "2026-01-01"}])
    assert time.time() - 60 < after["off"]["exempt"][bob] <= time.time()
    assert "exempt" not in pins(after, exempt=[bob])["off"]


def test_a_policy_that_names_no_groups_is_not_compared_with_the_stacks(deployed, unchanged, monkeypatch):
    """A policy on roles may name roles alone, whatever groups the stack was given."""
    data = shipped(f"{REVOKE}-of-roles")
    data["filters"] = [{"not": [{"type": "admin-role", "roles": ["AWSReservedSSO_Admin_*"]}]}]
    pins, _ = changes.pins_for(policy(data, deployed.environ(), monkeypatch), None)
    assert pins["groups"] == {}


def test_a_stack_of_other_groups_is_refused(pins, fresh):
    """The functions' role may change only the groups of its stack: others are refused, and both are named."""
    fresh.client("iam").create_group(GroupName="ops")
    fresh.client("iam").add_user_to_group(GroupName="ops", UserName="alice")
    with pytest.raises(
        Refusal, match=r"admin_groups names ops, and the stack of the role iam-guard was given .*Admins"
    ):
        pins(admin_groups=["ops"])
