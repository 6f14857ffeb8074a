"""What a request is about: the ARN of its resource, for the services that a test of the guard calls."""

from moto.iam.models import iam_backends

from sandbox.organizations import scps

#: The parameters by which IAM's calls name what they are about, in the order in which they count.
IAM_NAMES = (
    ("GroupName", "group", "groups"),
    ("InstanceProfileName", "instance-profile", "instance_profiles"),
    ("RoleName", "role", "roles"),
    ("UserName", "user", "users"),
)
#: The parameters that are an ARN themselves.
IAM_ARNS = ("PolicyArn", "Arn", "SAMLProviderArn", "OpenIDConnectProviderArn", "PolicySourceArn")
#: Calls that are about the calling user if they name nobody.
OWN = (
    "AccessKey",
    "SSHPublicKey",
    "SigningCertificate",
    "ServiceSpecificCredential",
    "MFADevice",
    "Password",
)


def resource_of(request):
    """The ARN that a request is about, ``*`` if none; a list where it is about several.

    :param request: a :class:`~sandbox.requests.Request`
    """
    find = FINDERS.get(request.service)
    return (find and find(request)) or "*"


def _iam(request):
    params, prefix = request.params, f"arn:{request.partition}:iam::{request.account}:"
    for key, kind, holder in IAM_NAMES:
        if key in params:
            entity = entity_of(request, holder, params[key])
            path = entity.path if entity else params.get("Path") or "/"
            return f"{prefix}{kind}{path}{params[key]}"
    arn = next((params[key] for key in IAM_ARNS if key in params), None)
    if arn:
        return arn
    if request.action == "CreatePolicy":
        return f"{prefix}policy{params.get('Path') or '/'}{params['PolicyName']}"
    if request.action == "CreateSAMLProvider":
        return f"{prefix}saml-provider/{params['Name']}"
    if request.action == "CreateOpenIDConnectProvider":
        return f"{prefix}oidc-provider/{params['Url'].removeprefix('https://')}"
    about_oneself = request.action.endswith((*OWN, *(f"{name}s" for name in OWN), "GetUser"))
    return request.principal.policy_arn if about_oneself else None


def entity_of(request, holder, name):
    """IAM's own object of a name, found without regard to case; None where there is none."""
    known = getattr(iam_backends[request.account][request.partition], holder)
    if name in known:
        return known[name]
    return next((one for one in known.values() if one.name.lower() == str(name).lower()), None)


def _events(request):
    params, prefix = request.params, f"arn:{request.partition}:events:{request.region}:{request.account}:"

    def bus(name):
        return name if name.startswith("arn:") else f"{prefix}event-bus/{name}"

    if request.action == "PutEvents":
        return [bus(entry.get("EventBusName") or "default") for entry in params.get("Entries", ())]
    if request.action.endswith("EventBus"):
        return bus(params.get("Name") or "default")
    if request.action.endswith("Permission"):
        return bus(params.get("EventBusName") or "default")
    name = params.get("Rule") or params.get("Name")
    if name:
        on = bus(params.get("EventBusName") or "default").partition("event-bus/")[2]
        return f"{prefix}rule/{'' if on == 'default' else f'{on}/'}{name}"
    return params.get("ResourceARN")


def _lambda(request):
    if request.action.endswith("EventSourceMapping"):
        return None  # Lambda knows the function by a condition key alone
    return function_arn(request, request.params.get("FunctionName") or request.params.get("Resource"))


def function_arn(request, name):
    """The ARN of a function that is named by its name or its ARN."""
    if not name or name.startswith("arn:"):
        return name
    return f"arn:{request.partition}:lambda:{request.region}:{request.account}:function:{name}"


def _sqs(request):
    params, prefix = request.params, f"arn:{request.partition}:sqs:{request.region}:"
    if "QueueUrl" in params:
        account, name = params["QueueUrl"].rsplit("/", 2)[1:]
        return f"{prefix}{account if account.isdigit() else request.account}:{name}"
    if "QueueName" in params:
        return f"{prefix}{params.get('QueueOwnerAWSAccountId') or request.account}:{params['QueueName']}"
    return params.get("SourceArn")


def _sns(request):
    params, prefix = request.params, f"arn:{request.partition}:sns:{request.region}:{request.account}:"
    if request.action == "CreateTopic":
        return prefix + params["Name"]
    topic = params.get("TopicArn") or params.get("TargetArn") or params.get("ResourceArn")
    return topic or params.get("SubscriptionArn", "").rpartition(":")[0]


def _logs(request):
    params, prefix = request.params, f"arn:{request.partition}:logs:{request.region}:{request.account}:"
    name = params.get("logGroupName") or params.get("logGroupIdentifier")
    if not name or name.startswith("arn:"):
        return name
    stream = params.get("logStreamName")
    return f"{prefix}log-group:{name}" + (f":log-stream:{stream}" if stream else "")


def _cloudwatch(request):
    names = [request.params.get("AlarmName"), *(request.params.get("AlarmNames") or ())]
    prefix = f"arn:{request.partition}:cloudwatch:{request.region}:{request.account}:alarm:"
    return [prefix + name for name in names if name]


def _cloudformation(request):
    name = request.params.get("StackName")
    if not name or name.startswith("arn:"):
        return name
    return f"arn:{request.partition}:cloudformation:{request.region}:{request.account}:stack/{name}/*"


def _cloudtrail(request):
    name = request.params.get("Name") or request.params.get("TrailName")
    if not name or name.startswith("arn:"):
        return name
    return f"arn:{request.partition}:cloudtrail:{request.region}:{request.account}:trail/{name}"


FINDERS = {
    "cloudformation": _cloudformation,
    "cloudtrail": _cloudtrail,
    "cloudwatch": _cloudwatch,
    "events": _events,
    "iam": _iam,
    "lambda": _lambda,
    "logs": _logs,
    "organizations": scps.arn_of,
    "securityhub": lambda request: next((f["ProductArn"] for f in request.params.get("Findings", ())), None),
    "sns": _sns,
    "sqs": _sqs,
    "sts": lambda request: request.params.get("RoleArn"),
}
