"""What the plugin adds to c7n: importing a module registers what is in it."""


    "admin_roles",
    "admins",
    "contain",
    "mode",
    "periodic",
    "protect",
    "restore",
    "revoke",
    "source",
    "tell",
    admin_roles,
    admins,
    calls,
    catch_up,
    mode,
    periodic,
    protect,
    restore,
    revoke,
    source,
    tell,
)
]
__all__ = [
from c7n_iamguard import (  # noqa: F401
from c7n_iamguard import admin_roles, admins, contain, mode, periodic, protect, restore, revoke, source, tell
