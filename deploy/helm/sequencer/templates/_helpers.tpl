{{- define "sequencer.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sequencer.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sequencer.labels" -}}
{{ include "sequencer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "sequencer.gatewaySelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}-gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sequencer.gatewayLabels" -}}
{{ include "sequencer.gatewaySelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* A scalar as text. Helm reads numbers as floats and would print large ones as 1e+06. */}}
{{- define "sequencer.text" -}}
{{- if kindIs "slice" . -}}
{{- join "," . -}}
{{- else if kindIs "float64" . -}}
{{- int64 . -}}
{{- else -}}
{{- toString . -}}
{{- end -}}
{{- end -}}

{{/* What the values contradict; printed instead of a manifest that would fail later. */}}
{{- define "sequencer.check" -}}
{{- if not .Values.kafka.brokers -}}
{{- fail "kafka.brokers is required: HOST:PORT[,HOST:PORT...]" -}}
{{- end -}}
{{- $leave := div (add (int64 .Values.config.shutdown.deadline_ms) 5999) 1000 -}}
{{- if lt (int64 .Values.terminationGracePeriodSeconds) $leave -}}
{{- fail (printf "terminationGracePeriodSeconds must be at least %d: config.shutdown.deadline_ms, and 5 s to leave the group" $leave) -}}
{{- end -}}
{{- if and .Values.keda.enabled (lt (int64 .Values.keda.maxReplicas) (int64 .Values.keda.minReplicas)) -}}
{{- fail "keda.maxReplicas must not be below keda.minReplicas" -}}
{{- end -}}
{{- if and .Values.gateway.enabled (not .Values.gateway.callersSecret.name) -}}
{{- fail "gateway.callersSecret.name is required: without callers a gateway answers its own pod only" -}}
{{- end -}}
{{- if and .Values.gateway.enabled .Values.serviceMonitor.enabled (not .Values.gateway.metricsTokenSecret.name) -}}
{{- fail "gateway.metricsTokenSecret.name is required with serviceMonitor.enabled: /metrics of a gateway needs a caller's token" -}}
{{- end -}}
{{- if and .Values.strimzi.enabled (not .Values.strimzi.cluster) -}}
{{- fail "strimzi.cluster is required: the name of the Kafka resource" -}}
{{- end -}}
{{- if and .Values.strimzi.enabled (lt (int64 .Values.config.topics.replication) 1) -}}
{{- fail "config.topics.replication must be 1 or more with strimzi.enabled" -}}
{{- end -}}
{{- end -}}
