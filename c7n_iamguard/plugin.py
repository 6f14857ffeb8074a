"""What the plugin adds to c7n, in one list: importing a room registers what is in it."""

from c7n_iamguard import actions, filters, mode, source

__all__ = ["actions", "filters", "mode", "source"]
