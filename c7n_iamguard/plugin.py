"""What the plugin adds to c7n: importing a module registers what is in it."""

from c7n_iamguard import (  # noqa: F401
    admin_roles,
    admins,
    calls,
    catch_up,
    contain,
    mode,
    periodic,
    protect,
    restore,
    revoke,
    source,
    tell,
)
