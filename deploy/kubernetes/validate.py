"""Holds each rendered document against the schema of Kubernetes, and writes those of the Prometheus operator as JSON.

validate.py RENDERED.yaml OPERATOR.json; prints how many documents there are. Ends with 1 where one is not valid.
"""

import json
import sys

import kubernetes_validate
import yaml

rendered, operator = sys.argv[1:]
with open(rendered) as file:
    documents = [document for document in yaml.safe_load_all(file) if document]
ours = [document for document in documents if document["apiVersion"].startswith("monitoring.coreos.com/")]
for document in documents:
    name = f"{document['kind']}/{document['metadata']['name']}"
    if document in ours:
        continue
    try:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        sys.exit(f"kubernetes: {name}: {'.'.join(map(str, error.path))}: {error.message}")
if not documents or not ours:
    sys.exit(f"kubernetes: {rendered} holds {len(documents)} documents, {len(ours)} of the operator")
with open(operator, "w") as file:
    json.dump(ours, file)
print(len(documents))
