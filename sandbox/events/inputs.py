"""The input that a rule of EventBridge hands to a target: the event, or the text that a template makes of it.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

import json
import re

PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.-]+)>")


class NoInput(ValueError):
    """A template that makes no valid input of an event: EventBridge counts a failed invocation."""


def input_of(target, event):
    """The text that a target of PutTargets gets; NoInput where its template makes none."""
    if target.keys() & {"Input", "InputPath"}:
        raise NoInput("the sandbox knows neither Input nor InputPath")
    if "InputTransformer" not in target:
        return json.dumps(event)
    transformer = target["InputTransformer"]
    values = {name: at(event, path) for name, path in transformer["InputPathsMap"].items()}
    return transformed(transformer["InputTemplate"].strip(), values)


def transformed(template, values):
    """A template of text in quotes with its placeholders filled in; several lines keep their quotes.

    Values are put in as they are: a newline makes one more line of text.
    """
    try:
        lines = [json.loads(line) for line in template.splitlines()]
    except ValueError:
        raise NoInput("each line of a text has to be in quotes; the sandbox makes no JSON") from None
    text = PLACEHOLDER.sub(lambda found: text_of(values.get(found[1])), template if lines[1:] else lines[0])
    return text if lines[1:] else json.dumps(text, ensure_ascii=False)


def text_of(value):
    """A value within text; nothing if the event has none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def at(event, path):
    """The value at a path of an event, such as ``$.detail.user``; None if there is nothing."""
    for name in path.split(".")[1:]:
        event = event.get(name) if isinstance(event, dict) else None
    return event
