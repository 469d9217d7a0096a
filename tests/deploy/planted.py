"""Bugs that the checks must catch, each a change to one file."""

from typing import NamedTuple


class Bug(NamedTuple):
    check: str
    what: str
    file: str
    old: str
    new: str
    # A part of the problem that must be reported.
    named: str


CHART = "deploy/helm/sequencer"

PLANTED = [
    Bug("chart", "a misspelt field of a pod", f"{CHART}/templates/statefulset.yaml",
        "readinessProbe:", "readinesProbe:", "readinesProbe"),
    Bug("chart", "a probe of a page that is not there", f"{CHART}/templates/statefulset.yaml",
        "path: /readyz", "path: /ready", "/ready"),
    Bug("chart", "a writable root", f"{CHART}/templates/statefulset.yaml",
        "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "readOnlyRootFilesystem"),
    Bug("chart", "an autoscaler of another workload", f"{CHART}/templates/scaledobject.yaml",
        "    kind: StatefulSet", "    kind: Deployment", "ScaledObject"),
    Bug("chart", "a misspelt field of a ScaledObject", f"{CHART}/templates/scaledobject.yaml",
        "minReplicaCount", "minReplicasCount", "minReplicasCount"),
    Bug("chart", "a misspelt field of a ServiceMonitor", f"{CHART}/templates/servicemonitor.yaml",
        "scrapeTimeout: {{", "scrapeTimeOut: {{", "scrapeTimeOut"),
    Bug("chart", "a ServiceMonitor without the token", f"{CHART}/templates/servicemonitor.yaml",
        "{{- if .name }}", "{{- if .none }}", "the pods want"),
    Bug("chart", "a compacted request topic", f"{CHART}/templates/kafkatopics.yaml",
        '"requests" (dict "cleanup.policy" "delete"', '"requests" (dict "cleanup.policy" "compact"',
        "cleanup.policy"),
    Bug("chart", "a retention that is not serve's", "src/kafka/admin/topics.rs",
        "RETENTION_MS: u64 = 7 *", "RETENTION_MS: u64 = 14 *", "retention.ms"),
    Bug("chart", "a key that the service does not know", f"{CHART}/templates/configmap.yaml",
        "SEQUENCER__HTTP__ADDRESS", "SEQUENCER__HTTP__ADDRESSES", "http.addresses"),
    Bug("chart", "a number printed as 1e+09", f"{CHART}/templates/_helpers.tpl",
        "{{- int64 . -}}", "{{- toString . -}}", "1e+"),
    Bug("chart", "values that are no longer refused", f"{CHART}/values.schema.json",
        '"enum": ["immediate", "exactly_once"]', '"enum": ["immediate", "exactly_once", "fast"]', "mode"),
    Bug("compose", "a misspelt key of a service", "deploy/compose/compose.yaml",
        "stop_grace_period", "stop_grace_periods", "stop_grace_periods"),
    Bug("compose", "a dependency that is not there", "deploy/compose/compose.yaml",
        "depends_on: [prometheus]", "depends_on: [prometeus]", "prometeus"),
    Bug("compose", "a mount of nothing", "deploy/compose/compose.yaml",
        "../prometheus:", "../prometeus:", "prometeus"),
    Bug("compose", "two instances with one name", "deploy/compose/compose.yaml",
        "INSTANCE_ID: sequencer-2", "INSTANCE_ID: sequencer-1", "instance_id"),
    Bug("compose", "a target that is no service", "deploy/prometheus/prometheus.yml",
        "sequencer-2:8377", "sequencer-3:8377", "sequencer-3"),
    Bug("image", "a base image that moves", "deploy/Dockerfile",
        "busybox:1.37.0-musl", "busybox:latest", "latest"),
    Bug("image", "a build that ignores the lock file", "deploy/Dockerfile",
        "--release --locked", "--release", "--locked"),
    Bug("image", "a process of root's", "deploy/Dockerfile",
        "USER 65532:65532", "USER root", "USER"),
    Bug("image", "a source that the context leaves out", ".dockerignore",
        "!deploy/kafka", "", "deploy/kafka"),
    Bug("dashboard", "a misspelt metric", "deploy/grafana/sequencer.json",
        "sequencer_ids_granted_total", "sequencer_id_granted_total", "sequencer_id_granted_total"),
    Bug("dashboard", "a data source that is not provisioned", "deploy/grafana/provisioning/datasources/prometheus.yaml",
        "uid: prometheus", "uid: prom", "uid"),
    Bug("dashboard", "two panels with one number", "deploy/grafana/sequencer.json",
        '"id": 3,', '"id": 2,', "id 2"),
    Bug("rules", "a threshold that is never reached", "deploy/prometheus/sequencer.rules.yml",
        "unanswered_requests) > 10000", "unanswered_requests) > 100000000", "SequencerLag"),
    Bug("rules", "an alert that fires for a service that is well", "deploy/prometheus/sequencer.rules.yml",
        "sequencer_partition_checkpoint_age_seconds > 60", "sequencer_partition_checkpoint_age_seconds >= 0",
        "SequencerCheckpointsStuck"),
    Bug("rules", "an alert that is silent when there is nothing to count", "deploy/prometheus/sequencer.rules.yml",
        "(count(count by (partition) (sequencer_partition_state == 1)) or vector(0))",
        "count(count by (partition) (sequencer_partition_state == 1))", "SequencerPartitionUnowned"),
    Bug("rules", "a broken expression", "deploy/prometheus/sequencer.rules.yml",
        "sequencer_connected == 0", "sequencer_connected = 0", "parse"),
    Bug("rules", "a misspelt metric", "deploy/prometheus/sequencer.rules.yml",
        "process_max_fds{", "process_max_fd{", "process_max_fd,"),
    Bug("rules", "an alert without an entry in the runbook", "docs/runbook.md",
        "## SequencerLag\n", "## Sequencer lag\n", "SequencerLag has no entry"),
    Bug("rules", "an entry without an alert", "docs/runbook.md",
        "## SequencerLag\n", "## SequencerLag\n\n## SequencerLags\n", "SequencerLags, which is no alert"),
    Bug("rules", "a link to another entry", "deploy/prometheus/sequencer.rules.yml",
        "runbook.md#sequencerlag", "runbook.md#sequencerdown", "does not lead"),
    Bug("scripts", "an unquoted variable", "deploy/rootfs.sh",
        'strip --strip-debug "$root/usr/local/bin/sequencer"',
        "strip --strip-debug $root/usr/local/bin/sequencer", "SC2086"),
    Bug("unit", "a misspelt directive", "deploy/systemd/sequencer.service",
        "NoNewPrivileges=", "NoNewPrivilege=", "NoNewPrivilege"),
    Bug("unit", "a stop that is cut short", "deploy/systemd/sequencer.service",
        "TimeoutStopSec=20", "TimeoutStopSec=5", "TimeoutStopSec"),
    Bug("unit", "a sandbox with a hole", "deploy/systemd/sequencer.service",
        "DynamicUser=yes", "User=root", "exposure"),
]
