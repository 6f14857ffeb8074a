"""The rooms of the plugin, and which of them may use which."""

import ast
import functools
import sys

import pytest
from helpers import ROOT

PACKAGE = ROOT / "c7n_iamguard"
#: The floors, the lowest first. A room uses rooms of lower floors, and a folder's files use each other.
FLOORS = (
    ("aws_names", "errors", "event"),
    ("decisions", "settings"),
    ("iam",),
    ("admins",),
    ("function", "notify", "revoke"),
    ("contain", "history"),
    ("plugin",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
#: The Lambda's entry point imports what it needs by itself, so that each import has its price.
ENTRY = {
    "handler": {"aws_names", "cold_start", "decisions", "errors", "iam", "settings"},
    "cold_start": set(),
    "autoload": set(),
}
FILES = {file.relative_to(PACKAGE).with_suffix("").as_posix(): file for file in PACKAGE.rglob("*.py")}


def modules_in(tree):
    """The modules of the plugin that a module imports, also within functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "c7n_iamguard":
            for name in node.names:
                path = "/".join([*node.module.split(".")[1:], name.name])
                yield path if path in FILES else path.rpartition("/")[0]
        elif isinstance(node, ast.Import):
            yield from (
                "/".join(n.name.split(".")[1:]) for n in node.names if n.name.startswith("c7n_iamguard.")
            )


@functools.cache
def uses():
    """The modules of the plugin that each of them imports, by name."""
    return {name: set(modules_in(ast.parse(file.read_text()))) - {""} for name, file in FILES.items()}


def room(module):
    """The room of a module: its folder, or the module itself."""
    return module.split("/")[0]


@pytest.mark.parametrize("module", sorted(set(FILES) - {"__init__"}))
def test_a_room_uses_the_rooms_below_it_alone(module):
    """A module imports its own folder and lower floors; capabilities do not import each other."""
    used = {room(name) for name in uses()[module]} - {room(module)}
    if room(module) in ENTRY:
        assert used <= ENTRY[room(module)]
    else:
        assert not [name for name in used if FLOOR[name] >= FLOOR[room(module)]]


def test_no_modules_import_each_other_in_a_circle():
    """The imports can be walked through to the end from every module."""
    left = dict(uses())
    while left:
        free = [module for module, used in left.items() if not used & set(left)]
        assert free, f"a circle among {sorted(left)}"
        for module in free:
            del left[module]


def test_every_module_has_its_test_file():
    """tests/plugin mirrors the plugin's folders, and no two test files have one name."""
    files = [file.relative_to(ROOT / "tests").as_posix() for file in (ROOT / "tests").rglob("test_*.py")]
    modules = [file.relative_to(PACKAGE) for file in FILES.values() if not file.name.startswith("__")]
    assert {f"plugin/{file.with_name(f'test_{file.name}').as_posix()}" for file in modules} <= set(files)
    names = [file.rpartition("/")[2] for file in files]
    assert len(names) == len(set(names))


def test_the_plugin_imports_nothing_but_its_dependencies():
    """Whoever installs c7n and boto3 has all that it imports; dateutil is botocore's."""
    imported = set()
    for file in FILES.values():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                imported.add(node.module)
            elif isinstance(node, ast.Import):
                imported |= {name.name for name in node.names}
    packages = {name.split(".")[0] for name in imported}
    assert packages - sys.stdlib_module_names == {"c7n_iamguard", "c7n", "botocore", "dateutil"}
