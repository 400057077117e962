{{/*
Labels of every object: (dict "root" $ "name" NAME).
Nothing in them changes with a version, so that a new chart alone restarts no pod.
*/}}
{{- define "lib.labels" -}}
{{ include "lib.selector" . }}
app.kubernetes.io/part-of: aiplat
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
aiplat.dev/component: {{ .root.Chart.Name }}
{{- end }}

{{/* What finds the pods of one workload: (dict "root" $ "name" NAME). */}}
{{- define "lib.selector" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- end }}
