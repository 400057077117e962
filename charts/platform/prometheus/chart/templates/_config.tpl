{{/*
What Prometheus is told: itself, the Kubernetes API, the pods of every target; and Alertmanager, where it is a target.
*/}}
{{- define "prometheus.config" -}}
global:
  scrape_interval: {{ .Values.scrapeInterval }}
  scrape_timeout: 10s
  evaluation_interval: {{ .Values.scrapeInterval }}
rule_files:
  - /etc/aiplat/rules/*.yaml
{{- range .Values.targets }}
{{- if eq .component "alertmanager" }}
alerting:
  alertmanagers:
    - kubernetes_sd_configs:
        {{- include "prometheus.pods" . | nindent 8 }}
      relabel_configs:
        - source_labels: [__meta_kubernetes_pod_container_port_number]
          regex: "{{ .port }}"
          action: keep
{{- end }}
{{- end }}
scrape_configs:
  - job_name: prometheus
    static_configs:
      - targets: ["localhost:9090"]
  # API server, etcd's size and certificates of clients; of its thousands of series, those that rules and dashboards use.
  - job_name: kubernetes
    scheme: https
    authorization: {credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token}
    tls_config: {ca_file: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt}
    body_size_limit: 32MB
    sample_limit: 20000
    static_configs:
      - targets:
          {{- range .Values.apiTargets }}
          - {{ . | quote }}
          {{- else }}
          {{- range .Values.apiServers }}
          {{- $address := regexReplaceAll "/.*$" . "" }}
          - {{ printf (ternary "[%s]:6443" "%s:6443" (contains ":" $address)) $address | quote }}
          {{- end }}
          {{- end }}
    metric_relabel_configs:
      - source_labels: [__name__]
        # Written in parts, which YAML joins without spaces.
        regex: "apiserver_(request_total|current_inflight_requests|storage_size_bytes)|\
          apiserver_client_certificate_expiration_seconds_bucket|\
          etcd_request_duration_seconds_(sum|count)|process_resident_memory_bytes"
        action: keep
  {{- range .Values.targets }}
  - job_name: {{ .component }}
    metrics_path: {{ .path | quote }}
    {{- if .honorLabels }}
    honor_labels: true
    {{- end }}
    # A body that has no end is not read to its end, and one that has too many series is not kept.
    body_size_limit: 16MB
    sample_limit: 20000
    kubernetes_sd_configs:
      {{- include "prometheus.pods" . | nindent 6 }}
    relabel_configs:
      # A pod is found once for each port that it declares.
      - source_labels: [__meta_kubernetes_pod_container_port_number]
        regex: "{{ .port }}"
        action: keep
      - source_labels: [__meta_kubernetes_pod_phase]
        regex: Succeeded|Failed
        action: drop
      {{- if not .honorLabels }}
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
      - {source_labels: [__meta_kubernetes_pod_label_aiplat_dev_model], target_label: model}
      - {source_labels: [__meta_kubernetes_pod_node_name], target_label: node}
      {{- end }}
  {{- end }}
{{- end }}

{{/* Where the pods of a target are found. */}}
{{- define "prometheus.pods" -}}
- role: pod
  namespaces:
    names: [{{ .namespace }}]
  selectors:
    - {role: pod, label: "{{ .label | default "app.kubernetes.io/instance" }}={{ .value | default .component }}"}
{{- end }}

{{/* The files of rules that count: `when-NAME.yaml` where the component is a target, all others always. */}}
{{- define "prometheus.rules" -}}
{{- $found := list }}
{{- range $path, $_ := .Files.Glob "files/rules/*.yaml" }}
{{- $named := trimSuffix ".yaml" (base $path) }}
{{- $needed := trimPrefix "when-" $named }}
{{- $there := eq $named $needed }}
{{- range $.Values.targets }}{{ if eq .component $needed }}{{ $there = true }}{{ end }}{{ end }}
{{- if $there }}{{ $found = append $found $path }}{{ end }}
{{- end }}
{{- $found | toJson }}
{{- end }}
