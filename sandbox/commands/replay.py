"""``python -m sandbox replay``: what would the guard have done with these CloudTrail logs?"""

import json
import sys
import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timezone
from tempfile import TemporaryDirectory

from moto.iam.models import iam_backends
from moto.utilities.utils import get_partition

from c7n_iamguard.aws_names import SERVICE_LINKED_PATH
from sandbox.cloudtrail import records
from sandbox.commands import guard, logs, report
from sandbox.commands.calls import Progress, load
from sandbox.commands.effects import TRUSTS_NOBODY, carry_out
from sandbox.commands.rows import (
    NOT_DELIVERED,
    READS,
    ROLES_NOT_JUDGED,
    UNREADABLE,
    Decided,
    Row,
    print_json,
    print_table,
    printable,
    progress,
)
from sandbox.events import rules
from sandbox.server import Sandbox

#: The containment takes calls back only if everything acts.
ACTING = {"observe_users": False, "observe_roles": False, "observe_containment": False}
#: What of moto's IAM is put back before the next account.
KEPT = ("users", "groups", "roles", "managed_policies")


# Who is meant to use IAM


@dataclass
class Meant:
    """The callers who are meant to use IAM.

    :param users: the names of users in the admin group, in lower case
    :param roles: roles as the policies take them: names, ARNs, and ``AWSReservedSSO_NAME_*``
    """

    users: set
    roles: list

    def roles_in(self, account, accounts):
        """Of the roles, those that a deployment in an account can name: a role has to exist there.

        :param accounts: all accounts of the logs; a role of one is made in all, so that they can share a deployment
        """
        names = {name for one in accounts for kind, name in one.principals if kind == "role"}
        arns = {who.arn for who in account.principals.values()}
        return tuple(role for role in self.roles if is_pattern(role) or role in arns or role.lower() in names)


def who_is_meant(admins, admin_roles, accounts):
    """The callers whom the command line names as meant to use IAM. A name that is not in the logs is warned of."""
    known = {"user": set(), "role": set()}
    for account in accounts:
        for (kind, name), who in account.principals.items():
            known[kind] |= {name, (who.arn or name).lower()}
    users, roles = names_in(admins, known["user"]), names_in(admin_roles, known["role"])
    for kind, names in (("user", users), ("role", roles)):
        for name in sorted(names):
            if name.lower() not in known[kind] and not is_pattern(name):
                progress(f"replay: warning: no {kind} named {printable(name)} calls IAM in these files")
    return Meant({name.lower() for name in users}, roles)


def names_in(words, known):
    """The names in words such as ``alice,bob``. IAM allows commas in names, so a known name is one."""
    named = ([word] if word.lower() in known else word.split(",") for word in words)
    return list(dict.fromkeys(filter(None, (name.strip() for names in named for name in names))))


def is_pattern(role):
    return "*" in role or "?" in role


# Replaying


def replay(accounts, calls, roles, meant, policies):
    """The calls of accounts that can share a deployment, through the guard in a sandbox of the first of them.

    :param accounts: each :class:`~sandbox.commands.calls.Account`
    :param calls: all :class:`~sandbox.commands.calls.Calls`
    :param roles: the roles that the policies name in these accounts, beside their own
    :param meant: :class:`Meant`
    :returns: a :class:`Row` per caller
    """
    home, rows = accounts[0], []
    with Sandbox(home.id, home.region) as sandbox, TemporaryDirectory() as folder:
        progress(f"{home.id}: deploying the guard at {sandbox.endpoint}; nothing leaves this machine")
        guard.deploy_stacks(sandbox, policies)
        people = People(sandbox, guard.admin_groups())
        listed = [role for role in guard.setting("admin_roles") if not is_pattern(role)]
        people.create_listed([*listed, *roles], accounts)
        contains = guard.contains(policies)
        settings = guard.settings_with(folder, roles, **(ACTING if contains else {}))
        guard.deploy_policies(sandbox, policies, settings=settings)
        people.keep()
        for account in accounts:
            people.create(account, meant.users)
            found, say = {}, Progress()
            for number, call in enumerate(calls.of(account.id), 1):
                key = (call.caller, call.type)
                row = found.setdefault(key, Row(account.id, *key))
                deliver(sandbox, call, people, row, contains)
                sandbox.calls.clear()  # the guard's own calls, which the sandbox notes for tests
                sandbox.pending.clear()
                sandbox.history.clear()
                say(f"{account.id}: {number} of {account.calls} calls to IAM replayed")
            progress(f"{account.id}: {account.calls} calls to IAM replayed")
            rows += found.values()
    return rows


class People:
    """The users and roles of one account after the other, made in moto: over HTTP, thousands take minutes."""

    def __init__(self, sandbox, groups):
        self.region, self.account = sandbox.region, sandbox.account
        self.backend = iam_backends[sandbox.account][get_partition(sandbox.region)]
        self.groups, self.made, self.kept = groups, {}, {}
        # Somebody has to be in the group: an account without any admin is no place to deploy the guard in.
        self.stand_in = self.backend.create_user(self.region, f"sandbox-{uuid.uuid4().hex}")
        for group in groups:
            self.backend.create_group(group)
            self.backend.add_user_to_group(group, self.stand_in.name)

    def create_listed(self, roles, accounts):
        """Make the roles that the policies will name; they are pinned when the policies are deployed."""
        listed = {role.rsplit("/", 1)[-1].lower() for role in roles}
        for account in accounts:
            for (kind, name), who in account.principals.items():
                if kind == "role" and name in listed:
                    self.create_role(who)
                    listed.discard(name)

    def create_role(self, who):
        return self.backend.create_role(who.name, TRUSTS_NOBODY, who.path or "/", None, "", [], None)

    def keep(self):
        self.kept = {name: getattr(self.backend, name).copy() for name in KEPT}

    def create(self, account, admins):
        """Make the users and roles of an account, in place of those of the account before."""
        for name, value in self.kept.items():
            setattr(self.backend, name, value.copy())
        for group in self.groups:
            self.backend.get_group(group).users[:] = [self.stand_in]
        self.own = {("role", role.name.lower()): role for role in self.backend.get_roles()}
        self.made = dict(self.own)
        for (kind, name), who in account.principals.items():
            if kind == "role" and (kind, name) not in self.made:
                self.made[kind, name] = self.create_role(who)
            elif kind == "user":
                self.made[kind, name] = self.backend.create_user(self.region, who.name, path=who.path)
                for group in self.groups if name in admins else ():
                    self.backend.add_user_to_group(group, who.name)

    def id_of(self, call):
        """The unique id under which the account knows a call's caller, who has the id of the log if possible.

        Roles that were there before keep theirs, be they the guard's own: policies know them by it. The id of
        another role stays that role's: logs that hide ids give all roles one.
        """
        made, unique_id = self.made[call.key], call.who.id
        if unique_id and call.key not in self.own:
            if call.who.kind == "user":
                made.id = unique_id
            elif unique_id not in self.backend.roles:
                self.backend.roles[unique_id] = self.backend.roles.pop(made.id)
                made.id = unique_id
        return made.id


def deliver(sandbox, call, people, row, contains=False):
    """Hand one call's event to EventBridge, and note in its caller's row what it led to.

    The event comes as if the call were made now: the guard looks twice at the caller of an event that is old,
    and the log's events were new in their time.

    :param contains: whether calls are taken back, so that what they gave has to be there
    """
    row.calls += 1
    event = {**call.event, "detail": dict(call.detail)}
    if call.time:
        event["detail"]["eventTime"] = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    if call.who:
        event["detail"]["userIdentity"] = call.identity_with(people.id_of(call))
    event = json.loads(json.dumps(event).replace(row.account, sandbox.account))
    decision = why = None
    problem = call.problem
    if call.who and call.who.id is None and guard.setting("exempt"):
        problem = "the caller's id is hidden, and iam-guard.yml exempts by id"
    if problem and not records.is_read(event):
        decision, why = UNREADABLE, f"unreadable: {problem}"
        row.decide(decision, why=why)
    elif row.settled:
        row.delivered += bool(rules.targets(event, sandbox.account, sandbox.region))
    elif invocations := sandbox.deliver(
        carry_out(sandbox, people.backend, event, call.who) if contains and call.who else event,
        region=sandbox.region,
    ):
        decision, why = row.add(invocations, call.who.kind if call.who else None)
    else:
        decision, why = NOT_DELIVERED, why_not_delivered(call)
        row.decide(decision, why=why)
    time, name, source = map(sys.intern, (call.time, call.name, call.source))
    row.decided.append(
        Decided(time, name, decision, why, call.error, source, call.is_about_self, call.invoked_by)
    )


def why_not_delivered(call):
    if records.is_read(call.event):
        return READS
    if call.event["source"] != "aws.iam":
        return f"no event of AWS, but of {call.event['source']}"
    if call.who is None:
        return f"{call.type} is no user or role"
    if (call.who.path or "").startswith(SERVICE_LINKED_PATH):
        return "a service-linked role"
    return ROLES_NOT_JUDGED if call.who.kind == "role" else "the policy's rule leaves it out"


def run(options):
    """Replay log files, print a row per caller, and return the exit status: 1 for a problem, 2 for no file."""
    policies = options.policy or [guard.POLICY, *([] if options.admin_role is None else [guard.ROLES_POLICY])]
    try:
        calls, bad = load(options.files)
    except logs.NoFile as reasons:
        progress(str(reasons))
        return 2
    accounts = [account for account in calls.accounts.values() if account.region]
    bad += [
        f"account {account.id}: the sandbox does not know which region of its partition gets IAM's events"
        for account in calls.accounts.values()
        if not account.region
    ]
    meant = who_is_meant(options.admin, options.admin_role or (), accounts)
    ids = [one for account in accounts for one, roles in account.roles.items() if len(roles) > 1]
    if ids:
        problem = f"several roles have the id {printable(ids[0])} in these files"
        progress(f"replay: warning: {problem}; each is known by its name alone")
    sharing = defaultdict(list)
    for account in accounts:
        sharing[account.region, meant.roles_in(account, accounts)].append(account)
    rows = []
    for (_, roles), some in sharing.items():
        rows += replay(some, calls, roles, meant, policies)
    if options.json:
        print_json(rows, options.calls)
    elif rows or not bad:
        print_table(rows, options.calls)
    if options.report:
        report.write(options.report, rows, bad)
        progress(f"replay: wrote {options.report}")
    failed = [row for row in rows if row.failure]
    for row in failed:
        progress(f"replay: the function failed on an event of {printable(f'{row.caller}: {row.failure}')}")
    for line in bad:
        progress(f"replay: {printable(line)}")
    unjudged = any(call.decision == UNREADABLE for row in rows for call in row.decided)
    return 1 if failed or bad or unjudged else 0
