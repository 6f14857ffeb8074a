"""Users and roles: finding one by the id that survives a rename."""

import pytest
from helpers import backend

from c7n_iamguard.principals import ROLE, USER
from sandbox import iam as sandbox_iam


def test_a_user_on_a_later_page_is_found_by_id(fresh, monkeypatch):
    """Looking for an id reads all pages of the list; an id that nobody has is nobody."""
    monkeypatch.setattr(sandbox_iam, "MAX_PAGE_ITEMS", 1)
    last = list(backend(fresh).users.values())[-1]
    assert USER.by_id(fresh.client("iam"), last.id)["UserName"] == last.name
    assert USER.by_id(fresh.client("iam"), "AIDANOBODY") is None
    pages = [call for call in fresh.calls if call.action == "ListUsers"]
    assert len(pages) == 2 * len(backend(fresh).users)


@pytest.mark.parametrize(("kind", "name"), [(USER, "bob"), (ROLE, "iam-guard")])
def test_a_principal_is_found_by_name_and_by_id(fresh, kind, name):
    """Both ways lead to the same user or role; a name that nobody has is nobody."""
    iam = fresh.client("iam")
    found = kind.by_name(iam, name)
    assert kind.by_id(iam, found[kind.id_key])["Arn"] == found["Arn"]
    assert kind.by_name(iam, "nobody") is None
