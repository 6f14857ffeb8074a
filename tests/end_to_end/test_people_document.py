"""The SCP iam-guard-people as a document: who is in it, and whom it denies. Without AWS."""

import itertools
import json

import pytest
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st
from people_world import EMPTY, index

from sandbox.access.authorization import allows

INDEX = index()
FULL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
ACCOUNT, DAY = "300000000503", "20261127"
#: A person as long as most, and one as long as can be.
USUAL, LONGEST = "AROAEXAMPLE1234567890:{:02}.lovelace@example.com", "AROAEXAMPLE1234567890:{:02}" + "x" * 62
accounts = st.sampled_from([ACCOUNT, "300000000504", "100000000001", "999999999999"])
people = st.builds(
    "AROA{}:{}".format,
    st.text("AZ09", min_size=12, max_size=20),
    st.text("aZ9_+=,.@-", min_size=2, max_size=64),
)
denied = st.dictionaries(accounts, st.dictionaries(people, st.just(DAY), min_size=1, max_size=4), max_size=3)


def judge(denied, account, person, action="iam:CreateUser"):
    """Whether the SCP of these people lets somebody make a call."""
    context = {"aws:principalaccount": account, "aws:userid": person}
    return allows([FULL, INDEX.document(denied, "iam:*")], action, "*", context) is True


@given(denied)
def test_what_is_written_is_read_again(people):
    """The document holds who is denied in which account, and since which day; no Sid is in it twice."""
    written = INDEX.document(people, "iam:*")
    assert INDEX.read(written) == people
    sids = [statement["Sid"] for statement in json.loads(written)["Statement"]]
    assert len(set(sids)) == len(sids)


@given(denied, accounts, people)
def test_the_scp_denies_exactly_those_who_are_in_it(people, account, person):
    """Everybody in it is denied IAM in their account alone, and nothing but IAM; nobody else is denied anything."""
    for one, known in people.items():
        for each in known:
            assert not judge(people, one, each)
            assert judge(people, one, each, "s3:ListBuckets")
            assert judge(people, "999999999999", each) or each in people.get("999999999999", ())
    assert judge(people, account, person) == (person not in people.get(account, ()))


def test_a_name_with_wildcards_is_nobodys_name():
    """IAM would take an asterisk as it is under StringEquals; it does not even get there."""
    for name in ("*", "a*b", "?", "a b", "a/b", "${aws:userid}"):
        assert not INDEX.PERSON.fullmatch(f"AROAEXAMPLE1234567890:{name}")
    assert judge({ACCOUNT: {"AROAEXAMPLE1234567890:a*": DAY}}, ACCOUNT, "AROAEXAMPLE1234567890:ab")


@given(denied, accounts, people)
def test_removing_takes_back_what_adding_did(people, account, person):
    """Twice is once; what is given back leaves everybody else in it."""
    people.get(account, {}).pop(person, None)
    before = INDEX.document(people, "iam:*")
    if len(people.get(account, ())) < INDEX.PER_ACCOUNT:
        assert INDEX.add(people, account, person, DAY, "iam:*")
        assert not INDEX.add(people, account, person, "20991231", "iam:*")
        assert people[account][person] == DAY
        assert INDEX.remove(people, account, person)
    assert not INDEX.remove(people, account, person)
    assert INDEX.document(people, "iam:*") == before


def fill(name, each):
    """The number of people who fit into the SCP, so many of each account."""
    full = {}
    try:
        for account, number in itertools.product(range(100), range(each)):
            INDEX.add(full, f"{account:012}", name.format(number), DAY, "iam:*")
    except INDEX.Refused:
        return sum(map(len, full.values())) - 1


def test_an_account_takes_no_more_than_its_share():
    """After fifteen people an account is full, even by the longest names; six such accounts fit."""
    full = {}
    for number in range(INDEX.PER_ACCOUNT):
        assert INDEX.add(full, ACCOUNT, LONGEST.format(number), DAY, "iam:*")
    with pytest.raises(INDEX.Refused, match="15 people of account 300000000503 are denied already"):
        INDEX.add(full, ACCOUNT, LONGEST.format(99), DAY, "iam:*")
    assert (
        INDEX.SIZE / len(INDEX.document({ACCOUNT: {LONGEST.format(n): DAY for n in range(15)}}, "iam:*")) > 6
    )


def test_the_page_says_how_many_people_fit():
    """As many people as docs/people.md says fit into the SCP, if there are three of each account, or one."""
    page = (ROOT / "docs/people.md").read_text()
    assert f"about {fill(USUAL, 3) // 10 * 10} people, three of each account" in page
    assert f"about {fill(USUAL, 1) // 10 * 10}, if each is of another account" in page


OTHERS = [
    {"Effect": "Deny", "Action": "ec2:*", "Resource": "*"},
    {**INDEX.denials(ACCOUNT, {"AROAEXAMPLE1234567890:ada": DAY}, "iam:*"), "Effect": "Allow"},
    INDEX.denials("*", {"AROAEXAMPLE1234567890:ada": DAY}, "iam:*"),
    INDEX.denials(ACCOUNT, {"*": DAY}, "iam:*"),
    "Deny",
]


@pytest.mark.parametrize("other", OTHERS, ids=range(len(OTHERS)))
def test_what_somebody_else_wrote_is_never_written_over(other):
    """A statement of another form is an error, so that the function neither keeps nor loses it silently."""
    text = json.dumps({"Version": "2012-10-17", "Statement": [*EMPTY["Statement"], other]})
    with pytest.raises(ValueError, match="a statement that iam-guard did not write"):
        INDEX.read(text)


def test_other_deny_actions_are_taken_on_at_the_next_change():
    """The stack's DenyActions of now hold for everybody in the SCP."""
    before = INDEX.document({ACCOUNT: {"AROAEXAMPLE1234567890:ada": DAY}}, ["iam:*", "sso:*"])
    denied = INDEX.read(before)
    INDEX.add(denied, ACCOUNT, "AROAEXAMPLE1234567890:bob", DAY, "iam:*")
    (statement,) = json.loads(INDEX.document(denied, "iam:*"))["Statement"]
    assert statement["Action"] == "iam:*"


def test_sids_of_an_earlier_release_are_read():
    """Days alone, without the number that tells statements apart, are days all the same."""
    two = {account: {"AROAEXAMPLE1234567890:ada": DAY} for account in (ACCOUNT, "300000000504")}
    written = json.loads(INDEX.document(two, "iam:*"))
    written["Statement"][1]["Sid"] = DAY
    assert INDEX.read(json.dumps(written)) == two


def test_an_entry_whose_day_was_lost_by_hand_stays():
    """If somebody takes out an entry by hand and leaves the Sid, the others stay, since an unknown day."""
    both = {ACCOUNT: {"AROAEXAMPLE1234567890:ada": DAY, "AROAEXAMPLE1234567890:bob": DAY}}
    written = json.loads(INDEX.document(both, "iam:*"))
    written["Statement"][0]["Condition"]["StringEquals"]["aws:userid"].pop()
    assert INDEX.read(json.dumps(written)) == {ACCOUNT: {"AROAEXAMPLE1234567890:ada": "00000000"}}
