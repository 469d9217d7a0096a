"""The Helm chart: rendered with each file of values, and each manifest against its schema."""

import json
import re
from pathlib import Path

import kubernetes_validate
import jsonschema
import yaml

import defaults
from run import run

HERE = Path(__file__).parent
# The oldest that the chart takes, and one of today.
KUBERNETES = ["1.27", "1.33"]
PAGES = {"/healthz", "/readyz"}


def problems(root: Path) -> list[str]:
    chart = str(root / "deploy/helm/sequencer")
    found = []
    for values in sorted((HERE / "values").glob("*.yaml")):
        code, text = run("helm", "lint", "--strict", chart, "--kube-version", "1.33.0", "-f", str(values))
        if code != 0:
            found.append(f"{values.name}: helm lint: {text}")
        code, text = run("helm", "template", "ids", chart, "-n", "ids", "--kube-version", "1.33.0",
                         "-f", str(values))
        if code != 0:
            found.append(f"{values.name}: helm template: {text}")
            continue
        manifests = [manifest for manifest in yaml.safe_load_all(text) if manifest]
        for manifest in manifests:
            about = f"{values.name}: {manifest['kind']} {manifest['metadata']['name']}"
            found += [f"{about}: {problem}" for problem in manifest_problems(root, manifest)]
        found += [f"{values.name}: {problem}" for problem in whole_problems(manifests)]
    return found + refusals(chart)


def manifest_problems(root: Path, manifest: dict) -> list[str]:
    kind = manifest["kind"]
    schema = HERE / "schemas" / f"{kind.lower()}.json"
    found = []
    if schema.exists():
        validator = jsonschema.Draft202012Validator(json.loads(schema.read_text()))
        found += [f"{error.json_path}: {error.message}" for error in validator.iter_errors(manifest)]
    else:
        for version in KUBERNETES:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                found.append(f"Kubernetes {version}: {error.message}")
    if kind == "ConfigMap":
        found += setting_problems(root, manifest["data"])
    if kind in ("StatefulSet", "Deployment"):
        found += pod_problems(root, manifest["spec"]["template"]["spec"])
    if kind == "KafkaTopic":
        found += topic_problems(root, manifest["spec"])
    return found


def setting_problems(root: Path, data: dict) -> list[str]:
    """Each variable is a key of the service, and each value is as the service reads it."""
    known, found = defaults.keys(root), []
    for variable, value in data.items():
        key = variable.removeprefix("SEQUENCER__").replace("__", ".").lower()
        if not key.startswith("kafka.") and key not in known:
            found.append(f"{variable} is {key}, which config/default.toml does not know")
        if re.search(r"\de\+", value):
            found.append(f"{variable} is {value}")
    return found


def pod_problems(root: Path, pod: dict) -> list[str]:
    found = []
    (container,) = pod["containers"]
    for name in ["startupProbe", "livenessProbe", "readinessProbe"]:
        path = container.get(name, {}).get("httpGet", {}).get("path")
        if path not in PAGES:
            found.append(f"{name} asks for {path}, which is not one of {sorted(PAGES)}")
    wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True}
    for key, value in wanted.items():
        if container["securityContext"].get(key) is not value:
            found.append(f"{key} is not {value}")
    if container["securityContext"]["capabilities"] != {"drop": ["ALL"]}:
        found.append("capabilities are not all dropped")
    if not pod["securityContext"].get("runAsNonRoot") or pod.get("automountServiceAccountToken") is not False:
        found.append("runs as root, or with a service account's token")
    if pod["terminationGracePeriodSeconds"] < defaults.stop_seconds(root):
        found.append("terminationGracePeriodSeconds is below what a clean end may take")
    return found


def topic_problems(root: Path, spec: dict) -> list[str]:
    """The settings are those with which serve creates the topic."""
    role = re.search(r"(requests|replies|state|ledger|heartbeats)$", spec["topicName"])[1]
    wanted = defaults.topic_config(root, role, spec["replicas"])
    if "gateway" in spec["topicName"]:
        wanted |= defaults.topic_config(root, "gateway_replies", spec["replicas"])
    given = {key: str(value).lower() if isinstance(value, bool) else str(value)
             for key, value in spec["config"].items()}
    return [f"{key} is {given.get(key)}, serve uses {wanted.get(key)}"
            for key in sorted(wanted | given) if wanted.get(key) != given.get(key)]


def whole_problems(manifests: list[dict]) -> list[str]:
    """What one manifest says of another."""
    gateways = [manifest for manifest in manifests if manifest["metadata"]["name"].endswith("-gateway")]
    by_kind = {manifest["kind"]: manifest for manifest in manifests if manifest not in gateways}
    stateful, found = by_kind["StatefulSet"], gateway_problems(gateways)
    labels = stateful["spec"]["template"]["metadata"]["labels"]
    selectors = {
        "StatefulSet": lambda spec: spec["selector"]["matchLabels"],
        "Service": lambda spec: spec["selector"],
        "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
        "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
    }
    for kind, selector in selectors.items():
        if kind in by_kind and not selector(by_kind[kind]["spec"]).items() <= labels.items():
            found.append(f"{kind} does not select the pods")
    if monitor := by_kind.get("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        if not wanted.items() <= by_kind["Service"]["metadata"]["labels"].items():
            found.append("ServiceMonitor does not select the Service")
        found += token_problems(stateful, monitor)
    if scaled := by_kind.get("ScaledObject"):
        target = scaled["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) != ("StatefulSet", stateful["metadata"]["name"]):
            found.append("ScaledObject scales something else")
        if "replicas" in stateful["spec"]:
            found.append("ScaledObject and StatefulSet both say how many")
    return found


def gateway_problems(manifests: list[dict]) -> list[str]:
    """The gateway's own, whose pods are none of the service's."""
    if not manifests:
        return []
    by_kind = {manifest["kind"]: manifest for manifest in manifests}
    pods = by_kind["Deployment"]["spec"]["template"]
    labels, found = pods["metadata"]["labels"], []
    selected = {
        "Deployment": lambda spec: spec["selector"]["matchLabels"],
        "Service": lambda spec: spec["selector"],
        "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
    }
    for kind, selector in selected.items():
        if kind in by_kind and not selector(by_kind[kind]["spec"]).items() <= labels.items():
            found.append(f"{kind} of the gateway does not select its pods")
    if labels["app.kubernetes.io/name"] == "sequencer":
        found.append("the gateway's pods look like instances")
    if monitor := by_kind.get("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        if not wanted.items() <= by_kind["Service"]["metadata"]["labels"].items():
            found.append("ServiceMonitor of the gateway does not select its Service")
    (container,) = pods["spec"]["containers"]
    (path,) = [variable["value"] for variable in container["env"] if variable["name"] == "SEQUENCER__GATEWAY__CALLERS"]
    (mount,) = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "callers"]
    if not path.startswith(mount + "/"):
        found.append(f"the callers are mounted at {mount}, the gateway reads {path}")
    return found


def token_problems(stateful: dict, monitor: dict) -> list[str]:
    """Prometheus sends the token that the pods want."""
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    wanted = [variable["valueFrom"]["secretKeyRef"] for variable in container["env"]
              if variable["name"] == "SEQUENCER__HTTP__TOKEN"]
    (endpoint,) = monitor["spec"]["endpoints"]
    sent = [endpoint["authorization"]["credentials"]] if "authorization" in endpoint else []
    return [] if wanted == sent else [f"ServiceMonitor sends the token of {sent}, the pods want {wanted}"]


def refusals(chart: str) -> list[str]:
    found = []
    for case in yaml.safe_load((HERE / "refused.yaml").read_text()):
        code, text = run("helm", "template", "ids", chart, "--kube-version", "1.33.0", "-f", "-",
                         stdin=yaml.safe_dump(case["values"]))
        if code == 0:
            found.append(f"values that must be refused are not ({case['reason']}): {case['values']}")
        elif case["reason"] not in text:
            found.append(f"refused without naming {case['reason']!r}: {text}")
    return found
