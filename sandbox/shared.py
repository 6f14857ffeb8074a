"""Clients and calls share what botocore and moto otherwise look up anew for each: it takes most of their time."""

import functools

import botocore.hooks
import botocore.httpsession
import botocore.regions
import botocore.session
import moto.backends
import moto.core.responses
import moto.core.utils
import yaml
from moto.cloudformation.utils import yaml_tag_constructor


def put_in_place():
    """Let clients share botocore's files and settings of TLS, and calls the lists of moto's modules and methods."""
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    botocore.httpsession.create_urllib3_context = functools.cache(botocore.httpsession.create_urllib3_context)
    aliased = functools.cache(botocore.hooks.EventAliaser(None)._alias_event_name)
    botocore.hooks.EventAliaser._alias_event_name = lambda self, name: aliased(name)
    make, made = botocore.regions.EndpointProvider, {}

    def provider(**parts):
        """The one for these parts: what the shared loader has read is always the same object."""
        key = tuple(map(id, parts.values()))
        if key not in made:
            made[key] = make(**parts), parts
        return made[key][0]

    botocore.regions.EndpointProvider = provider
    if yaml.__with_libyaml__:  # moto reads templates with Python's own, ten times as long
        yaml.CLoader.add_multi_constructor("", yaml_tag_constructor)
        yaml.Loader = yaml.CLoader
    moto.core.utils.create_loader = botocore.session.create_loader
    modules = set(moto.backends.list_of_moto_modules())
    moto.backends.list_of_moto_modules = lambda: modules
    moto.core.responses.method_names_from_class = functools.cache(moto.core.utils.method_names_from_class)
