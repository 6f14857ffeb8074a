"""What AWS refuses the guard, and what the guard refuses: the denial holds, and somebody looks."""

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from c7n.exceptions import PolicyValidationError
from helpers import FUNCTION, GUARD, REVOKE, case, edit, revoked, shipped
from variants import edited

from c7n_iamguard.function.deployment import foreseen
from sandbox.server import Fault


def test_a_guardrail_against_one_step_leads_to_the_next_and_the_event_fails(impatient):
    """If an SCP refuses AttachUserPolicy, the caller is denied by the inline policy, and the event is dead-lettered."""
    impatient.faults.append(Fault("iam:AttachUserPolicy", "AccessDenied", 403, caller=GUARD))
    (invocation,) = impatient.deliver(case("revoked-create-user"))
    assert revoked(impatient, "bob") == ["inline"]
    assert invocation.dead_lettered
    assert [d["decision"] for d in invocation.decisions if d["decision"] != "failed"] == ["revoked"] * 3
    assert "AccessDenied" in invocation.decisions[0]["rungs"]["managed"]
    assert "is denied IAM, but AWS refused a step" in invocation.decisions[1]["reason"]


def test_a_guardrail_against_every_step_is_an_error_and_no_denial(impatient):
    """If AWS refuses all steps, nothing is said to be revoked."""
    for operation in ("AttachUserPolicy", "PutUserPolicy", "GetUser"):
        impatient.faults.append(Fault(f"iam:{operation}", "AccessDenied", 403, caller=GUARD))
    (invocation,) = impatient.deliver(case("revoked-create-user"))
    assert revoked(impatient, "bob") == []
    assert {d["decision"] for d in invocation.decisions} == {"failed"}
    assert invocation.dead_lettered


@pytest.mark.parametrize(
    ("by", "decision"),
    [
        ("es.amazonaws.com", "let-pass"),
        ("signin.amazonaws.com", "revoked"),
        ("cloudformation.amazonaws.com", "revoked"),
    ],
)
def test_a_service_makes_its_own_service_linked_role_and_nobody_elses(fresh, by, decision):
    """CreateServiceLinkedRole is a service's own call only if it is for the service that made it."""
    event = edit(case("revoked-create-user"), "detail.eventName", "CreateServiceLinkedRole")
    event["detail"]["requestParameters"] = {"aWSServiceName": "es.amazonaws.com"}
    event["detail"]["userIdentity"]["invokedBy"] = by
    invocation = fresh.functions.invoke(FUNCTION, event)
    assert [d["decision"] for d in invocation.decisions] == [decision]


def test_a_filter_on_the_event_is_refused(in_process):
    """The catch-up gets no event, so that it would deny whom such a filter lets pass now."""
    shown = edited(
        filters=[{"type": "event", "key": "detail.eventName", "value": "x"}, *shipped(REVOKE)["filters"]]
    )
    with pytest.raises(PolicyValidationError, match=r"filter:event.*self_service and exempt"):
        in_process(**{key: value for key, value in shown.items() if key != "resource"})


REFUSALS = {
    "expired": (("ExpiredToken", "The security token is expired."), "Sign in again"),
    "no right": (("AccessDeniedException", "not authorized to perform: lambda:CreateFunction"), "deploy/access.yml"),
    "throttled": (("TooManyRequestsException", "Rate exceeded"), "Run this again"),
    "no role": (("InvalidParameterValueException", "The role defined for the function cannot be assumed by Lambda."), "Deploy deploy/account.yml first"),
    "too large": (("InvalidParameterValueException", "Unzipped size must be smaller"), "does not take the function: Unzipped size"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_what_aws_refuses_a_deployment_is_said_in_one_sentence_with_the_fix(in_process, case):
    """Bad credentials, missing rights and throttles name the call, the reason and what to do."""
    (code, message), fix = REFUSALS[case]
    data = {key: value for key, value in shipped(REVOKE).items() if key not in ("name", "resource")}
    error = ClientError({"Error": {"Code": code, "Message": message}}, "CreateFunction")
    said = foreseen(in_process(name=REVOKE, **data), error)
    assert message.rstrip(".") in said
    assert fix in said
    assert ("role" in fix or "account.yml" in fix) or "mode.role" not in said


def test_an_error_of_another_kind_is_not_explained_away(in_process):
    """What nobody foresaw keeps AWS's own error; missing credentials are foreseen."""
    data = {key: value for key, value in shipped(REVOKE).items() if key not in ("name", "resource")}
    policy = in_process(name=REVOKE, **data)
    assert foreseen(policy, ClientError({"Error": {"Code": "ServiceException"}}, "CreateFunction")) is None
    assert "AWS_PROFILE" in foreseen(policy, NoCredentialsError())
