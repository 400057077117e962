{{/*
An HTTP check of the container itself: (dict "path" PATH "port" NAME "every" SECONDS "failures" COUNT).
*/}}
{{- define "lib.httpProbe" -}}
httpGet: {path: {{ .path }}, port: {{ .port }}}
periodSeconds: {{ .every }}
failureThreshold: {{ .failures }}
timeoutSeconds: 3
{{- end }}

{{/* A check by command: (dict "command" LIST "every" SECONDS "failures" COUNT "seconds" ITS-LIMIT). */}}
{{- define "lib.execProbe" -}}
exec:
  command: {{ .command | toJson }}
periodSeconds: {{ .every }}
failureThreshold: {{ .failures }}
timeoutSeconds: {{ .seconds | default 5 }}
{{- end }}
