"""Users and roles: finding one by the id that survives a rename."""

from helpers import backend

from c7n_iamguard.iam.principals import ROLE, USER
from sandbox.iam import entities as sandbox_iam


def test_a_user_on_a_later_page_is_found_by_id(fresh, monkeypatch):
    """Looking for an id reads all pages of the list; an id that nobody has is nobody."""
    monkeypatch.setattr(sandbox_iam, "MAX_PAGE_ITEMS", 1)
    last = list(backend(fresh).users.values())[-1]
    assert USER.by_id(fresh.client("iam"), last.id)["UserName"] == last.name
    assert USER.by_id(fresh.client("iam"), "AIDANOBODY") is None
    pages = [call for call in fresh.calls if call.action == "ListUsers"]
    assert len(pages) == 2 * len(backend(fresh).users)


def test_a_role_is_found_by_its_name_alone(fresh):
    """Nobody can rename a role, so that looking for its id finds nothing, and costs no call."""
    iam = fresh.client("iam")
    found = ROLE.by_name(iam, "iam-guard")
    fresh.calls.clear()
    assert ROLE.by_id(iam, found["RoleId"]) is None
    assert fresh.calls == []
