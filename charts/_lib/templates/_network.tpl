{{/*
Pods with this label may ask the cluster's DNS; the policies chart lets them.
*/}}
{{- define "lib.mayAskDns" -}}
aiplat.dev/dns: allowed
{{- end }}

{{/* Peers: pods of one workload in a plane: (dict "plane" PLANE "name" NAME). */}}
{{- define "lib.peer" -}}
- namespaceSelector:
    matchLabels: {aiplat.dev/plane: {{ .plane }}}
  podSelector:
    matchLabels: {app.kubernetes.io/name: {{ .name }}}
{{- end }}

{{/* Peers: every pod of some planes: (dict "planes" LIST). */}}
{{- define "lib.peersOfPlanes" -}}
- namespaceSelector:
    matchExpressions:
      - {key: aiplat.dev/plane, operator: In, values: {{ .planes | toJson }}}
{{- end }}
