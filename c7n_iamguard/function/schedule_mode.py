"""``periodic`` mode for the guard's catch-ups: every decision is logged, and errors fail the run.

The mode registered here is c7n's own, under its own name; it acts differently for policies of the guard alone.
"""

import logging

from c7n.policy import PeriodicMode, execution
from c7n.utils import dumps

from c7n_iamguard.decisions import log_line
from c7n_iamguard.function.checks import FUNCTION, check_admins_pass, check_mode
from c7n_iamguard.function.deployment import GuardedFunction

log = logging.getLogger("c7n_iamguard")


@execution.register("periodic")
class GuardedPeriodicMode(GuardedFunction, PeriodicMode):
    """A policy that runs in pull mode within lambda.

    Runs Custodian in AWS lambda at user defined cron interval using EventBridge rules. For a policy of the guard,
    the mode fills in what the policy leaves out, the ids of the admins are pinned when it is deployed, and a run
    that fails is logged. For all other policies, c7n's own mode does what it always does.
    """

    def validate(self):
        """Check the settings of a guarded policy, beside c7n's own checks.

        :raises PolicyValidationError: naming the policy, the key and the fix
        """
        super().validate()
        if self.guarded:
            check_mode(self.policy, FUNCTION)
            check_admins_pass(self.policy)

    def run(self, event, lambda_context=None):
        """Run the policy; if it is guarded, a run that fails leaves a line in the log.

        :raises Exception: whatever went wrong, so that Lambda tries it again
        """
        if not self.guarded:
            return super().run(event, lambda_context)
        try:
            return self.run_all()
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            account = self.policy.options.account_id
            log.error(log_line("failed", None, policy=self.policy.name, account=account, reason=reason))
            raise

    def run_all(self):
        """Run the policy over the account; an action that fails for somebody does not keep others from being told.

        :returns: those whom the filters left
        :raises Exception: the first error of any action, after all have run
        """
        policy, errors = self.policy, []
        if not policy.is_runnable():
            return []
        with policy.ctx as ctx:
            principals = policy.resource_manager.resources()
            ctx.output.write_file("resources.json", dumps(principals, indent=2))
            for action in policy.resource_manager.actions if principals else ():
                try:
                    ctx.output.write_file(f"action-{action.name}", dumps(action.process(principals)))
                except Exception as error:
                    errors.append(error)
        if errors:
            raise errors[0]
        return principals
