"""Cloud Custodian plugin that revokes unintended IAM access.

Importing the package loads nothing of c7n and nothing of boto3: :mod:`c7n_iamguard.autoload`
waits for c7n's IAM resources, :mod:`c7n_iamguard.handler` is the entry point in AWS Lambda.
"""

__version__ = "0.2.0"
