"""An operator's own policies meet an account: bulk runs, exempt users, stock filters. Mostly in this process."""

import json
import re

import kept
import pytest
import yaml
from botocore.exceptions import ClientError
from c7n.exceptions import PolicyValidationError
from contained import document
from helpers import REVOKE, ROOT, case, moto_group, moto_user, pinned, policy, revoked, shipped
from rights import GUARD
from variants import with_action

from sandbox.server import Fault


@pytest.fixture
def made(fresh, monkeypatch, tmp_path):
    """``made(policy)``: a policy in this process, on the account."""

    def make(data):
        return policy(data, fresh.environ(), monkeypatch, output_dir=str(tmp_path), log_group="null")

    return make


def test_a_policy_of_another_account_is_refused(made):
    """An ARN of another account's policy is refused before anything is done."""
    with pytest.raises(
        PolicyValidationError, match="another account than 111122223333; write its name alone"
    ):
        made(with_action(policy="arn:aws:iam::999999999999:policy/DenyIAMAccess"))


def test_bulk_on_purpose_revokes_every_match_and_no_admin(fresh, made, user, logged):
    """With ``bulk: true``, all users whom the filters leave are denied IAM, and nobody else."""
    for name, groups in (("ann", ()), ("ben", ()), ("chief", ["Admins"])):
        user(name, path="/contractors/", groups=groups)
    path = {"type": "value", "key": "Path", "value": "/contractors/"}
    admins = {"not": [{"type": "admin-group-member", "groups": ["Admins"]}]}
    action = {"type": "revoke-iam-access", "bulk": True}
    bulk = {"name": "a", "resource": "aws.iam-user", "max-resources": 2, "filters": [path, admins]}
    made({**bulk, "actions": [action]}).run()
    assert [revoked(fresh, name) for name in ("ann", "ben", "chief")] == [["managed"], ["managed"], []]
    assert [decision["decision"] for decision in logged()] == ["revoked"] * 2


@pytest.fixture
def judge(fresh, made, logged):
    """``judge(event, filters=…)``: what the main policy with other parts decides on an event."""

    def decide(event, **parts):
        (revoke, _) = shipped(REVOKE)["actions"]  # nobody is told
        data = {**shipped(REVOKE), "actions": [revoke], **parts}
        pins = {"admins": moto_group(fresh, "Admins").id}
        made(pinned(data, groups=pins)).get_execution_mode().run(event, None)
        return logged()[-1]

    return decide


NOT_ADMIN = shipped(REVOKE)["filters"][-1]
EXEMPTIONS = {
    "by path": {"filters": [{"not": [{"type": "value", "key": "Path", "value": "/emergency/"}]}, NOT_ADMIN]},
    "by tag": {"filters": [{"tag:iam-guard-exempt": "absent"}, NOT_ADMIN], "source": "describe"},
}


@pytest.mark.parametrize("how", EXEMPTIONS)
def test_an_exempt_user_is_not_revoked_and_others_are(fresh, judge, user, how):
    """A break-glass user who is exempt by a stock filter keeps IAM; the same policy revokes everybody else."""
    tags = [{"Key": "iam-guard-exempt", "Value": "yes"}]
    user("break-glass", path="/emergency/", tags=tags).iam.create_user(UserName="made-in-need")
    decision = judge(fresh.pending[0], **EXEMPTIONS[how])
    assert decision["reason"] == "exempt by the policy's filters"
    assert revoked(fresh, "break-glass") == []
    judge(case("revoked-create-user"), **EXEMPTIONS[how])
    assert revoked(fresh, "bob") == ["managed"]


def test_errors_of_the_describe_source_propagate(fresh, judge):
    """With ``source: describe``, a refused GetUser fails the event instead of dropping it."""
    fresh.faults.append(Fault("iam:GetUser", "AccessDenied", 403))
    with pytest.raises(ClientError, match="GetUser"):
        judge(case("revoked-create-user"), source="describe")


def test_a_renamed_user_is_found_by_id_with_the_describe_source(fresh, judge, user):
    """With ``source: describe``, a name that GetUser does not know any more is looked up by its id."""
    user("rex").iam.create_user(UserName="friend-of-rex")
    (event,) = fresh.pending
    fresh.client("iam").update_user(UserName="rex", NewUserName="rex-renamed")
    decision = judge(event, source="describe")
    assert (decision["decision"], decision["user"]) == ("revoked", "rex-renamed")
    assert revoked(fresh, "rex-renamed") == ["managed"]


@pytest.fixture
def put_back(fresh):
    """The functions are after the test as before it."""
    put = kept.functions(fresh.account, fresh.region)
    yield
    put()


@pytest.mark.usefixtures("put_back")
def test_a_list_in_s3_is_read_with_the_right_and_fails_loudly_without(fresh, custodian):
    """The filter of docs/reference.md: without s3:GetObject the event fails, with it the list exempts bob."""
    (block,) = re.findall(r"```yaml\n(- type: value.*?)```", (ROOT / "docs/reference.md").read_text(), re.S)
    custodian({**shipped(REVOKE), "filters": [NOT_ADMIN, *yaml.safe_load(block)]})
    s3 = fresh.client("s3")
    s3.create_bucket(Bucket="security-lists")
    ids = [moto_user(fresh, "bob").id]
    s3.put_object(Bucket="security-lists", Key="exempt.json", Body=json.dumps({"ids": ids}))
    (invocation,) = fresh.deliver(case("revoked-create-user"))
    assert invocation.dead_lettered
    resource = "arn:aws:s3:::security-lists/exempt.json"
    right = document({"Effect": "Allow", "Action": "s3:GetObject", "Resource": resource})
    fresh.client("iam").put_role_policy(RoleName=GUARD, PolicyName="list", PolicyDocument=right)
    (invocation,) = fresh.deliver(case("revoked-create-user"))
    assert invocation.decisions[-1]["reason"] == "exempt by the policy's filters"
    assert revoked(fresh, "bob") == []
