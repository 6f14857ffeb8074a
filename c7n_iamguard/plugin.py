"""The plugin's additions to c7n: importing a module registers what is in it."""

from c7n_iamguard import errors
from c7n_iamguard.admins import filters, protect_group, remove_from_group  # noqa: F401
from c7n_iamguard.contain import action  # noqa: F401
from c7n_iamguard.function import event_mode, schedule_mode  # noqa: F401
from c7n_iamguard.history import catch_up, iam_calls  # noqa: F401
from c7n_iamguard.iam import authorization_details  # noqa: F401
from c7n_iamguard.notify import put_event  # noqa: F401
from c7n_iamguard.revoke import carried, restore, revoke  # noqa: F401

errors.log_refusals_in_one_sentence()
