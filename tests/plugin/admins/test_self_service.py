"""Self-service: which calls users may make about themselves, and what a record has to prove. Pure."""

import json
import re
from pathlib import Path

import botocore.session
import pytest
import yaml
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st
from trail import federated, role, user
from trail import record as record_of

from c7n_iamguard.admins.options import problem_with_call
from c7n_iamguard.admins.self_service import CALLS, NAMED, NO_TARGET, OPTIONAL, about_themselves
from c7n_iamguard.event import caller

SCENES = {
    file.stem: json.loads(file.read_text()) for file in Path(__file__).parent.glob("self_service/*.json")
}
IAM = botocore.session.get_session().get_service_model("iam")
SESSION = {"accessKeyId": "ASIAIOSFODNN7EXAMPLE"}
FEDERATED = federated("pat")
#: A call of each kind; the last two are about a user.
KINDS = ("ChangePassword", "EnableMFADevice", "CreateAccessKey")
ABOUT_A_USER = KINDS[1:]
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


def refused(names):
    """What the settings say about those of the names that may not be listed."""
    problems = [problem_with_call(name, None) for name in names]
    return [problem[0].removesuffix(" cannot be self-service") for problem in problems if problem]


def test_the_table_agrees_with_the_model_of_iam():
    """A call without a target takes no user's name; a name is left out only where IAM says whom it means then."""
    for call, how in CALLS.items():
        model = IAM.operation_model(call)
        about = model.input_shape.members.get("UserName")
        documented = f"{model.documentation} {about and about.documentation}"
        implicit = re.search(
            "determine[sd] .*implicitly|defaults to the principal|assumes the user", documented
        )
        assert (about is None) == (how == NO_TARGET), call
        is_left_out = about and "UserName" not in model.input_shape.required_members and implicit
        assert bool(is_left_out) == (how == OPTIONAL), call
    assert [CALLS[call] for call in KINDS] == [NO_TARGET, NAMED, OPTIONAL]


HITS_OTHERS = (
    *("DeleteVirtualMFADevice", "TagMFADevice"),  # a serial number may be anybody's
    *("TagUser", "UntagUser", "UpdateUser", "DeleteUser", "CreateUser"),
    *("AddUserToGroup", "RemoveUserFromGroup", "PutUserPolicy", "DeleteUserPolicy", "AttachUserPolicy"),
    *("DetachUserPolicy", "PutUserPermissionsBoundary", "DeleteUserPermissionsBoundary"),
    *("UpdateAccountPasswordPolicy", "GenerateCredentialReport", "CreateServiceLinkedRole"),
)


def test_what_hits_others_or_takes_off_a_denial_may_not_be_listed():
    """Such a call is refused in the setting, and is no self-service even if it is listed."""
    assert refused(HITS_OTHERS) == [repr(call) for call in HITS_OTHERS]
    assert not [call for call in HITS_OTHERS if judged(call, {"userName": "pat"}, calls=[call])]


def test_no_other_call_of_iam_is_taken_for_a_misspelling():
    """A call that IAM has and that may not be listed is refused without advice to list another one."""
    others = [call for call in IAM.operation_names if call not in CALLS]
    assert not [text for text in refused(others) if "did you mean" in text]


def test_a_misspelling_is_refused_with_the_name_that_was_meant():
    """Another case, the prefix of a policy's action and a missing letter lead to the right name."""
    for written in ("changepassword", "iam:ChangePassword", "ChangPassword"):
        assert refused([written]) == [f"{written!r} (did you mean ChangePassword?)"]


def test_what_is_no_name_of_a_call_is_refused():
    """Wildcards, values that are no text and reads are refused; the rest of the list is not mentioned."""
    names = [*first_list(), "iam:*", None, ["ChangePassword"], "ListMFADevices"]
    assert refused(names) == ["'iam:*'", "None", "['ChangePassword']", "'ListMFADevices' (reads never count)"]


@pytest.mark.parametrize("identity", [user("pat"), user("pat") | SESSION, FEDERATED], ids=lambda i: i["type"])
@pytest.mark.parametrize("call", ABOUT_A_USER)
def test_a_call_that_names_its_caller_is_self_service(call, identity):
    """So it is with temporary credentials of the user, in any case of the name, and if the call fails."""
    assert judged(call, {"userName": "pat"}, identity)
    assert judged(call, {"userName": "PAT"}, identity, errorCode="NoSuchEntityException")


@pytest.mark.parametrize("call", ABOUT_A_USER)
@pytest.mark.parametrize("name", ["eve", "", "pat ", "/pat", None, ["pat"]], ids=repr)
def test_a_call_that_names_anybody_else_is_not_self_service(call, name):
    """Another name, no text, and no text at all are not the caller."""
    assert not judged(call, {"userName": name}, responseElements=KEY_OF["pat"])


def test_a_letter_that_only_looks_like_the_callers_is_not_theirs():
    """A Kelvin sign is a k in lower case, but in no name of IAM."""
    assert not judged("EnableMFADevice", {"userName": "mar\u212a"}, user("mark"))


@pytest.mark.parametrize("call", KINDS)
def test_a_denied_call_is_self_service_only_without_a_target(call):
    """CloudTrail shows no parameters of a denied call."""
    for more in ({"errorCode": "AccessDenied"}, {}):
        assert judged(call, None, **more) == (CALLS[call] == NO_TARGET)


@pytest.mark.parametrize("call", ABOUT_A_USER)
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


@pytest.mark.parametrize("call", KINDS)
def test_only_users_calls_of_iam_are_self_service(call):
    """Roles, root, other services' calls of the same name and calls that are not listed are not."""
    mine = {"userName": "pat"}
    root = {"type": "Root", "principalId": "111122223333", "accountId": "111122223333", "userName": "pat"}
    assert judged(call, mine)
    assert not judged(call, mine, role("pat"))
    assert not judged(call, mine, root)
    assert not judged(call, mine, eventSource="transfer.amazonaws.com")
    assert not judged(call, mine, calls=[name for name in CALLS if name != call])
    assert not judged(call, mine, eventName=[call])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["pat", "Pat", "eve", "AKIA0"]) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["userName", "accessKey", "x"]), inner),
    max_leaves=6,
)


@given(st.sampled_from(ABOUT_A_USER), VALUES, VALUES, st.booleans())
def test_no_record_about_somebody_else_is_self_service(call, parameters, response, session):
    """Whatever a record holds, it ends as yes or no; if it names a target, that is the caller."""
    identity = user("pat") | (SESSION if session else {})
    if judged(call, parameters, identity, responseElements=response):
        named = response["accessKey"]["userName"] if parameters is None else parameters.get("userName", "pat")
        assert named.lower() == "pat"
