"""The finder in every interpreter of the environment, by which c7n finds the plugin."""

import subprocess
import sys

import pytest


def interpreter(code, *arguments):
    return subprocess.run([sys.executable, *arguments, "-c", code], capture_output=True, text=True)


def test_the_hook_imports_nothing_of_c7n():
    """An interpreter of the environment starts with the finder in place and no c7n, boto3 or logging."""
    run = interpreter(
        "import sys; print([m for m in sys.modules if m.split('.')[0] in"
        " ('c7n', 'boto3', 'botocore', 'logging', 'importlib.abc')], 'c7n_iamguard.autoload' in sys.modules)"
    )
    assert run.stdout == "[] True\n", run.stderr


def test_the_plugin_is_there_as_soon_as_c7ns_resources_are():
    """Importing c7n's resources registers what belongs to them, with no import of ours in between."""
    of_users = "from c7n.resources.iam import User; print('revoke-iam-access' in User.action_registry.keys())"
    of_functions = (
        "from c7n.resources.awslambda import AWSLambda as F; print('iam-guard-health' in F.filter_registry)"
    )
    run = interpreter(f"{of_users}\n{of_functions}")
    assert run.stdout == "True\nTrue\n", run.stderr


def test_a_plugin_that_cannot_be_loaded_leaves_c7n_alone():
    """With a c7n that the plugin does not fit, c7n's IAM resources load, and a message says what is wrong."""
    run = interpreter(
        "import sys; sys.modules['c7n_iamguard.plugin'] = None\n"
        "from c7n.resources.iam import User; print('set-groups' in User.action_registry.keys())"
    )
    assert run.stdout == "True\n"
    assert "c7n_iamguard could not be loaded" in run.stderr


@pytest.mark.parametrize("module", ["iam.principals", "revoke.revoke"])
def test_a_module_of_the_plugin_can_be_imported_by_itself(module):
    """Importing one of our own modules first, which imports c7n's IAM resources, is no circular import."""
    run = interpreter(f"import c7n_iamguard.{module}; print('imported')")
    assert (run.stdout, run.stderr) == ("imported\n", "")
