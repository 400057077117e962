{{/* Peers: the pods of one component: (dict "namespace" NAMESPACE "component" NAME). */}}
{{- define "policies.peer" -}}
- namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ .namespace }}}
  podSelector:
    matchLabels: {app.kubernetes.io/instance: {{ .component }}}
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
