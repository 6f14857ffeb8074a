"""An event of the guard, without AWS: its title, its detail, and the schema that both are held to."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from helpers import case, edit, made
from hypothesis import given
from hypothesis import strategies as st
from told import DETAIL, SCHEMA, TELLER, by_event, decided, of_person, of_role, told_of

from c7n_iamguard import __version__
from c7n_iamguard.event import IAMEvent
from c7n_iamguard.history.iam_calls import summary
from c7n_iamguard.iam.principals import USER
from c7n_iamguard.notify import detail

#: Text that nobody may find in a mail.
BAIT = 'Call +1-555-0100 "now"\n<b>\\'
PROBES = [
    *(*detail.MAILED, "userAgent", "errorMessage", "requestParameters"),
    *(f"userIdentity.{key}" for key in ("accessKeyId", "invokedBy", "onBehalfOf", "sessionContext")),
]
BOB = {"UserName": "bob", "UserId": "AIDABOB", "Arn": "arn:aws:iam::111122223333:user/bob", "Path": "/"}


def full():
    """An event that has everything that CloudTrail can say of a user's call."""
    event = case("revoked-create-user")
    identity = event["detail"]["userIdentity"]
    identity["sessionContext"] = {
        "attributes": {"creationDate": "2026-01-05T09:00:00Z", "mfaAuthenticated": "true"},
        "sourceIdentity": "bobs-laptop",
    }
    identity["invokedBy"] = "cloudformation.amazonaws.com"
    event["detail"] |= {
        "sourceIPAddress": "203.0.113.5",
        "userAgent": "aws-cli/2.20",
        "errorCode": "EntityAlreadyExistsException",
        "requestParameters": {"userName": "backdoor", "tags": [{"key": "a", "value": "ü"}]},
    }
    return event


def test_the_schema_knows_every_title_and_decision():
    """The titles and decisions of the schema are those that can be told."""
    titles = {*detail.TITLES.values(), detail.REVOKED_LATE, detail.WOULD_REMOVE}
    assert set(SCHEMA["properties"]["detail-type"]["enum"]) == titles
    assert set(SCHEMA["$defs"]["detail"]["properties"]["decision"]["enum"]) == set(detail.TITLES)


def test_the_schema_describes_every_key():
    """The detail has exactly the keys that the schema requires, and the schema describes no others."""

    def check(value, schema):
        if "$ref" in schema:
            schema = SCHEMA["$defs"][schema["$ref"].split("/")[-1]]
        if isinstance(value, dict):
            assert list(value) == schema["required"] or set(value) == set(schema["required"])
            assert set(value) == set(schema["properties"])
            for key, inner in value.items():
                check(inner, schema["properties"][key])

    check(told_of(full()), SCHEMA["$defs"]["detail"])


@given(
    st.sampled_from(PROBES),
    st.none() | st.integers() | st.text(max_size=300) | st.dictionaries(st.text(), st.text()),
)
def test_nothing_in_an_event_breaks_the_schema(path, value):
    """The detail fits the schema, whatever a part of the event holds beside the caller."""
    DETAIL.validate(told_of(edit(full(), f"detail.{path}", value)))


def test_it_says_who_did_what_and_what_was_decided():
    """Account, principal, call, decision and policy are all there."""
    event = full()
    told = told_of(event, "revoked", how="inline", rungs={"managed": "full"})
    assert told["account"] == {"id": "111122223333", "alias": "sandbox"}
    assert told["principal"] == {
        "type": "user",
        "name": "bob",
        "id": "AIDABOBXXXXXXXXXXXXXX",
        "arn": "arn:aws:iam::111122223333:user/bob",
    }
    assert told["caller"] == told["principal"]
    assert (told["decision"], told["how"], told["groups"]) == ("revoked", "inline", [])
    assert told["policy"] == {"name": "a-policy", "version": __version__}
    assert told["call"] == {
        "eventID": event["detail"]["eventID"],
        "eventName": "CreateUser",
        "eventTime": event["detail"]["eventTime"],
        "errorCode": "EntityAlreadyExistsException",
        "sourceIPAddress": "203.0.113.5",
        "userAgent": "aws-cli/2.20",
        "accessKeyId": "AKIAEXAMPLE",
        "mfaAuthenticated": True,
        "invokedBy": "cloudformation.amazonaws.com",
        "sessionName": "",
        "sourceIdentity": "bobs-laptop",
        "onBehalfOf": "",
        "requestParameters": '{"userName": "backdoor", "tags": [{"key": "a", "value": "ü"}]}',
    }


@pytest.mark.parametrize(("written", "said"), [("true", True), ("false", False), (..., None), (True, None)])
def test_whether_mfa_was_used_is_said_if_it_is_known(written, said):
    """CloudTrail writes it as text; if it does not, nobody guesses."""
    event = edit(full(), "detail.userIdentity.sessionContext.attributes.mfaAuthenticated", written)
    assert told_of(event)["call"]["mfaAuthenticated"] is said


def test_the_delay_is_the_time_from_the_call():
    """The delay is the seconds from the call to now, and null if the call has no time."""
    assert told_of(made(full(), timedelta(seconds=90)))["delay"] in (90, 91)
    assert told_of(edit(full(), "detail.eventTime", ...))["delay"] is None


@pytest.mark.parametrize("friend", ["friend", "the caller's id"])
def test_who_adds_a_member_is_the_caller(friend):
    """In the admin group's policy, the principal is the removed member, and the caller who added them."""
    event = case("acted-user-adds-somebody", "protect-admin-group")
    friend = friend if friend == "friend" else event["detail"]["userIdentity"]["principalId"]
    removed = decided({"UserName": friend}, "acted", groups=["admins"])
    told = detail.describe(removed, USER, IAMEvent(event), TELLER)
    DETAIL.validate(told)
    assert (told["principal"]["name"], told["caller"]["name"]) == (friend, "paul")
    assert "PrincipalName=paul," in told["commands"]["contain"]
    assert f"--user-name {friend}" in told["commands"]["restore"]


def test_a_renamed_caller_has_their_new_name():
    """A user who was renamed since the call is called by the name that they have now."""
    event = full()
    principal = decided({**by_event(event)[0], "UserName": "bobby"}, "revoked", how="managed")
    told = detail.describe(principal, USER, IAMEvent(event), TELLER)
    assert told["principal"]["name"] == told["caller"]["name"] == "bobby"


def test_an_observed_removal_from_the_admin_group_says_so():
    """A member who would be removed from the admin group would not be denied IAM."""
    principal = decided(BOB, "would-revoke", groups=["admins"])
    assert detail.title(principal) == "Admin group member would be removed"


def test_the_catch_up_tells_of_the_newest_call():
    """Outside an event, the newest call that the filter iam-calls notes is told like an event's, as late."""
    event = IAMEvent(made(full(), timedelta(hours=2)))
    newest = summary(event.record, event.who)
    principal = {**decided(BOB, how="managed"), "c7n:IAMCalls": [newest, {**newest, "eventID": "a-0"}]}
    assert detail.title(principal, late=True) == "IAM access revoked late"
    told = detail.describe(principal, USER, None, replace(TELLER, late=True))
    DETAIL.validate(told)
    assert told["late"]
    assert told["delay"] in (7200, 7201)
    assert told["caller"] == told["principal"]
    assert told["call"] == told_of(event)["call"]


def test_ten_of_the_biggest_events_fit_into_one_request():
    """Ten details stay below EventBridge's old limit of 256 KB for a request, whatever a caller writes."""
    event = full()
    for path in ("userAgent", "errorMessage", "userIdentity.invokedBy", "userIdentity.accessKeyId"):
        edit(event, f"detail.{path}", '"\\\U0001f600\x01' * 50_000)
    event["detail"]["requestParameters"] = {"policyDocument": '"\\\U0001f600\x01' * 50_000}
    told = told_of(event, "cannot-revoke", reason='"\\ü' * 50_000)
    DETAIL.validate(told)
    assert len(json.dumps(told, ensure_ascii=False).encode()) * 10 < 256 * 1024


def test_parameters_are_cut_where_it_is_said():
    """Parameters of up to 4,096 bytes stay whole; longer ones end in an ellipsis within that size."""
    records = [{"requestParameters": {"a": "x" * size}} for size in (4087, 4088)]
    short, long = (detail.call(record, None)["requestParameters"] for record in records)
    assert (len(short), short[-3:]) == (4096, 'x"}')
    assert (len(long.encode()), long[-2:]) == (4096, "x…")


def test_a_text_of_the_callers_is_one_line():
    """Breaks of every kind, and what acts on a terminal, are blanks."""
    assert detail.cut("a\r\nb\u2028c\x1bd\u202ee") == "a  b c d e"


@pytest.mark.parametrize("decision", detail.TITLES)
@pytest.mark.parametrize(
    "event", [full(), of_role(session="call-555"), of_person()], ids=["user", "role", "person"]
)
def test_a_mail_holds_nothing_that_the_caller_wrote(event, decision):
    """Each decision fits the schema; no sentence, command or field of a mail repeats a caller's text.

    Callers choose the name of a role's session, but not that of a session of Identity Center.
    """
    DETAIL.validate(told_of(event, decision, groups=["admins"]))
    for key in ("userAgent", "errorMessage", *detail.MAILED):
        event["detail"][key] = BAIT
    event["detail"]["requestParameters"] = {"userName": BAIT}
    identity = event["detail"]["userIdentity"]
    identity |= {"accessKeyId": BAIT, "invokedBy": BAIT}
    identity.setdefault("sessionContext", {})["sourceIdentity"] = BAIT
    told = told_of(event, decision, groups=["admins"], reason=BAIT)
    mail = [told["text"], *told["commands"].values(), *(told["call"][key] for key in detail.MAILED)]
    assert "555" not in "".join(mail)
    assert not {'"', "\\", "\n"} & set("".join(mail))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("https://wiki.example.com/iam", "https://wiki.example.com/iam"),
        ("README.md#operate", "docs/incident.md"),
        (None, "docs/incident.md"),
        (["https://x"], "docs/incident.md"),
    ],
)
def test_a_policys_own_runbook_is_linked(written, said):
    """An address in the policy's metadata is the runbook; without one it is the project's own."""
    assert told_of(full(), teller=replace(TELLER, runbook=written))["runbook"] == said
