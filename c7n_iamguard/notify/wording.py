"""What a person can do about a decision, as commands, and what happened, as sentences. Pure.

Both go into mails. So they hold no text that a caller could have written, such as a user agent or parameters.
"""

import re

from c7n_iamguard.aws_names import IDENTITY_CENTER_PATH, SERVICE_LINKED_PATH

#: The policy file that gives IAM back to users and roles.
RESTORE = "policies/restore-iam-access.yml"

#: A name that the shorthand of AWS's command line takes as it is. A command in a mail has no double quotes and no
#: backslashes, because EventBridge does not escape them.
PLAIN_NAME = re.compile(r"[\w+=.@-]{1,64}", re.ASCII)

#: Whom or what a call was about, as the guard writes it.
PLAIN_TARGET = re.compile(r"(?:user|role|group) [\w+=,.@-]{1,128}", re.ASCII)

#: A command of the guard's that holds nothing but names and ARNs. Documents and addresses are a caller's text.
PLAIN_COMMAND = re.compile(r"aws iam(?: (?:file://)?(?!\S*://)[\w+=,.@/:-]+)+", re.ASCII)


def restore_command(about, decided, region):
    """The command that gives back what was taken; empty if nothing was.

    :param about: whom it was taken from: ``type`` and ``name``
    :param decided: what was decided, as the actions noted it
    """
    name = f"--{about['type']}-name" + ("=" if about["name"].startswith("-") else " ") + about["name"]
    if decided["decision"] == "acted":
        groups = decided.get("groups") or []
        return " && ".join(f"aws iam add-user-to-group --group-name {group} {name}" for group in groups)
    if decided["decision"] == "contained":
        return plain(decided.get("reverse"))
    if decided["decision"] != "revoked" or denied_before(decided):
        return ""
    return (
        f"aws iam tag-{about['type']} {name} --tags Key=iam-guard,Value=restore && "
        f"custodian run -s output -r {region} {RESTORE}"
    )


def repair_command(decided):
    """The command that repairs what the guard left to a person; empty if it left nothing."""
    return plain(decided.get("commands")) if decided["decision"] == "left" else ""


def contain_target_command(decided):
    """The command of AWS's runbook for the user or role that a call was about, which the guard left to a person."""
    commands = decided.get("commands") or ()
    return next((command for command in commands if command.startswith("aws ssm ")), "")


def plain(commands):
    """The first of some commands, if a mail may hold it; empty if not, and if there is none."""
    first = next(iter(commands or ()), "")
    return first if PLAIN_COMMAND.fullmatch(first) else ""


def denied_before(decided):
    """Whether the principal's own boundary denied IAM already, so that nothing was taken."""
    return str((decided.get("rungs") or {}).get("boundary", "")).startswith("kept ")


def contain_command(called, path, session, region, reader, directory=None):
    """The command that stops a caller from doing anything at all; empty if AWS's runbook cannot.

    Behind a role of Identity Center is a person. Their name is the session's: there no caller chooses it. The
    command is for the account of the Identity Center instance.

    :param called: the caller: ``type`` and ``name``
    :param path: the caller's path
    :param reader: the ARN of who may read what the runbook saves before it acts
    :param directory: the id of the account that the person's Identity Center is in, if the call tells it
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
        f"BackupS3BucketAccess={reader}'{where}"
    )


def sentences(found, decided):
    """What happened, for somebody who has never heard of the guard.

    :param found: the event's detail, without this
    :param decided: what was decided, as the actions noted it
    """
    called, made = found["caller"], found["call"]
    alias = f" ({found['account']['alias']})" if found["account"]["alias"] else ""
    said = f"The IAM {called['type']} {called['name']} in account {found['account']['id']}{alias}"
    late = "; it learned of the call late, from CloudTrail's event history" if found["late"] else ""
    if found["groups"] and not made["eventName"]:
        return f"{said} was added to the admin group by somebody who was no admin. {outcome(found, decided)}{late}."
    if made["eventName"]:
        said += f" {'tried to call' if made['errorCode'] else 'called'} {made['eventName']}"
        said += f" from {made['sourceIPAddress']}" if made["sourceIPAddress"] else ""
        said += f" at {made['eventTime']}," if made["eventTime"] else ""
        said += " and"
    return f"{said} is not meant to use IAM. {outcome(found, decided)}{late}."


def outcome(found, decided):
    """What the guard did about a call, without the full stop."""
    name, decision, groups = found["principal"]["name"], found["decision"], ", ".join(found["groups"])
    if decision == "revoked" and denied_before(decided):
        return f"iam-guard changed nothing: {name} has a permissions boundary that denies IAM already"
    if decision == "revoked":
        form = {
            "managed": "a managed policy",
            "inline": "an inline policy",
            "boundary": "a permissions boundary",
        }
        return f"iam-guard denied {name} IAM by {form[found['how']]}"
    if decision == "acted":
        return f"iam-guard removed {name} from the admin group {groups}"
    if decision == "cannot-revoke":
        return f"iam-guard cannot deny {name} IAM: only AWS can change this role, so somebody has to act"
    target = decided.get("target") or ""
    gave = f"what the call gave{f' ({target})' if PLAIN_TARGET.fullmatch(target) else ''}"
    if decision == "contained":
        result = found["containment"]["result"]
        return f"iam-guard took back {gave}{result and f': {result}'}"
    if decision == "left":
        return f"iam-guard did not take back {gave}: somebody has to look"
    would = {
        "would-revoke": f"have denied {name} IAM",
        "would-contain": f"have taken back {gave}",
    }[decision]
    if groups:
        would = f"have removed {name} from the admin group {groups}"
    return f"iam-guard only observes, and changed nothing: it would {would}"
