"""``python -m sandbox preview``: the page of what a preview found."""

import json

import pytest
from helpers import PREVIEW
from test_replay_report import HOSTILE, Page

from sandbox.__main__ import main

ROLES = f"{PREVIEW}-of-roles"


@pytest.fixture
def output(tmp_path):
    """``output(account, policy, …)``: what a preview leaves, as c7n-org does."""

    def write(account, policy, *users):
        folder = tmp_path / "output" / account / "us-east-1" / policy
        folder.mkdir(parents=True)
        (folder / "resources.json").write_text(json.dumps(users))
        return folder / "resources.json"

    return write


def found(kind, name, account="111122223333", **more):
    return {f"{kind.title()}Name": name, "Arn": f"arn:aws:iam::{account}:{kind}/{name}", **more}


def test_the_page_names_users_and_roles_of_all_accounts(output, tmp_path):
    """Accounts in which nobody was found count, other policies' output does not, and names are only text."""
    output("production", PREVIEW, found("user", "bob", GroupList=["devs"]), found("user", HOSTILE))
    output(
        "production",
        ROLES,
        found("role", "github-deploy"),
        found("role", "AWSReservedSSO_Ops_0123456789abcdef"),
    )
    output("staging", PREVIEW, found("user", "bob", "444455556666"))
    output("empty", PREVIEW)
    output("empty", "report-iam-calls", found("user", "ada"))
    assert main(["preview", str(tmp_path / "output"), str(tmp_path / "page.html")]) == 0
    page = Page((tmp_path / "page.html").read_text())
    assert (
        "3 users and 2 roles of 3 accounts are not meant to use IAM, and used it in the last 90" in page.text
    )
    assert "in no admin group, but in devs" in page.text
    assert "bob in 444455556666" in page.text
    assert "admin_roles: - github-deploy" in page.text
    assert "AWSReservedSSO_Ops_*" in page.text
    assert HOSTILE in page.text
    assert "ada" not in page.text.split()
    assert not page.dangerous
    assert "the calls" not in page.text


def test_what_cannot_be_read_is_named_and_the_rest_counts(output, tmp_path, capsys):
    """A damaged output makes the exit status 1; a folder without any is no preview, and makes it 2."""
    output("production", PREVIEW, found("user", "bob"))
    output("staging", PREVIEW).write_text("[{")
    page = tmp_path / "page.html"
    assert main(["preview", str(tmp_path / "output"), str(page)]) == 1
    assert "1 user and 0 roles of 2 accounts" in page.read_text()
    assert "staging" in page.read_text()
    assert "staging" in capsys.readouterr().err
    assert main(["preview", str(tmp_path / "output" / "nothing"), str(page)]) == 2
    assert "no output of preview-unintended-iam-access" in capsys.readouterr().err


def test_the_output_of_a_real_preview_makes_a_page(fresh, user, custodian, tmp_path):
    """What stock custodian writes for a preview is what the page is made of."""
    user("mallory").iam.list_users()
    custodian(PREVIEW)
    assert main(["preview", str(tmp_path), str(tmp_path / "page.html")]) == 0
    assert "mallory" in (tmp_path / "page.html").read_text()
