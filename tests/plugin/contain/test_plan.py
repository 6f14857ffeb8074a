"""A call's record, and the commands about it. Pure."""

import json
import shlex

import pytest
from plans import KEY, QUARANTINE, plan, record

from c7n_iamguard.contain import undoable
from c7n_iamguard.contain.plan import Call, Reversal, Target
from c7n_iamguard.event import caller


def test_a_role_that_names_no_user_is_about_nobody():
    """Only users can leave out the name of the user."""
    found = record("UpdateAccessKey", {"accessKeyId": KEY, "status": "Active"})
    arn = "arn:aws:sts::111122223333:assumed-role/app/s"
    identity = {"type": "AssumedRole", "principalId": "AROAX:s", "arn": arn, "accountId": "111122223333"}
    who = caller({**found, "userIdentity": identity})
    reason = undoable.plan(found, who, QUARANTINE).reason
    assert reason == "the event does not have detail.requestParameters.userName"


def test_a_document_in_a_command_cannot_leave_its_quotes():
    """The shell gets the caller's document as one word, whatever is in it."""
    evil = json.dumps({"Version": "2012-10-17", "Statement": [], "Id": "'; rm -r /; '$(id)`id`\n"})
    found = plan("PutUserPolicy", {"userName": "eve", "policyName": "p", "policyDocument": evil})
    words = shlex.split(found.redo.command)
    assert json.loads(words[-1]) == json.loads(evil)
    assert len(words) == 9


@pytest.mark.parametrize("name", [["bob"], 7, {}, ""])
def test_a_name_of_another_type_is_not_the_callers(name):
    """Only a call without any user name is about its caller."""
    parameters = {"userName": name, "accessKeyId": KEY, "status": "Active"}
    found = plan("UpdateAccessKey", parameters)
    assert found.reason.endswith("does not have detail.requestParameters.userName")
    assert plan("UpdateAccessKey", {**parameters, "userName": None}).target == Target("user", "bob")


def test_a_reversal_is_about_the_same_user_under_another_name():
    """Both commands and the target say the new name."""
    calls = [Call(f"{verb}UserPolicy", {"UserName": "bob", "PolicyName": "p"}) for verb in ("Delete", "Put")]
    found = Reversal("deleted", *calls, Target("user", "bob", "AIDA1")).for_user("-b")
    assert found.target == Target("user", "-b", "AIDA1")
    assert found.call.command == "aws iam delete-user-policy --user-name=-b --policy-name p"
    assert found.redo.command == "aws iam put-user-policy --user-name=-b --policy-name p"
