"""What a rule of EventBridge hands to a target: the event, a part of it, or what a template makes of it.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
"""

import json
import re

PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.-]+)>")


class NoInput(ValueError):
    """A template that makes no valid input of an event: EventBridge counts a failed invocation."""


def input_of(target, event, rule):
    """What a target gets, as text.

    :param target: as PutTargets wrote it
    :param rule: moto's rule, which a template may name
    :raises NoInput: where the template makes none
    """
    if "Input" in target:
        return target["Input"]
    if "InputPath" in target:
        return json.dumps(at(event, target["InputPath"]))
    if "InputTransformer" not in target:
        return json.dumps(event)
    paths = target["InputTransformer"].get("InputPathsMap") or {}
    values = {name: at(event, path) for name, path in paths.items()}
    values |= {
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": event,
    }
    return transformed(target["InputTransformer"]["InputTemplate"].strip(), values)


def transformed(template, values):
    """A template with its placeholders filled in: JSON, or text in quotes; several lines keep theirs.

    Values are put in as they are: a quote can break JSON, and a newline makes one more line of text.
    """
    if not template.startswith('"'):
        filled = filled_json(template, values)
        try:
            json.loads(filled)
        except ValueError:
            raise NoInput(f"the template makes no JSON: {filled}") from None
        return filled
    try:
        lines = [json.loads(line) for line in template.splitlines()]
    except ValueError:
        raise NoInput("each line of a text has to be in quotes") from None
    if len(lines) > 1:
        return PLACEHOLDER.sub(lambda found: text_of(values.get(found[1])), template)
    line = PLACEHOLDER.sub(lambda found: text_of(values.get(found[1])), lines[0])
    return json.dumps(line, ensure_ascii=False)


def filled_json(template, values):
    """A JSON template: a value stands as JSON by itself, and as bare text within quotes."""
    parts, inside = re.split(r'((?<!\\)")', template), False
    for number, part in enumerate(parts):
        if part == '"':
            inside = not inside
            continue
        fill = text_of if inside else json_of
        parts[number] = PLACEHOLDER.sub(lambda found, fill=fill: fill(values.get(found[1])), part)
    return "".join(parts)


def text_of(value):
    """A value within text; nothing if the event has none."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def json_of(value):
    """A value as JSON; nothing if the event has none, which makes a template invalid."""
    return "" if value is None else json.dumps(value)


def at(event, path):
    """What stands at a path of an event, such as ``$.detail.user``; None if nothing does."""
    for name in path.split(".")[1:]:
        event = event.get(name) if isinstance(event, dict) else None
    return event
