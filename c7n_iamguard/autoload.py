"""Loads the plugin as soon as c7n has loaded what it belongs to. c7n loads no plugins (cloud-custodian#6443).

``c7n_iamguard.pth`` imports this module in every interpreter of the environment. So the module imports nothing but
``sys``, and only puts a finder on ``sys.meta_path``. When an interpreter has imported one of c7n's modules in
:data:`AWAITED`, the finder imports our module that belongs to it. So stock ``custodian`` and ``c7n-org``, and their
worker processes, know what the plugin adds.
"""

import sys

#: c7n's modules, and what to import as soon as each has been imported.
AWAITED = {
    "c7n.resources.iam": "c7n_iamguard.plugin",
    "c7n.resources.awslambda": "c7n_iamguard.history.health",
}


class PluginFinder:
    """A meta-path finder that finds nothing itself. It notices when a module in :data:`AWAITED` is imported."""

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in AWAITED:
            return None
        specs = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not cls)
        spec = next(filter(None, specs), None)
        if spec and spec.loader:
            load = spec.loader.exec_module

            def exec_module(module):
                load(module)
                load_plugin(AWAITED[name])

            spec.loader.exec_module = exec_module
        return spec


def load_plugin(name):
    """Import a module of the plugin. If that fails, log it: policies that do not use the plugin still work."""
    own = [module for known, module in sys.modules.items() if known.startswith("c7n_iamguard.")]
    # Skip while one of our own modules is importing c7n's (circular import). Python marks a module that is being
    # imported in this private attribute; importlib itself relies on it.
    if any(getattr(module.__spec__, "_initializing", False) for module in own if module):
        return
    try:
        __import__(name)
    except Exception:
        import logging

        logging.getLogger("c7n_iamguard").exception(
            "c7n_iamguard could not be loaded beside this c7n; policies that use it are refused"
        )


if PluginFinder not in sys.meta_path and not AWAITED.keys() <= sys.modules.keys():
    sys.meta_path.insert(0, PluginFinder)
