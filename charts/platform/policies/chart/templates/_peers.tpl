{{/* What finds the pods of one component: by its release, or by a label of their own. */}}
{{- define "policies.pods" -}}
{{ .label | default "app.kubernetes.io/instance" }}: {{ .value | default .component }}
{{- end }}

{{/* Peers: the pods of one component: (dict "namespace" NAMESPACE "component" NAME). */}}
{{- define "policies.peer" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}
  podSelector:
    matchLabels:
      {{- include "policies.pods" . | nindent 6 }}
{{- end }}

{{/* What lets pods ask the cluster's DNS. */}}
{{- define "policies.toDns" -}}
- to:
    - namespaceSelector:
        matchLabels: {kubernetes.io/metadata.name: kube-system}
      podSelector:
        matchLabels: {k8s-app: kube-dns}
  ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end }}
