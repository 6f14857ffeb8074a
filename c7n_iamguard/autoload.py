"""Loads the plugin as soon as c7n has loaded its IAM resources.

``c7n_iamguard.pth`` imports this module in every interpreter of the environment. So it imports nothing but
``sys``, and only puts a finder on ``sys.meta_path``. The finder acts once: as soon as ``c7n.resources.iam`` has
been imported, it imports :mod:`c7n_iamguard.plugin`. Stock ``custodian`` and ``c7n-org``, and their worker
processes, then know what the plugin adds. c7n itself loads no third-party plugins (cloud-custodian#6443).
"""

import sys

AWAITED = "c7n.resources.iam"


class PluginFinder:
    """A meta-path finder that finds nothing itself. It notices when :data:`AWAITED` is imported."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != AWAITED:
            return None
        uninstall()
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                break
        else:
            return None
        if spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module):
                load(module)
                load_plugin()

            spec.loader.exec_module = exec_module
        return spec


def load_plugin():
    """Import the plugin.

    If it cannot be imported, an error in the log says so, and all policies that do not use it go on working.
    """
    own = [module for name, module in sys.modules.items() if name.startswith("c7n_iamguard.")]
    # Skip while one of our own modules is importing c7n.resources.iam (circular import). Python marks a module
    # that is being imported in this private attribute; importlib itself relies on it.
    if any(getattr(module.__spec__, "_initializing", False) for module in own if module):
        return
    try:
        import c7n_iamguard.plugin  # noqa: F401
    except Exception:
        import logging

        logging.getLogger("c7n_iamguard").exception(
            "c7n_iamguard could not be loaded beside this c7n; policies that use it are refused"
        )


def install():
    """Put the finder in front of all others; a second call changes nothing."""
    if AWAITED not in sys.modules and PluginFinder not in sys.meta_path:
        sys.meta_path.insert(0, PluginFinder)


def uninstall():
    """Remove the finder."""
    if PluginFinder in sys.meta_path:
        sys.meta_path.remove(PluginFinder)


install()
