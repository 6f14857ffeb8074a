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
#: A call without target, one that has to name its user, and one that may leave the name out.
KINDS = ("ChangePassword", "EnableMFADevice", "CreateAccessKey")
#: The answer to CreateAccessKey, by the user's name.
KEY_OF = {name: {"accessKey": {"accessKeyId": "AKIA0", "userName": name}} for name in ("pat", "eve")}


def first_list():
    """The list that the docs recommend to begin with."""
    text = (ROOT / "docs" / "operate.md").read_text()
    (block,) = re.findall(r"```yaml\n(self_service:.*?)```", text, re.S)
    return yaml.safe_load(block)["self_service"]


def judged(call, parameters, identity, calls=CALLS, **more):
    """Whether an identity's call is self-service."""
    made = record_of(identity, call, requestParameters=parameters, **more)
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
    """The settings' complaints about those of the names that may not be listed."""
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
    assert not [call for call in HITS_OTHERS if judged(call, {"userName": "pat"}, user("pat"), calls=[call])]


def test_what_may_not_be_listed_is_refused_and_a_misspelling_with_the_name_that_was_meant():
    """Wildcards, reads, what is no text, and IAM's other calls lead to no name; the rest is not mentioned."""
    for written in ("changepassword", "iam:ChangePassword", "ChangPassword"):
        assert refused([written]) == [f"{written!r} (did you mean ChangePassword?)"]
    others = [call for call in IAM.operation_names if call not in CALLS]
    assert not [text for text in refused(others) if "did you mean" in text]
    names = [*first_list(), "iam:*", None, ["ChangePassword"], "ListMFADevices"]
    assert refused(names) == ["'iam:*'", "None", "['ChangePassword']", "'ListMFADevices' (reads never count)"]


MINE, KEY, ANSWER = {"userName": "pat"}, {"accessKeyId": "AKIA0"}, {"responseElements": KEY_OF["pat"]}
OF_ROOT = {"type": "Root", "principalId": "111122223333", "accountId": "111122223333", "userName": "pat"}
OTHER_ANSWERS = (KEY_OF["eve"], {"accessKey": "pat"}, {"accessKey": {"userName": ["pat"]}}, "pat", ["pat"])
#: a call's parameters, its caller, the rest of its record, and for which of the kinds it is self-service
RECORDS = [
    # It names its caller, also with temporary credentials, in any case, and if it fails.
    *((MINE, identity, {}, KINDS) for identity in (user("pat"), user("pat") | SESSION, FEDERATED)),
    ({"userName": "PAT"}, user("pat"), {"errorCode": "NoSuchEntityException"}, KINDS),
    # It names somebody else, or nobody. A Kelvin sign is a k in lower case, but in no name of IAM.
    *(({"userName": name}, user("pat"), ANSWER, KINDS[:1]) for name in ("eve", "", "pat ", "/pat", None, ["pat"])),
    ({"userName": "mar\u212a"}, user("mark"), {}, KINDS[:1]),
    # It was denied: CloudTrail shows no parameters.
    *((None, user("pat"), more, KINDS[:1]) for more in ({"errorCode": "AccessDenied"}, {})),
    # A name that is left out means the caller with a long-term key, where AWS documents it, if the record is whole.
    (KEY, user("pat"), {}, (KINDS[0], KINDS[2])),
    ({"omitted": True, "originalSize": 110000}, user("pat"), {}, KINDS[:1]),
    ("userName=pat", user("pat"), {}, KINDS[:1]),
    *((KEY, user("pat") | more, {}, KINDS[:1]) for more in (SESSION, {"accessKeyId": None})),
    (KEY, FEDERATED, {}, KINDS[:1]),
    # CreateAccessKey without any parameter has none in its record, but an answer.
    *((None, user("pat") | more, ANSWER, (KINDS[0], KINDS[2])) for more in ({}, SESSION)),
    *((None, user("pat"), {"responseElements": answer}, KINDS[:1]) for answer in OTHER_ANSWERS),
    # It is no user's call of IAM, or not on the list.
    *((MINE, identity, {}, ()) for identity in (role("pat"), OF_ROOT)),
    *((MINE, user("pat"), more, ()) for more in (
        {"eventSource": "transfer.amazonaws.com"}, {"calls": ()}, {"eventName": ["ChangePassword"]},
    )),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "identity", "more", "expected"), RECORDS)
def test_a_call_is_self_service_if_its_record_proves_whom_it_is_about(parameters, identity, more, expected):
    """In doubt it is not, whichever kind of call it is."""
    assert tuple(call for call in KINDS if judged(call, parameters, identity, **more)) == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["pat", "Pat", "eve", "AKIA0"]) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["userName", "accessKey", "x"]), inner),
    max_leaves=6,
)


@given(st.sampled_from(KINDS[1:]), VALUES, VALUES, st.booleans())
def test_no_record_about_somebody_else_is_self_service(call, parameters, response, session):
    """Whatever a record holds, it ends as yes or no; if it names a target, that is the caller."""
    identity = user("pat") | (SESSION if session else {})
    if judged(call, parameters, identity, responseElements=response):
        named = response["accessKey"]["userName"] if parameters is None else parameters.get("userName", "pat")
        assert named.lower() == "pat"
