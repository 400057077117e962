{{/* Whether the server takes connections: (dict "every" SECONDS "failures" COUNT). */}}
{{- define "postgresql.probe" -}}
{{- $ask := "exec /usr/lib/postgresql/*/bin/pg_isready -q -h 127.0.0.1" -}}
{{- include "lib.execProbe" (dict "command" (list "/bin/sh" "-c" $ask) "every" .every "failures" .failures) -}}
{{- end }}
