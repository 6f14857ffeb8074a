"""Loads the plugin as soon as c7n has loaded its IAM resources.

``c7n_iamguard.pth`` imports this module in every interpreter of the environment, so it imports
nothing but ``sys`` and only puts a finder on ``sys.meta_path``. That finder acts once: when
``c7n.resources.iam`` is imported, :mod:`c7n_iamguard.plugin` is imported right behind it. Stock
``custodian`` and ``c7n-org``, and their worker processes, then know what the plugin adds.
c7n itself loads no third-party plugins (cloud-custodian#6443).
"""

import sys

AWAITED = "c7n.resources.iam"


class PluginFinder:
    """A meta-path finder that finds nothing itself, and sees :data:`AWAITED` being imported."""

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
    """Import the plugin, unless one of its rooms is what imports c7n's IAM resources just now.

    If it cannot be imported, other policies must go on working: say so, once.
    """
    rooms = [module for name, module in sys.modules.items() if name.startswith("c7n_iamguard.")]
    if any(getattr(room.__spec__, "_initializing", False) for room in rooms if room):
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
    """Take the finder off again."""
    if PluginFinder in sys.meta_path:
        sys.meta_path.remove(PluginFinder)


install()
