{{/* What Prometheus is told: itself, and the pods of every target. */}}
{{- define "prometheus.config" -}}
global:
  scrape_interval: {{ .Values.scrapeInterval }}
  scrape_timeout: 10s
  evaluation_interval: {{ .Values.scrapeInterval }}
rule_files:
  - /etc/aiplat/rules/*.yaml
scrape_configs:
  - job_name: prometheus
    static_configs:
      - targets: ["localhost:9090"]
  {{- range .Values.targets }}
  - job_name: {{ .component }}
    metrics_path: {{ .path | quote }}
    # A body that has no end is not read to its end, and one that has too many series is not kept.
    body_size_limit: 16MB
    sample_limit: 20000
    kubernetes_sd_configs:
      - role: pod
        namespaces:
          names: [{{ .namespace }}]
        selectors:
          - {role: pod, label: "app.kubernetes.io/instance={{ .component }}"}
    relabel_configs:
      # A pod is found once for each port that it declares.
      - source_labels: [__meta_kubernetes_pod_container_port_number]
        regex: "{{ .port }}"
        action: keep
      - source_labels: [__meta_kubernetes_pod_phase]
        regex: Succeeded|Failed
        action: drop
      - {source_labels: [__meta_kubernetes_pod_name], target_label: pod}
      - {source_labels: [__meta_kubernetes_pod_node_name], target_label: node}
  {{- end }}
{{- end }}
