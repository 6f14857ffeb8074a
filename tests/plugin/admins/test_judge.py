"""The judge, without AWS: who is meant to make a call to IAM, and of whom nobody can tell."""

import pytest
from trail import record
from trail import user as trail_user

from c7n_iamguard.admins.judge import FOREVER, Meant, Verdict, judge
from c7n_iamguard.event import Caller

NOW = 1_000_000
BOB, ROLE, GROUP = "AIDABOB", "AROAROLE", "AGPAADMINS"
SSO = "/aws-reserved/sso.amazonaws.com/"
ADMINISTRATORS = "AWSReservedSSO_AdministratorAccess_*"
YES, NO, UNKNOWN = True, False, None


def user(unique_id=BOB, name="bob"):
    """An IAM user as a caller."""
    return Caller("IAMUser", "111122223333", "user", name, unique_id)


def role(unique_id=ROLE, name="ci", path="/", session=None):
    """A role, or one of its sessions, as a caller."""
    return Caller("AssumedRole", "111122223333", "role", name, unique_id, path=path, session=session)


def reserved(name, path=SSO):
    """A role of a reserved name, at AWS's own path unless said otherwise."""
    return role("AROAOTHER", name, path)


def in_group(answer):
    """The asker's answer about the user's groups."""
    return lambda ids: Verdict(answer if GROUP in ids else NO, "as asked")


HEX = "0123456789abcdef"
#: caller, who is meant, what is known of the groups, the judge's answer
CASES = {
    "nobody is listed": (user(), Meant(), YES, NO),
    "in an admin group": (user(), Meant(groups={GROUP: FOREVER}), YES, YES),
    "nobody can tell who is in it": (user(), Meant(groups={GROUP: FOREVER}), UNKNOWN, UNKNOWN),
    "in a group that was taken off the list later": (user(), Meant(groups={GROUP: NOW + 1}), YES, YES),
    "in a group that was taken off the list before": (user(), Meant(groups={GROUP: NOW}), YES, NO),
    "exempt until now": (user(), Meant(exempt={BOB: NOW}), NO, NO),
    "of an exempt name": (user(), Meant(exempt={"bob": FOREVER}), NO, NO),
    "without an id": (user(None), Meant(exempt={BOB: FOREVER}), NO, NO),
    "a listed role": (role(), Meant(roles={ROLE: FOREVER}, role_names={"ci"}), NO, YES),
    "a role that was taken off the list before": (role(), Meant(roles={ROLE: NOW}), NO, NO),
    "another role of a listed name": (role("AROANEW", "CI"), Meant(roles={ROLE: FOREVER}, role_names={"ci"}), NO, UNKNOWN),
    "another role of the guard's name": (role("AROANEW", "iam-guard"), Meant(), NO, UNKNOWN),
    "a session that is exempt": (role(session="ada"), Meant(exempt={f"{ROLE}:ada": FOREVER}), NO, YES),
    "another session of that role": (role(session="eve"), Meant(exempt={f"{ROLE}:ada": FOREVER}), NO, NO),
    "a role in an admin group's place": (role(GROUP), Meant(groups={GROUP: FOREVER}), YES, NO),
    "of a listed permission set": (reserved(f"AWSReservedSSO_AdministratorAccess_{HEX}"), Meant(patterns={ADMINISTRATORS: FOREVER}), NO, YES),
    "of a permission set that was taken off the list later": (reserved(f"AWSReservedSSO_AdministratorAccess_{HEX}"), Meant(patterns={ADMINISTRATORS: NOW + 1}), NO, YES),
    "of a listed name, without a path in the record": (reserved(f"AWSReservedSSO_AdministratorAccess_{HEX}", None), Meant(patterns={ADMINISTRATORS: FOREVER}), NO, UNKNOWN),
    "of one in another region": (reserved(f"AWSReservedSSO_AdministratorAccess_{HEX}", f"{SSO}eu-west-1/"), Meant(patterns={ADMINISTRATORS: FOREVER}), NO, YES),
    "of a permission set whose name goes on": (reserved(f"AWSReservedSSO_AdministratorAccess_Audit_{HEX}"), Meant(patterns={ADMINISTRATORS: FOREVER}), NO, NO),
    "of its name below another path": (reserved(f"AWSReservedSSO_AdministratorAccess_{HEX}", f"/x{SSO}"), Meant(patterns={ADMINISTRATORS: FOREVER}), NO, NO),
    "root": (Caller("Root", "111122223333"), Meant(groups={GROUP: FOREVER}), YES, NO),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_judge_answers_by_ids_and_by_the_moment_of_the_call(case):
    """Meant, not meant, or unknown; an entry counts until it was taken off its list."""
    who, meant, membership, answer = CASES[case]
    verdict = judge(None, who, NOW, meant, in_group(membership))
    assert verdict.meant is answer
    assert verdict.reason


@pytest.mark.parametrize(("until", "answer"), [(FOREVER, YES), (NOW + 1, YES), (NOW, NO)])
def test_a_call_about_oneself_is_meant_while_it_is_on_the_list(until, answer):
    """Self-service holds for everybody, and for calls from before it was taken off the list."""
    call = record(trail_user("bob"), "ChangePassword")
    meant = Meant(self_service={"ChangePassword": until})
    assert judge(call, user(), NOW, meant, in_group(NO)).meant is answer


def test_whoever_is_exempt_is_meant_whatever_the_groups():
    """The admin groups are asked about those alone whom nothing else makes meant."""
    meant = Meant(groups={GROUP: FOREVER}, exempt={BOB: FOREVER})
    assert judge(None, user(), NOW, meant, None).meant


@pytest.mark.parametrize("who", [user(None), role(None)])
def test_a_record_that_does_not_say_by_id_who_called_is_unknown(who):
    """A name may be somebody else's, so that a call without an id is held against nobody."""
    meant = Meant(groups={GROUP: FOREVER}, roles={ROLE: FOREVER})
    assert judge(record({}, "CreateUser"), who, NOW, meant, in_group(NO)).meant is UNKNOWN
