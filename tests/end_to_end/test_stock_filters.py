"""docs/reference.md is true: a filter of Custodian's own that calls AWS needs a right, and fails loudly without."""

import json
import re

import pytest
import yaml
from helpers import FUNCTION, REVOKE, ROOT, outcomes, shipped, stock
from rights import GUARD

ACCOUNT, LIST = "300000000033", "security-lists"


@pytest.fixture(scope="module")
def call(sandbox, tmp_path_factory):
    """``call(name)``: what the main function, with the page's filter added, makes of a call of a user."""
    keys = {name: sandbox.create_user(name, account=ACCOUNT) for name in ("bob", "eve")}
    sandbox.client("iam", account=ACCOUNT).create_group(GroupName="admins")
    sandbox.create_user("ada", groups=["admins"], account=ACCOUNT)
    sandbox.deploy(account=ACCOUNT)
    (block,) = re.findall(r"```yaml\n(- type: value.*?)```", (ROOT / "docs/reference.md").read_text(), re.S)
    policy = shipped(REVOKE)
    policy["filters"] += yaml.safe_load(block)
    file = tmp_path_factory.mktemp("filters") / "policy.yml"
    file.write_text(yaml.safe_dump({"policies": [policy]}))
    done = stock("custodian", "run", "-s", file.parent, file, environ=sandbox.environ(account=ACCOUNT))
    assert done.returncode == 0, done.stderr
    s3 = sandbox.client("s3", account=ACCOUNT)
    s3.create_bucket(Bucket=LIST)
    bob = sandbox.client("iam", account=ACCOUNT).get_user(UserName="bob")["User"]["UserId"]
    s3.put_object(Bucket=LIST, Key="exempt.json", Body=json.dumps({"ids": [bob]}))

    def call(name):
        sandbox.pending.clear()
        sandbox.client("iam", keys[name], ACCOUNT).create_group(GroupName=f"of-{name}")
        (invocation,) = [one for one in sandbox.deliver() if one.function == FUNCTION]
        sandbox.client("iam", account=ACCOUNT).delete_group(GroupName=f"of-{name}")
        sandbox.pending.clear()
        return invocation

    return call


def attached(sandbox, name):
    answer = sandbox.client("iam", account=ACCOUNT).list_attached_user_policies(UserName=name)
    return [policy["PolicyName"] for policy in answer["AttachedPolicies"]]


def test_a_list_in_s3_is_read_with_the_right_and_fails_loudly_without(sandbox, call):
    """Without s3:GetObject, the event ends as a dead letter and nobody is denied; with it, the list decides."""
    invocation = call("eve")
    assert outcomes(invocation) != "succeeded"
    assert invocation.dead_lettered
    assert attached(sandbox, "eve") == []
    allowed = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{LIST}/exempt.json"}
    iam = sandbox.client("iam", account=ACCOUNT)
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=GUARD, PolicyName="list", PolicyDocument=document)
    sandbox.functions.cool()
    assert call("bob").succeeded
    assert call("eve").succeeded
    assert (attached(sandbox, "bob"), attached(sandbox, "eve")) == ([], ["DenyIAMAccess"])
