"""The commands that a person can run after a decision, and the sentences that tell what happened. Pure.

Both go into mails. So they hold no text that a caller could have written, such as a user agent or parameters.
``noted`` is the decision, as the actions noted it.
"""

import re
from collections.abc import Sequence
from typing import Any

from c7n.utils import get_partition  # type: ignore

from c7n_iamguard.aws_names import IDENTITY_CENTER_PATH, SERVICE_LINKED_PATH

#: The policy file that gives IAM back to users and roles.
RESTORE = "policies/restore-iam-access.yml"
#: A name that needs no quotes in the AWS CLI's shorthand. EventBridge does not escape the quotes in a mail.
PLAIN_NAME = re.compile(r"[\w+=.@-]{1,64}", re.ASCII)
#: The ways in which IAM can be denied, in words.
FORMS = {"managed": "a managed policy", "inline": "an inline policy", "boundary": "a permissions boundary"}
#: The subject of a call, as the guard writes it.
PLAIN_TARGET = re.compile(r"(?:user|role|group) [\w+=,.@-]{1,128}", re.ASCII)
#: A command that holds only names and ARNs. A caller can write documents and addresses.
PLAIN_COMMAND = re.compile(r"aws iam(?: (?:file://)?(?!\S*://)[\w+=,.@/:-]+)+", re.ASCII)


def restore_command(about: dict[str, str], noted: dict[str, Any], region: str) -> str:
    """The command that gives back what the guard took from a user or role; empty if it took nothing."""
    name = f"--{about['type']}-name" + ("=" if about["name"].startswith("-") else " ") + about["name"]
    if noted["decision"] == "acted":
        groups = noted.get("groups") or []
        return " && ".join(f"aws iam add-user-to-group --group-name {group} {name}" for group in groups)
    if noted["decision"] == "contained":
        return plain(noted.get("reverse"))
    if noted["decision"] != "revoked" or denied_before(noted):
        return ""
    return (
        f"aws iam tag-{about['type']} {name} --tags Key=iam-guard,Value=restore && "
        f"custodian run -s output -r {region} {RESTORE}"
    )


def plain(commands: Sequence[str] | None) -> str:
    """The first of some commands, if a mail may hold it; empty if not, and if there is none."""
    first = next(iter(commands or ()), "")
    return first if PLAIN_COMMAND.fullmatch(first) else ""


def denied_before(noted: dict[str, Any]) -> bool:
    """Whether the principal's own boundary denied IAM already, so that nothing was taken."""
    return str((noted.get("rungs") or {}).get("boundary", "")).startswith("kept ")


def contain_command(
    called: dict[str, str], path: str, session: str, region: str, account: str, directory: str | None = None
) -> str:
    """The command of AWS's runbook that stops a caller from doing anything at all; empty if the runbook cannot.

    Behind a role of Identity Center is a person, whose name is the session's. No caller chooses that name. The
    command is for the account of Identity Center, which is ``directory`` if the call tells it. The role
    ``iam-guard-response`` of ``account`` may read what the runbook saves before it acts.
    """
    kind, name, where = f"IAM {called['type']}", called["name"], ""
    if path.startswith(IDENTITY_CENTER_PATH):
        kind, name = "Identity Center user", session
        where = f" # in account {directory}" if directory else " # in the account of your Identity Center"
    if path.startswith(SERVICE_LINKED_PATH) or not PLAIN_NAME.fullmatch(name):
        return ""
    return (
        f"aws ssm start-automation-execution --region {region} --document-name AWSSupport-ContainIAMPrincipal "
        f"--parameters 'PrincipalType={kind},PrincipalName={name},Action=Contain,DryRun=false,"
        f"BackupS3BucketAccess=arn:{get_partition(region)}:iam::{account}:role/iam-guard-response'{where}"
    )


def sentences(detail: dict[str, Any], noted: dict[str, Any]) -> str:
    """The story of a decision, for somebody who has never heard of the guard."""
    caller, call, account = detail["caller"], detail["call"], detail["account"]
    alias = f" ({account['alias']})" if account["alias"] else ""
    text = f"The IAM {caller['type']} {caller['name']} in account {account['id']}{alias}"
    late = "; it learned of the call late, from CloudTrail's event history" if detail["late"] else ""
    if detail["groups"] and not call["eventName"]:
        return f"{text} was added to the admin group by somebody who was no admin. {outcome(detail, noted)}{late}."
    if call["eventName"]:
        text += f" {'tried to call' if call['errorCode'] else 'called'} {call['eventName']}"
        text += f" from {call['sourceIPAddress']}" if call["sourceIPAddress"] else ""
        text += f" at {call['eventTime']}," if call["eventTime"] else ""
        text += " and"
    return f"{text} is not meant to use IAM. {outcome(detail, noted)}{late}."


def outcome(detail: dict[str, Any], noted: dict[str, Any]) -> str:
    """The guard's answer to a call, without the full stop."""
    name, decision, groups = detail["principal"]["name"], detail["decision"], ", ".join(detail["groups"])
    target = noted.get("target") or ""
    gift = f"what the call gave{f' ({target})' if PLAIN_TARGET.fullmatch(target) else ''}"
    result = detail["containment"]["result"]
    if decision == "revoked" and denied_before(noted):
        return f"iam-guard changed nothing: {name} has a permissions boundary that denies IAM already"
    if decision.startswith("would-"):
        would = f"have denied {name} IAM" if decision == "would-revoke" else f"have taken back {gift}"
        would = f"have removed {name} from the admin group {groups}" if groups else would
        return f"iam-guard only observes, and changed nothing: it would {would}"
    did = {
        "revoked": f"denied {name} IAM by {FORMS.get(detail['how'], detail['how'])}",
        "acted": f"removed {name} from the admin group {groups}",
        "cannot-revoke": f"cannot deny {name} IAM: only AWS can change this role, so {next_step(detail)}",
        "contained": f"took back {gift}{result and f': {result}'}",
        "left": f"did not take back {gift}: a person has to decide",
    }
    return f"iam-guard {did[decision]}"


def next_step(detail: dict[str, Any]) -> str:
    """The next step if the guard cannot deny a role IAM: the security account may deny its person, by an SCP."""
    if detail["observed"] or IDENTITY_CENTER_PATH not in detail["principal"]["arn"]:
        return "a person has to act"
    return (
        "it asks the security account to deny the person; if no message says that it did, a person has to act"
    )
