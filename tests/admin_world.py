"""A small IAM with names: it refuses what IAM refuses, and keeps a record of each call. Pure."""

import itertools

from admin_model import ROOT, Call, is_trusted, record

from c7n_iamguard.admins.membership import Membership

ADMINS, OTHER = "AGPAADMINS", "AGPAOTHER"
USER_NAMES, GROUP_NAMES = ("ada", "eve", "mallory", "friend", "x"), ("admins", "other", "y")


class World:
    """IAM, as far as groups go: it refuses what IAM refuses, and keeps a record of what it does."""

    def __init__(self, admins):
        self.users = {f"AIDA{name.upper()}": name for name in USER_NAMES[:4]}
        self.groups = {ADMINS: "admins", OTHER: "other"}
        self.members = {(ADMINS, f"AIDA{name.upper()}") for name in admins}
        #: The ids of the real admins; and who called when, as (id, second), by whether they were admins before it.
        self.admins, self.callers = {user for _, user in self.members}, {True: set(), False: set()}
        self.ids, self.records, self.calls, self.second = set(self.users), [], [], 0

    def act(self, next_second, caller, what, one, other):
        """One call, if it is possible: the numbers choose who makes it, about which user, and the rest."""
        self.second += next_second
        caller = [*self.users, ROOT][caller % (len(self.users) + 1)]
        caller_name, is_admin = self.users.get(caller, ROOT), caller == ROOT or caller in self.admins
        call = getattr(self, what)(sorted(self.users)[one % len(self.users)], other)
        if call:
            event_name, parameters, changed, elements = call
            call_record = record(self.second, caller_name, event_name, caller, **parameters)
            self.records.append(call_record | {"responseElements": elements})
            self.callers[is_admin].add((caller, self.second))
            if changed:
                self.calls.append(Call(self.second, caller, *changed))
            if event_name == "AddUserToGroup" and changed and is_admin:
                self.admins.add(changed[1])

    def add(self, user, other):
        group = (ADMINS, ADMINS, OTHER)[other % 3]
        self.members.add((group, user))
        return "AddUserToGroup", *self.about(group, user, "add")

    def remove(self, user, other):
        group = (ADMINS, ADMINS, OTHER)[other % 3]
        self.members.discard((group, user))
        self.admins -= {user} if group == ADMINS else set()
        return "RemoveUserFromGroup", *self.about(group, user, "remove")

    def about(self, group, user, what):
        changed = (what, user, group) if group == ADMINS else None
        return {"groupName": self.groups[group], "userName": self.users[user]}, changed, None

    def rename_group(self, user, other):
        group, new = (ADMINS, OTHER)[other // 3 % 2], GROUP_NAMES[other % 3]
        if new in self.groups.values():
            return None
        old, self.groups[group] = self.groups[group], new
        return "UpdateGroup", {"groupName": old, "newGroupName": new}, None, None

    def rename_user(self, user, other):
        new = USER_NAMES[other % 5]
        if new in self.users.values():
            return None
        old, self.users[user] = self.users[user], new
        return "UpdateUser", {"userName": old, "newUserName": new}, None, None

    def move_user(self, user, other):
        name = self.users[user]
        parameters = {"userName": name, "newUserName": name.upper(), "newPath": f"/{other}/"}
        return "UpdateUser", parameters, None, None

    def create_user(self, user, other):
        new = USER_NAMES[other % 5]
        if new in self.users.values():
            return None
        unique_id = f"AIDANEW{len(self.records)}"
        self.users[unique_id] = new
        self.ids.add(unique_id)
        elements = {"user": {"userName": new, "userId": unique_id}}
        return "CreateUser", {"userName": new}, ("create", unique_id), elements

    def delete_user(self, user, other):
        if len(self.users) < 3 or any(member == user for _, member in self.members):
            return None
        return "DeleteUser", {"userName": self.users.pop(user)}, None, None

    @property
    def admin_members(self):
        return {pair for pair in self.members if pair[0] == ADMINS}

    def membership(self, seconds=1000):
        """The replay of the records, out of their order, if there is time for so many seconds of names."""
        asked, groups = itertools.count(), {ADMINS: self.groups[ADMINS]}
        return Membership(
            self.records[::-1], groups, self.users, self.admin_members, is_trusted,
            lambda: next(asked) >= seconds,
        )  # fmt: skip
