"""The ARN of the resource that a request is about, for the services that the guard and its tests call."""

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
OWN = ("AccessKey", "SSHPublicKey", "SigningCertificate", "ServiceSpecificCredential", "MFADevice")


def resource_of(request):
    """The ARN that a :class:`~sandbox.requests.Request` is about, ``*`` if none; a list if about several."""
    find = FINDERS.get(request.service)
    return (find and find(request)) or "*"


def arn_of(request, resource, account=None):
    """The ARN of a resource of the request's region, and of its account if no other one is named."""
    place = f"{request.region}:{account or request.account}"
    return f"arn:{request.partition}:{request.service}:{place}:{resource}"


def named(kind, *keys):
    """A function that finds the ARN in requests that name a resource in one of some parameters, by name or ARN."""

    def find(request):
        name = next(filter(None, (request.params.get(key) for key in keys)), None)
        return name if not name or name.startswith("arn:") else arn_of(request, kind.format(name))

    return find


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
    about_oneself = request.action.removesuffix("s").endswith((*OWN, "Password", "GetUser"))
    return request.principal.policy_arn if about_oneself else None


def entity_of(request, holder, name):
    """moto's object of that name, in any case; None if there is none."""
    known = getattr(iam_backends[request.account][request.partition], holder)
    named = (one for one in known.values() if one.name.lower() == str(name).lower())
    return known.get(name) or next(named, None)


def _events(request):
    params = request.params

    def bus(name):
        name = name or "default"
        return name if name.startswith("arn:") else arn_of(request, f"event-bus/{name}")

    if request.action == "PutEvents":
        return [bus(entry.get("EventBusName")) for entry in params.get("Entries", ())]
    if request.action.endswith("EventBus"):
        return bus(params.get("Name"))
    if request.action.endswith("Permission"):
        return bus(params.get("EventBusName"))
    name = params.get("Rule") or params.get("Name")
    if name:
        on = bus(params.get("EventBusName")).partition("event-bus/")[2]
        return arn_of(request, f"rule/{'' if on == 'default' else f'{on}/'}{name}")
    return params.get("ResourceARN")


def _lambda(request):
    if request.action.endswith("EventSourceMapping"):
        return None  # Lambda knows the function by a condition key alone
    return function_arn(request, request.params.get("FunctionName") or request.params.get("Resource"))


def function_arn(request, name):
    return name if not name or name.startswith("arn:") else arn_of(request, f"function:{name}")


def _sqs(request):
    params = request.params
    if "QueueUrl" in params:
        account, name = params["QueueUrl"].rsplit("/", 2)[1:]
        return arn_of(request, name, account=account if account.isdigit() else None)
    if "QueueName" in params:
        return arn_of(request, params["QueueName"], account=params.get("QueueOwnerAWSAccountId"))
    return params.get("SourceArn")


def _sns(request):
    params = request.params
    if request.action == "CreateTopic":
        return arn_of(request, params["Name"])
    topic = params.get("TopicArn") or params.get("TargetArn") or params.get("ResourceArn")
    return topic or params.get("SubscriptionArn", "").rpartition(":")[0]


def _logs(request):
    stream, found = request.params.get("logStreamName"), _log_group(request)
    return f"{found}:log-stream:{stream}" if stream else found


def _cloudwatch(request):
    names = [request.params.get("AlarmName"), *(request.params.get("AlarmNames") or ())]
    return [arn_of(request, f"alarm:{name}") for name in names if name]


_log_group = named("log-group:{}", "logGroupName", "logGroupIdentifier")
FINDERS = {
    "cloudformation": named("stack/{}/*", "StackName"),
    "cloudtrail": named("trail/{}", "Name", "TrailName"),
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
