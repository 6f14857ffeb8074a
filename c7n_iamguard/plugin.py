"""What the plugin adds to c7n: importing a module registers what is in it."""

from c7n_iamguard import admin_roles, admins, contain, mode, periodic, protect, restore, revoke, source, tell

__all__ = [
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
]
