"""Does a document deny IAM? Pure."""

import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c7n_iamguard.iam import policy_documents


def doc(*statements, **only):
    """A policy document; keywords make a single statement, a Deny of everything unless they say else."""
    if only or not statements:
        statements = ({"Effect": "Deny", "Resource": "*", **only},)
    return {"Version": "2012-10-17", "Statement": list(statements)}


ALLOW_ALL = {"Effect": "Allow", "Action": "*", "Resource": "*"}
DENY_IAM = {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}
CONDITION = {"Bool": {"aws:MultiFactorAuthPresent": "false"}}
#   document, whether it denies iam:*, whether it withholds iam:* as a boundary
DOCUMENTS = {
    "the guard's own": (policy_documents.deny_document(), True, True),
    "as parsed JSON": (json.loads(policy_documents.deny_document()), True, True),
    "one statement, not in a list": ({"Statement": DENY_IAM}, True, True),
    "actions in a list": (doc(Action=["s3:*", "iam:*"]), True, True),
    "everything": (doc(Action="*"), True, True),
    "upper case": (doc(Action="IAM:*"), True, True),
    "a wildcard within the service": (doc(Action="i*"), True, True),
    "a resource of stars": (doc(Action="iam:*", Resource="**"), True, True),
    "resources in a list": (doc(Action="iam:*", Resource=["arn:aws:s3:::x", "*"]), True, True),
    "a denial beside an allowance": (doc(ALLOW_ALL, DENY_IAM), True, True),
    "NotAction of another service": (doc(NotAction="s3:*"), True, True),
    "an empty condition": (doc(Action="iam:*", Condition={}), True, True),
    "an allowance of IAM": (doc({**DENY_IAM, "Effect": "Allow"}), False, False),
    "another service": (doc(Action="s3:*"), False, True),
    "most actions": (doc(Action=["iam:A*", "iam:C*", "iam:D*", "iam:L*", "iam:P*"]), False, True),
    "some actions, the rest allowed": (doc(ALLOW_ALL, {**DENY_IAM, "Action": "iam:C*"}), False, False),
    "a condition": (doc(ALLOW_ALL, {**DENY_IAM, "Condition": CONDITION}), False, False),
    "some users": (doc(ALLOW_ALL, {**DENY_IAM, "Resource": "arn:aws:iam::*:user/*"}), False, False),
    "no resource": ({"Statement": [ALLOW_ALL, {"Effect": "Deny", "Action": "iam:*"}]}, False, False),
    "NotResource": (doc(ALLOW_ALL, {"Effect": "Deny", "Action": "iam:*", "NotResource": "x"}), False, False),
    "NotResource beside Resource": (doc(ALLOW_ALL, {**DENY_IAM, "NotResource": "x"}), False, False),
    "NotAction of IAM": (doc(ALLOW_ALL, {"Effect": "Deny", "NotAction": "iam:*", "Resource": "*"}), False, False),
    "NotAction of one of IAM's": (doc(ALLOW_ALL, {"Effect": "Deny", "NotAction": "iam:GetUser", "Resource": "*"}), False, False),
    "NotAction that overlaps": (doc(NotAction="*:GetUser"), False, True),
    "Action beside NotAction": (doc(NotAction="s3:*", Action="s3:*"), False, True),
    "a principal": (doc(Action="iam:*", Principal="*"), False, True),
    "effect in lower case": (doc(ALLOW_ALL, {**DENY_IAM, "Effect": "deny"}), False, False),
    "an allowance without IAM": (doc({"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}), False, True),
    "an allowance with a condition": (doc({**ALLOW_ALL, "Condition": CONDITION}), False, False),
    "no statement": ({"Version": "2012-10-17", "Statement": []}, False, False),
    "no JSON": ("{", False, False),
    "nothing": (None, False, False),
    "a statement that is a text": ({"Statement": ["iam:*"]}, False, False),
    "a broken statement beside a denial": ({"Statement": [DENY_IAM, "iam:*"]}, False, False),
    "an action that is a number": (doc(Action=7), False, True),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_denies_iam_or_not(name):
    """Each document, and whether it denies all of IAM for good, by itself and as a boundary."""
    document, denies, withholds = DOCUMENTS[name]
    assert policy_documents.denies(document) is denies
    assert policy_documents.withholds(document) is withholds


@pytest.mark.parametrize(
    ("actions", "expected"),
    [(["iam:CreateUser"], True), (["iam:Create*"], True), (["iam:*"], False), (["iam:C*", "s3:*"], False)],
)
def test_a_document_is_held_to_the_actions_that_it_must_deny(actions, expected):
    """A denial of iam:Create* is enough for what it takes in, and for no more."""
    assert policy_documents.denies(doc(Action="iam:Create*"), actions) is expected


@pytest.mark.parametrize("actions", [["iam:*"], ["iam:*", "sts:*"], ["iam:Create*", "iam:Delete*"]])
def test_the_guards_own_document_denies_what_it_is_made_for(actions):
    """The document that a revocation writes passes its own check, whatever it is to deny."""
    assert policy_documents.denies(policy_documents.deny_document(actions), actions)


def test_the_guards_own_document_leaves_room():
    """The inline document takes less than a twentieth of what a user's inline policies may hold."""
    assert len(policy_documents.deny_document()) < 2048 / 20


WORDS = ["".join(word) for size in range(6) for word in itertools.product("ab", repeat=size)]


def matched(pattern):
    pattern = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return {word for word in WORDS if re.fullmatch(pattern, word)}


patterns = st.text(alphabet="ab*?", max_size=4)


@given(patterns, patterns)
def test_patterns_that_do_not_overlap_have_no_word_in_common(one, other):
    """In doubt two patterns overlap; where they are said not to, no word matches both."""
    if not policy_documents.overlap(one, other):
        assert not matched(one) & matched(other)


@given(patterns, patterns)
def test_covers_is_never_wrong_about_a_denial(pattern, other):
    """A pattern that is said to cover another one matches every word of it."""
    if policy_documents.covers(pattern, other):
        assert matched(other) <= matched(pattern)


def changed(**statement):
    document = json.loads(policy_documents.deny_document())
    document["Statement"][0] |= statement
    return document


@pytest.mark.parametrize(
    ("document", "own"),
    [
        (policy_documents.deny_document(), True),
        (json.loads(policy_documents.deny_document(["iam:*", "organizations:*"])), True),
        (doc(Action="iam:*"), False),
        (changed(Action=[]), False),
        (changed(Action=["iam:*", 5]), False),
        (changed(Sid="Mine"), False),
        (changed(Resource=["*"]), False),
        ({**json.loads(policy_documents.deny_document()), "Id": "mine"}, False),
        ({**json.loads(policy_documents.deny_document()), "Version": "2008-10-17"}, False),
        ({**changed(), "Statement": changed()["Statement"] * 2}, False),
        ({"Version": "2012-10-17", "Statement": []}, False),
        ("no JSON", False),
    ],
    ids=str,
)
def test_a_document_is_the_guards_own_or_not(document, own):
    """Only a document exactly as a revocation writes it, for whichever actions, is the guard's own."""
    assert policy_documents.is_own_document(document) is own
