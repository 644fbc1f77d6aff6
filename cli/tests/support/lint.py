"""Lints templates with cfn-lint and writes one line of JSON for each finding.

Standard input: one line of JSON for each template, {"path": ..., "regions": [...]}.
"""

import json
import sys

from cfnlint.api import ManualArgs, lint
from cfnlint.core import get_rules

# Loaded once: the program does so for every template.
RULES = get_rules([], [], ["W", "E"])

for line in sys.stdin:
    job = json.loads(line)
    with open(job["path"], encoding="utf-8") as file:
        text = file.read()
    for finding in lint(text, RULES, config=ManualArgs(regions=job["regions"])):
        told = {"path": job["path"], "rule": finding.rule.id, "line": finding.linenumber, "message": finding.message}
        print(json.dumps(told))
    print(json.dumps({"done": job["path"]}))
