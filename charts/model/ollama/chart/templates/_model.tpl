{{/* How a model's objects are found: by the gateway, by an operator later, and by people. */}}
{{- define "ollama.modelLabels" -}}
aiplat.dev/model: {{ .slug }}
aiplat.dev/engine: ollama
{{- end }}
