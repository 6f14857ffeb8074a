"""Self-service: which calls users may make about themselves, and what a record has to prove. Pure."""

import copy
import json
import re
from pathlib import Path

import botocore.session
import pytest
import yaml
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st
from trail import record as record_of
from trail import role, user

from c7n_iamguard.admins.options import problem_with_call
from c7n_iamguard.admins.self_service import CALLS, NAMED, NO_TARGET, OPTIONAL, about_themselves
from c7n_iamguard.event import caller

SCENES = {
    file.stem: json.loads(file.read_text()) for file in Path(__file__).parent.glob("self_service/*.json")
}
IAM = botocore.session.get_session().get_service_model("iam")
SESSION = {"accessKeyId": "ASIAIOSFODNN7EXAMPLE"}
FEDERATED = {
    "type": "FederatedUser",
    "arn": "arn:aws:sts::111122223333:federated-user/app",
    "accountId": "111122223333",
    "sessionContext": {"sessionIssuer": user("pat") | {"accessKeyId": None}},
    **SESSION,
}
#: What the answer to CreateAccessKey tells.
KEY_OF = {name: {"accessKey": {"accessKeyId": "AKIA0", "userName": name}} for name in ("pat", "eve")}


def first_list():
    """The list that the docs recommend to begin with."""
    text = (ROOT / "docs" / "operate.md").read_text()
    (block,) = re.findall(r"```yaml\n(self_service:.*?)```", text, re.S)
    return yaml.safe_load(block)["self_service"]


def judged(call, parameters, identity=None, calls=CALLS, **more):
    """Whether a call of pat's, or of another identity, is self-service."""
    made = record_of(identity or user("pat"), call, requestParameters=parameters, **more)
    return about_themselves(made, caller(made), calls)


def of(target):
    """The calls whose target is known in this way."""
    return [call for call, how in CALLS.items() if how == target]


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_a_whole_scene_is_self_service_with_the_first_list_of_the_docs(scene):
    """An enrolment of an MFA device and a forced password change, wrong codes included, deny nobody."""
    calls = first_list()
    made = [record for record in SCENES[scene] if not record["readOnly"]]
    assert made
    for record in made:
        who = caller(record)
        assert about_themselves(record, who, calls), record["eventName"]
        assert not about_themselves(record, who, [call for call in calls if call != record["eventName"]])


def test_the_same_enrolment_for_somebody_else_is_not_self_service():
    """Of an enrolment for another user, only the device itself is made without hitting anybody."""
    seen = set()
    for record in copy.deepcopy(SCENES["mfa-enrolment"]):
        if not record["readOnly"]:
            parameters = record["requestParameters"]
            parameters.update({"userName": "eve"} if "userName" in parameters else {})
            seen.add((record["eventName"], about_themselves(record, caller(record), CALLS)))
    assert seen == {("CreateVirtualMFADevice", True), ("EnableMFADevice", False), ("ResyncMFADevice", False)}


def refused(names):
    """What the settings say about those of the names that may not be listed."""
    problems = [problem_with_call(name, None) for name in names]
    return [problem[0].removesuffix(" cannot be self-service") for problem in problems if problem]


def test_the_first_list_of_the_docs_may_be_listed():
    """The settings refuse nothing of the list that the docs recommend."""
    assert refused(first_list()) == []


@pytest.mark.parametrize("call", CALLS)
def test_the_table_agrees_with_the_model_of_iam(call):
    """A call without a target takes no user's name; a name is left out only where IAM says whom it means then."""
    shape = IAM.operation_model(call).input_shape
    about = shape.members.get("UserName")
    documented = f"{IAM.operation_model(call).documentation} {about and about.documentation}"
    implicit = re.search("determine[sd] .*implicitly|defaults to the principal|assumes the user", documented)
    assert (about is None) == (CALLS[call] == NO_TARGET)
    assert bool(about and "UserName" not in shape.required_members and implicit) == (CALLS[call] == OPTIONAL)


@pytest.mark.parametrize(
    "call",
    [
        *("DeleteVirtualMFADevice", "TagMFADevice"),  # a serial number may be anybody's
        *("TagUser", "UntagUser", "UpdateUser", "DeleteUser", "CreateUser"),
        *("AddUserToGroup", "RemoveUserFromGroup", "PutUserPolicy", "DeleteUserPolicy", "AttachUserPolicy"),
        *("DetachUserPolicy", "PutUserPermissionsBoundary", "DeleteUserPermissionsBoundary"),
        *("UpdateAccountPasswordPolicy", "GenerateCredentialReport", "CreateServiceLinkedRole"),
    ],
)
def test_what_hits_others_or_takes_off_a_denial_may_not_be_listed(call):
    """Such a call is refused in the setting, and is no self-service even if it is listed."""
    assert refused([call]) == [repr(call)]
    assert not judged(call, {"userName": "pat"}, calls=[call])


def test_no_other_call_of_iam_is_taken_for_a_misspelling():
    """A call that IAM has and that may not be listed is refused without advice to list another one."""
    others = [call for call in IAM.operation_names if call not in CALLS]
    assert not [text for text in refused(others) if "did you mean" in text]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("write", [str.lower, "iam:{}".format, lambda call: call[:5] + call[6:]])
def test_a_misspelling_is_refused_with_the_name_that_was_meant(call, write):
    """Another case, the prefix of a policy's action and a missing letter lead to the right name."""
    assert refused([write(call)]) == [f"{write(call)!r} (did you mean {call}?)"]


def test_what_is_no_name_of_a_call_is_refused():
    """Wildcards, values that are no text and reads are refused; the rest of the list is not mentioned."""
    names = ["ChangePassword", "*", "iam:*", 5, None, True, ["ChangePassword"], {"a": 1}, "ListMFADevices"]
    said = refused(names)
    assert said[:-1] == ["'*'", "'iam:*'", "5", "None", "True", "['ChangePassword']", "{'a': 1}"]
    assert said[-1] == "'ListMFADevices' (reads never count)"


@pytest.mark.parametrize("identity", [user("pat"), user("pat") | SESSION, FEDERATED], ids=lambda i: i["type"])
@pytest.mark.parametrize("call", of(NAMED) + of(OPTIONAL))
def test_a_call_that_names_its_caller_is_self_service(call, identity):
    """So it is with temporary credentials of the user, in any case of the name, and if the call fails."""
    assert judged(call, {"userName": "pat"}, identity)
    assert judged(call, {"userName": "PAT"}, identity, errorCode="NoSuchEntityException")


@pytest.mark.parametrize("call", of(NAMED) + of(OPTIONAL))
@pytest.mark.parametrize(
    "name", ["eve", "", "pat ", "/pat", "p\u00e4t", None, 5, True, ["pat"], {"userName": "pat"}], ids=repr
)
def test_a_call_that_names_anybody_else_is_not_self_service(call, name):
    """Another name, no text, and no text at all are not the caller."""
    assert not judged(call, {"userName": name}, responseElements=KEY_OF["pat"])


def test_a_letter_that_only_looks_like_the_callers_is_not_theirs():
    """A Kelvin sign is a k in lower case, but in no name of IAM."""
    assert not judged("EnableMFADevice", {"userName": "mar\u212a"}, user("mark"))


@pytest.mark.parametrize("call", CALLS)
def test_a_denied_call_is_self_service_only_without_a_target(call):
    """CloudTrail shows no parameters of a denied call."""
    for more in ({"errorCode": "AccessDenied"}, {}):
        assert judged(call, None, **more) == (CALLS[call] == NO_TARGET)


@pytest.mark.parametrize("call", of(NAMED) + of(OPTIONAL))
@pytest.mark.parametrize(
    ("identity", "parameters", "shown"),
    [
        (user("pat"), {"accessKeyId": "AKIA0"}, True),
        (user("pat"), {"omitted": True, "originalSize": 110000}, False),
        (user("pat"), "userName=pat", False),
        (user("pat") | SESSION, {"accessKeyId": "AKIA0"}, False),
        (user("pat") | {"accessKeyId": None}, {"accessKeyId": "AKIA0"}, False),
        (FEDERATED, {"accessKeyId": "AKIA0"}, False),
    ],
    ids=["long-term key", "too large", "no object", "session", "no key", "federated"],
)
def test_a_name_that_is_left_out_means_the_caller_only_with_a_key_of_theirs(
    call, identity, parameters, shown
):
    """It does so where AWS documents it, if the record shows the other parameters."""
    assert judged(call, parameters, identity) == (shown and CALLS[call] == OPTIONAL)


@pytest.mark.parametrize("identity", [user("pat"), user("pat") | SESSION])
def test_a_new_access_key_is_the_callers_if_the_response_says_so(identity):
    """CreateAccessKey without any parameter has no parameters in its record, but a response."""
    assert judged("CreateAccessKey", None, identity, responseElements=KEY_OF["pat"])
    for other in (KEY_OF["eve"], {"accessKey": "pat"}, {"accessKey": {"userName": ["pat"]}}, "pat", ["pat"]):
        assert not judged("CreateAccessKey", None, identity, responseElements=other)
    assert not judged("CreateAccessKey", {"userName": "eve"}, identity, responseElements=KEY_OF["pat"])


@pytest.mark.parametrize("call", CALLS)
def test_only_users_calls_of_iam_are_self_service(call):
    """Roles, root, other services' calls of the same name and calls that are not listed are not."""
    mine = {"userName": "pat"}
    root = {"type": "Root", "principalId": "111122223333", "accountId": "111122223333", "userName": "pat"}
    assert judged(call, mine)
    assert not judged(call, mine, role("pat"))
    assert not judged(call, mine, root)
    assert not judged(call, mine, eventSource="transfer.amazonaws.com")
    assert not judged(call, mine, calls=[name for name in CALLS if name != call])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["pat", "Pat", "eve", "AKIA0"]) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["userName", "accessKey", "x"]), inner),
    max_leaves=6,
)


@given(st.sampled_from(of(NAMED) + of(OPTIONAL)), VALUES, VALUES, st.booleans())
def test_no_record_about_somebody_else_is_self_service(call, parameters, response, session):
    """Whatever a record holds, it ends as yes or no; if it names a target, that is the caller."""
    identity = user("pat") | (SESSION if session else {})
    if judged(call, parameters, identity, responseElements=response):
        named = response["accessKey"]["userName"] if parameters is None else parameters.get("userName", "pat")
        assert named.lower() == "pat"


@given(VALUES)
def test_a_record_without_the_name_of_a_call_is_not_self_service(name):
    """Whatever stands in a record's eventName, it ends as yes or no."""
    made = record_of(user("pat")) | {"eventName": name}
    assert not about_themselves(made, caller(made), CALLS)
