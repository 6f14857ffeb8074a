"""The policies around the containment: listing and lifting quarantines. In this process."""

import pytest
from contained import ACCOUNT, QUARANTINE, TRUST, once
from helpers import POLICIES, policies_of, policy, shipped


@pytest.fixture
def quarantined(contained):
    """A quarantined user and role, by name."""
    mallory = contained.person()
    name = f"made-{mallory.name}"
    once(contained, mallory, "create_user", UserName=name)
    once(contained, mallory, "create_role", RoleName=name, AssumeRolePolicyDocument=TRUST)
    return name


KINDS = ("user", "role")


@pytest.fixture
def run(contained, monkeypatch, tmp_path):
    """``run(file)``: run the policies of a file, those of users and of roles; those whom each finds."""

    def both(file):
        environ, options = contained.sandbox.environ(account=ACCOUNT), {"output_dir": str(tmp_path)}
        names = [data["name"] for data in policies_of(POLICIES / f"{file}.yml")]
        return [
            policy(shipped(each), environ, monkeypatch, **options, log_group="null").run() for each in names
        ]

    return both


def deny_and_tag(contained, kind, name, value):
    """Deny IAM to a user or role, beside the quarantine, and tag it.

    :returns: the ARN of the denial
    """
    iam, named = contained.iam, {f"{kind.title()}Name": name}
    denial = QUARANTINE.replace("iam-guard-quarantine", "DenyIAMAccess")
    getattr(iam, f"attach_{kind}_policy")(**named, PolicyArn=denial)
    getattr(iam, f"tag_{kind}")(**named, Tags=[{"Key": "iam-guard", "Value": value}])
    return denial


def policies_on(contained, kind, name):
    """The ARNs of the managed policies of a user or role."""
    attached = getattr(contained.iam, f"list_attached_{kind}_policies")(**{f"{kind.title()}Name": name})
    return [one["PolicyArn"] for one in attached["AttachedPolicies"]]


def test_quarantined_users_and_roles_are_listed(contained, quarantined, run):
    """The lists have who carries the quarantine, and nobody else."""
    contained.person(name="free"), contained.role(name="free")
    found = run("list-quarantined")
    for kind, principals in zip(KINDS, found, strict=True):
        names = [principal[f"{kind.title()}Name"] for principal in principals]
        assert quarantined in names
        assert all(contained.quarantined(kind, name) for name in names)


def test_lifting_a_quarantine_takes_the_tag_and_leaves_other_denials(contained, quarantined, run):
    """Only who is tagged is free again; a denial of IAM stays, and so does everybody else's quarantine."""
    for number, kind in enumerate(KINDS):
        denial = deny_and_tag(contained, kind, quarantined, "lift-quarantine")
        run("restore-quarantined")
        assert policies_on(contained, kind, quarantined) == [denial]
        tags = getattr(contained.iam, f"list_{kind}_tags")(**{f"{kind.title()}Name": quarantined})["Tags"]
        assert tags == []
        left = [other for other in KINDS if contained.quarantined(other, quarantined)]
        assert left == list(KINDS[number + 1 :])


def test_giving_iam_back_lifts_no_quarantine(contained, quarantined, run):
    """restore-iam-access takes off the denial of IAM alone, and does not answer to the other tag."""
    for value, left in (("lift-quarantine", 2), ("restore", 1)):
        for kind in KINDS:
            deny_and_tag(contained, kind, quarantined, value)
        run("restore-iam-access")
        assert [len(policies_on(contained, kind, quarantined)) for kind in KINDS] == [left, left]
    assert [contained.quarantined(kind, quarantined) for kind in KINDS] == [True, True]
