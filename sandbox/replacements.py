"""The replacements of moto's methods while a sandbox runs."""

import inspect
from contextlib import ExitStack
from unittest.mock import patch

#: What is replaced, as (class or module, name, what stands in for it).
REPLACEMENTS = []


def replaces(owner, *names):
    """Have a function stand in for methods of moto's, or add them: of its own name, if none is given.

    Its attribute ``original`` is the method of moto's. Class methods and properties stay what they are.
    """

    def register(function):
        for name in names or (function.__name__,):
            original = inspect.getattr_static(owner, name, None)
            wrap = type(original) if isinstance(original, classmethod | property) else lambda it: it
            REPLACEMENTS.append((owner, name, wrap(function)))
        function.original = original.fget if isinstance(original, property) else getattr(owner, name, None)
        return function

    return register


def put_in_place():
    """Replace all of it, until the context that this returns ends."""
    with ExitStack() as stack:
        for owner, name, replacement in REPLACEMENTS:
            stack.enter_context(patch.object(owner, name, replacement, create=True))
        return stack.pop_all()
