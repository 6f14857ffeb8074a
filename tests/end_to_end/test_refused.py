"""What AWS refuses the guard, and what the guard refuses: the denial holds, and somebody looks."""

from helpers import GUARD, case, revoked

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
