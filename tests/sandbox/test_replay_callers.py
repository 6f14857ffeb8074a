"""The callers in logs, and the world that a replay makes of them."""

import dataclasses
from types import SimpleNamespace

import pytest
from moto.iam.models import iam_backends
from records import ACCOUNT, OTHER, ROOT_USER, record, role, user, without

from sandbox.commands import callers, replay
from sandbox.commands.calls import Calls
from sandbox.commands.rows import Row
from sandbox.events import rules


def account_of(*records):
    """The account of these records as the logs show it."""
    calls = Calls()
    for found in records:
        calls.add(found)
    calls.settle()
    (account,) = calls.accounts.values()
    return account


@pytest.mark.parametrize(("partition", "region"), [("aws", "us-east-1"), ("aws-cn", "cn-north-1")])
def test_the_sandbox_runs_where_the_partition_gets_iams_events(partition, region):
    """The callers' ARNs tell the partition, and with it the region that the guard is deployed in."""
    assert account_of(record(user("li", partition=partition))).region == region


def test_calls_of_root_alone_tell_the_region_too():
    """The records' own region tells the partition if no user and no role called."""
    assert account_of({**record(ROOT_USER), "awsRegion": "cn-northwest-1"}).region == "cn-north-1"


def test_a_role_that_is_meant_by_its_arn_is_meant_in_its_account_alone():
    """A name means the roles of all accounts, also if that role does not call there; an ARN means one role."""
    calls = Calls()
    for entry in (record(role("ci")), record(role("pipeline")), record(user("bob", OTHER), account=OTHER)):
        calls.add(entry)
    first, second = accounts = list(calls.accounts.values())
    arn = f"arn:aws:iam::{ACCOUNT}:role/pipeline"
    meant = replay.Meant(set(), ["CI", "gone", "AWSReservedSSO_Ops_*", arn])
    assert meant.roles_in(first, accounts) == ("CI", "AWSReservedSSO_Ops_*", arn)
    assert meant.roles_in(second, accounts) == ("CI", "AWSReservedSSO_Ops_*")


def test_calls_that_name_no_account_are_laid_to_the_first_that_is_named():
    """A record without any account id is shown, in the first account of the logs."""
    calls = Calls()
    nobody = without(record(user("pia", "XXXXXXXXXXXX"), account="XXXXXXXXXXXX"), "eventTime")
    for entry in (nobody, record(user("bob")), record(user("bob", OTHER), account=OTHER)):
        calls.add(entry)
    calls.settle()
    assert [call.who.arn for call in calls.of(ACCOUNT)] == [user(name)["arn"] for name in ("pia", "bob")]
    assert calls.accounts[ACCOUNT].calls == 2


def test_calls_come_in_the_order_of_their_times():
    """lookup-events prints the newest call first, and the guard meets it last."""
    calls = Calls()
    for minute in (3, 1, 2):
        calls.add({**record(user("bob")), "eventTime": f"2026-11-20T09:0{minute}:00Z"})
    assert [call.time[15:16] for call in calls.of(ACCOUNT)] == ["1", "2", "3"]


def test_a_call_about_oneself_is_one_that_the_settings_can_list():
    """It is neither one about somebody else, nor one that changes what somebody may do."""

    def is_about_self(action, name):
        found = {**record(user("bob"), action), "requestParameters": {"userName": name}}
        return callers.call_of(found).is_about_self

    assert is_about_self("UploadSSHPublicKey", "BOB")
    assert not is_about_self("UploadSSHPublicKey", "eve")
    assert not is_about_self("AttachUserPolicy", "bob")


@pytest.fixture
def people():
    """``people(*callers)``: a world of these callers in an account of its own, without a sandbox."""
    account = "510987654321"
    backend = iam_backends[account]["aws"]
    backend.__init__(backend.region_name, account)

    def make(*found, groups=(), admins=()):
        world = replay.People(SimpleNamespace(account=account, region="us-east-1"), groups)
        world.keep()
        world.create(account_of(*map(record, found)), set(admins))
        return world

    return make


def test_the_account_holds_the_users_and_roles_of_the_log(people):
    """Users and roles keep their paths, one of each name is made, and admins are in each admin group."""
    found = (user("paul", path="/team/data/"), user("Alice"), user("alice"), role("ci", path="/a/b/"))
    world = people(*found, groups=("admins", "security"), admins={"alice", "zoe"})
    paths = {("user", "paul"): "/team/data/", ("user", "alice"): "/", ("role", "ci"): "/a/b/"}
    assert {key: one.path for key, one in world.made.items()} == paths
    for group in ("admins", "security"):
        members = [member.name for member in world.backend.get_group(group).users]
        assert members[1:] == ["Alice"]


def test_nothing_is_left_of_the_account_before(people):
    """Users, roles and memberships go before the next account's are made."""
    world = people(user("alice"), role("ci"), groups=["admins"], admins={"alice"})
    world.create(account_of(record(user("bob"))), {"alice"})
    assert set(world.made) == {("user", "bob")}
    assert [one.name for one in world.backend.get_group("admins").users] == [world.stand_in.name]
    assert set(world.backend.users) == {world.stand_in.name, "bob"}
    assert not world.backend.roles


@pytest.mark.parametrize("caller", [user, role])
def test_an_event_finds_its_caller_under_the_id_that_it_names(people, caller):
    """A name that changes hands in the log has, at each event, the unique id of whoever called."""
    world, seen = people(caller("bob")), []
    for unique_id in ("FIRST", "SECOND"):
        call = callers.call_of(record(caller("bob")))
        call.who = dataclasses.replace(call.who, id=unique_id)
        world.id_of(call)
        ids = {one.id for one in world.backend.users.values()} | set(world.backend.roles)
        seen.append(ids & {"FIRST", "SECOND"})
    assert seen == [{"FIRST"}, {"SECOND"}]


def test_a_caller_who_is_revoked_is_counted_and_not_asked_about_again(people, monkeypatch):
    """Further events of a revoked caller count as delivered where a rule takes them, and invoke nothing."""
    row = Row(ACCOUNT, "bob", "IAMUser", 1, 1)
    row.decide("revoked", "managed")
    taken = {"CreateUser": [("rule", "function")], "GetUser": []}
    monkeypatch.setattr(rules, "targets", lambda event, *_: taken[event["detail"]["eventName"]])
    sandbox, world = SimpleNamespace(account=ACCOUNT, region="us-east-1"), people(user("bob"))
    for action in taken:
        replay.deliver(sandbox, callers.call_of(record(user("bob"), action)), world, row)
    assert (row.calls, row.delivered, row.decision) == (3, 2, "revoked")
