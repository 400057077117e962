{{/* What the operator is told of the bundle: engines that are there, models, digests, known names. */}}
{{- define "operator.bundle" -}}
{{- $engines := dict }}
{{- range $name, $engine := .Values.engines }}
{{- if $engine.image }}{{- $_ := set $engines $name $engine }}{{- end }}
{{- end }}
{{- $told := dict "engines" $engines "requests" .Values.requests "profiles" .Values.profiles }}
{{- $_ := set $told "models" .Values.models }}
{{- $_ := set $told "digests" .Values.digests }}
{{- $_ := set $told "known" .Values.known }}
{{- $told | toPrettyJson }}
{{- end }}
