{{/* What the operator is told of the bundle: engines that are there, models, digests, known names. */}}
{{- define "operator.bundle" -}}
{{- $told := dict "engines" .Values.engines "requests" .Values.requests "profiles" .Values.profiles }}
{{- $_ := set $told "models" .Values.models }}
{{- $_ := set $told "digests" .Values.digests }}
{{- $_ := set $told "known" .Values.known }}
{{- $told | toPrettyJson }}
{{- end }}
