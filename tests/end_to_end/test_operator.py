"""What an operator wrote meets an account: deploying, dry runs, bulk runs, exempt users."""

import io
import json
import re
import zipfile

import pytest
import yaml
from helpers import FUNCTION, REVOKE, ROOT, case, guards_calls, moto_user, revoked, shipped
from moto.awslambda.models import lambda_backends
from rights import GUARD
from variants import with_action

from sandbox.server import Fault

SHIPPED = shipped(REVOKE)
#: Users made by another test are in Custodian's cache for 15 minutes.
UNCACHED = ("--cache-period", "0")


# Deploying


def test_a_policy_of_another_account_is_not_deployed(deployed, custodian):
    """An ARN of another account's policy is refused before anything is done."""
    done = custodian(with_action(policy="arn:aws:iam::999999999999:policy/DenyIAMAccess"), fails=True)
    assert "of another account than 111122223333; write its name alone" in done.stderr


BULK = {
    "name": "revoke-contractors",
    "resource": "aws.iam-user",
    "filters": [
        {"type": "value", "key": "Path", "value": "/contractors/"},
        {"not": [{"type": "admin-group-member", "groups": ["Admins"]}]},
    ],
    "actions": [{"type": "revoke-iam-access", "bulk": True}],
}


def test_bulk_on_purpose_revokes_every_match_and_no_admin(deployed, custodian, user):
    """With ``bulk: true``, all users whom the filters leave are denied IAM, and nobody else."""
    for number in range(7):
        user(f"contractor-{number}", path="/contractors/")
    user("contractor-admin", path="/contractors/", groups=["Admins"])
    done = custodian({**BULK, "max-resources": 7}, *UNCACHED)
    assert all(revoked(deployed, f"contractor-{number}") == ["managed"] for number in range(7))
    assert revoked(deployed, "contractor-admin") == []
    assert [decision["decision"] for decision in done.decisions] == ["revoked"] * 7


# Break-glass: exempting users with stock filters


@pytest.fixture
def exempting(fresh):
    """``exempting(filters=…)``: the deployed function with other parts of its policy, until the test ends."""
    client = fresh.client("lambda")
    code = lambda_backends[fresh.account][fresh.region].get_function(FUNCTION).code_bytes

    def change(**parts):
        changed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(code)) as old, zipfile.ZipFile(changed, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name == "config.json":
                    config = json.loads(content)
                    config["policies"][0] |= parts
                    content = json.dumps(config)
                new.writestr(name, content)
        client.update_function_code(FunctionName=FUNCTION, ZipFile=changed.getvalue())

    yield change
    client.update_function_code(FunctionName=FUNCTION, ZipFile=code)


NOT_ADMIN = SHIPPED["filters"][-1]
EXEMPTIONS = {
    "by path": [{"not": [{"type": "value", "key": "Path", "value": "/emergency/"}]}],
    "by tag": [{"tag:iam-guard-exempt": "absent"}],
}


@pytest.mark.parametrize("how", EXEMPTIONS)
def test_an_exempt_user_is_not_revoked_and_others_are(fresh, exempting, user, how):
    """A break-glass user who is exempt by a stock filter keeps IAM; the same rule revokes everybody else."""
    tags_are_read = {"source": "describe"} if how == "by tag" else {}
    exempting(filters=[*EXEMPTIONS[how], NOT_ADMIN], **tags_are_read)
    user(
        "break-glass", path="/emergency/", tags=[{"Key": "iam-guard-exempt", "Value": "yes"}]
    ).iam.create_user(UserName=f"made-in-need-{how.split()[-1]}")
    fresh.calls.clear()
    event = case("revoked-create-user")
    text = (
        json.dumps(event).replace("user/bob", "user/emergency/break-glass").replace('"bob"', '"break-glass"')
    )
    ident = fresh.client("iam").get_user(UserName="break-glass")["User"]["UserId"]
    (invocation,) = fresh.deliver(json.loads(text.replace("AIDABOBXXXXXXXXXXXXXX", ident)))
    assert invocation.decisions[-1]["reason"] == "exempt by the policy's filters"
    assert not {"AttachUserPolicy", "PutUserPolicy"} & set(guards_calls(fresh))
    assert revoked(fresh, "break-glass") == []
    fresh.deliver(event)
    assert revoked(fresh, "bob") == ["managed"]


def test_a_list_in_s3_is_read_with_the_right_and_fails_loudly_without(fresh, exempting):
    """The filter of docs/reference.md: without s3:GetObject the event fails, with it the list exempts bob."""
    (block,) = re.findall(r"```yaml\n(- type: value.*?)```", (ROOT / "docs/reference.md").read_text(), re.S)
    exempting(filters=[NOT_ADMIN, *yaml.safe_load(block)])
    s3 = fresh.client("s3")
    s3.create_bucket(Bucket="security-lists")
    ids = [moto_user(fresh, "bob").id]
    s3.put_object(Bucket="security-lists", Key="exempt.json", Body=json.dumps({"ids": ids}))
    (invocation,) = fresh.deliver(case("revoked-create-user"))
    assert invocation.dead_lettered
    resource = "arn:aws:s3:::security-lists/exempt.json"
    statement = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    fresh.client("iam").put_role_policy(RoleName=GUARD, PolicyName="list", PolicyDocument=document)
    fresh.functions.cool()
    (invocation,) = fresh.deliver(case("revoked-create-user"))
    assert invocation.decisions[-1]["reason"] == "exempt by the policy's filters"
    assert revoked(fresh, "bob") == []


def test_errors_of_the_describe_source_propagate(fresh, exempting):
    """With ``source: describe``, a throttled GetUser fails the event instead of dropping it."""
    exempting(source="describe")
    fresh.faults.append(Fault("iam:GetUser", "AccessDenied", 403, caller="*/iam-guard/*"))
    (invocation,) = fresh.deliver(case("revoked-create-user"))
    assert invocation.dead_lettered
    assert revoked(fresh, "bob") == []


def test_a_renamed_user_is_found_by_id_with_the_describe_source(fresh, exempting, user):
    """With ``source: describe``, a name that GetUser does not know any more is looked up by its id."""
    exempting(source="describe")
    rex = user("rex")
    rex.iam.create_user(UserName="friend-of-rex")
    (event,) = fresh.pending
    fresh.client("iam").update_user(UserName="rex", NewUserName="rex-renamed")
    (invocation,) = fresh.deliver(event)
    assert [(d["decision"], d["user"]) for d in invocation.decisions] == [("revoked", "rex-renamed")]
    assert revoked(fresh, "rex-renamed") == ["managed"]
