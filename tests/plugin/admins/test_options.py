"""The settings that say who is meant to use IAM: what may stand there, and what they stand for."""

from datetime import date

import pytest
from variants import assert_validated, edited, with_groups

from c7n_iamguard.admins.judge import FOREVER
from c7n_iamguard.admins.options import MeantOptions, end_of

#: what the operator wrote, and what the error has to say, if it cannot be meant
LISTS = {
    "no groups": (edited(filters=[{"not": [{"type": "admin-group-member"}]}]), "groups (admin_groups in iam-guard.yml)", "add groups: [admins]"),
    "groups that are a mapping": (with_groups({"a": "b"}), "admin_groups", "write a list, such as [admins]"),
    "a group that is a number": (with_groups([7]), "groups", "write it as text"),
    "a group's ARN": (with_groups(["arn:aws:iam::111122223333:group/admins"]), "groups", "without path or wildcards"),
    "a group with a wildcard": (with_groups(["admin*"]), "groups", "without path or wildcards"),
    "a user's id as a group": (with_groups(["AIDAEXAMPLEBREAKGLASS"]), "groups", "single users and roles go under exempt"),
    "an unknown key of the filter": (with_groups(["a"], group="b"), "admin-group-member group", "use exempt, groups, roles, self-service"),
    "a name that is exempt": (with_groups(["a"], exempt=["bob"]), "exempt (exempt in iam-guard.yml)", "Names can be taken over"),
    "a group's id that is exempt": (with_groups(["a"], exempt=["AGPAEXAMPLEXXXXXXXXX"]), "exempt", "write AIDA…"),
    "an end that is no day": (with_groups(["a"], exempt=[{"id": "AIDAEXAMPLEBREAKGLASS", "until": "soon"}]), "exempt", "write it as 2026-12-31"),
    "an end that is misspelt": (with_groups(["a"], exempt=[{"id": "AIDAEXAMPLEBREAKGLASS", "til": "2026-12-31"}]), "exempt", "write {id: …, until: 2026-12-31}"),
    "a call that hits others": (with_groups(["a"], **{"self-service": ["CreateUser"]}), "self_service", "list some of ChangePassword"),
    "a call that is misspelt": (with_groups(["a"], **{"self-service": ["ChangePasword"]}), "self_service", "did you mean ChangePassword?"),
    "a role's id as a role": (with_groups(["a"], roles=["AROAEXAMPLEXXXXXXXXX"]), "admin_roles", "ids go under exempt"),
    "a permission set without an end": (with_groups(["a"], roles=["AWSReservedSSO_Admin*"]), "admin_roles", "Only AWSReservedSSO_NAME_* may have a wildcard"),
    "placeholders, filled in by a run": (with_groups("{admin_groups}", exempt="{exempt}", **{"self-service": "{self_service}"}),),
    "one group as a text": (with_groups("admins"),),
    "a group's id": (with_groups(["AGPAEXAMPLEXXXXXXXXX"]),),
    "everything that may be exempt": (with_groups(["a"], exempt=[
        "AIDAEXAMPLEBREAKGLASS", "AROAEXAMPLEOFAPIPELINE", "AROAEXAMPLEOFAPIPELINE:ada@example.com",
        {"id": "AIDAEXAMPLEBREAKGLASS", "until": "2026-12-31"}]),),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_a_list_is_refused_if_it_cannot_be_meant(tmp_path, caplog, name):
    """``custodian validate`` accepts a policy offline, or names the policy, the key and the fix."""
    assert_validated(tmp_path, caplog, *LISTS[name])


@pytest.mark.parametrize("day", ["1970-01-02", date(1970, 1, 2)])
def test_an_exemption_holds_until_the_end_of_its_day(day):
    """The day that an operator writes, as text or as YAML's date, is the last one, in UTC."""
    assert end_of(day) == 2 * 86400


def test_a_function_knows_its_lists_by_id_and_when_an_entry_was_taken_off():
    """Groups and roles count by their pinned ids; an entry that was taken off counts until then or to its own end."""
    element, until = MeantOptions(), end_of("2030-01-01")
    element.data = {"groups": ["admins"], "roles": ["Terraform", "AWSReservedSSO_A_*"]}
    element.data["exempt"] = [{"id": "AIDA1", "until": "2030-01-01"}, "AIDA2"]
    off = {"groups": {"AGPA2": 5}, "exempt": {"AIDA1": 7, "AIDA3": 8}, "self_service": {"ChangePassword": 9}}
    element.pins = {"groups": {"Admins": "AGPA1", "x": "AGPA2"}, "roles": {"iam-guard": "AROA1"}, "off": off}
    meant = element.who_is_meant({})
    assert meant.groups == {"AGPA1": FOREVER, "AGPA2": 5}
    assert (meant.roles, meant.patterns) == ({"AROA1": FOREVER}, {"AWSReservedSSO_A_*": FOREVER})
    assert meant.role_names == {"iam-guard", "terraform"}
    assert meant.exempt == {"AIDA1": until, "AIDA2": FOREVER, "AIDA3": 8}
    assert meant.self_service == {"ChangePassword": 9}
