"""The common part of the actions that decide about users and roles."""

import logging

from c7n.actions import EventAction
from c7n.exceptions import PolicyExecutionError

from c7n_iamguard.decisions import ANNOTATION, log_line
from c7n_iamguard.iam.client import map_threaded
from c7n_iamguard.iam.principals import kind_of
from c7n_iamguard.settings import PolicyOption, check_boolean, check_execution_mode, refuse, setting, where_is

log = logging.getLogger("c7n_iamguard")

#: The option ``observe``: several settings may fill it in.
OBSERVE_SCHEMA = {"type": ["boolean", "string", "array"]}


def observes(manager):
    """Whether an action of a policy decides and changes nothing."""
    return any(action.observes for action in manager.actions if isinstance(action, DecidingAction))


class DecidingAction(PolicyOption, EventAction):
    """An action that decides about each principal, and logs each decision."""

    @property
    def observes(self):
        """Whether the action decides and changes nothing: its option ``observe``, or one of several."""
        value = setting(self, "observe", False)
        return any(value) if isinstance(value, list) else value

    def check_observe(self):
        """Refuse an option ``observe`` that says neither yes nor no."""
        policy, where = self.manager.ctx.policy, where_is(self, "observe")
        check_execution_mode(policy)
        value = self.data.get("observe", False)
        if value == []:
            refuse(policy, where, "an empty list says neither yes nor no", "write true or false")
        for each in value if isinstance(value, list) else [value]:
            check_boolean(policy, where, each)

    @property
    def kind(self):
        """The :class:`~c7n_iamguard.iam.principals.Kind` of principal that the policy is about."""
        return kind_of(self.manager)

    def try_all(self, principals, attempt, purpose):
        """Do something to every principal, also if it fails for some, and return the records.

        :param attempt: a function of a principal that returns a record, None or the error that it met
        :param purpose: for the error's text, such as ``deny IAM to``
        :raises PolicyExecutionError: if any attempt failed, after all were made
        """
        outcomes = map_threaded(self, attempt, principals)
        failures = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        if failures:
            raise PolicyExecutionError(
                f"policy:{self.manager.ctx.policy.name} could not {purpose} {len(failures)} of "
                f"{len(principals)} {self.kind.name}s; each is in the log. The first: {failures[0]}"
            ) from failures[0]
        return [record for record in outcomes if record]

    def record_decision(self, verdict, principal, event, level=logging.INFO, **fields):
        """Log a decision about a principal, and annotate the principal with it."""
        fields = {key: value for key, value in fields.items() if value is not None}
        principal[ANNOTATION] = {"decision": verdict, **fields}
        if event is not None:
            setattr(event, "failed" if verdict == "failed" else "decided", True)
        policy, account = self.manager.ctx.policy.name, self.manager.config.account_id
        about = {"policy": policy, "account": account, self.kind.name: principal[self.kind.name_key]}
        level = logging.ERROR if verdict == "failed" else level
        log.log(level, log_line(verdict, event, **about, **fields))
