{{/* What the gateway is told of accounts, as JSON. */}}
{{- define "gateway.accounts" -}}
{{- $database := dict "url" .Values.accounts.url "password_file" "/etc/aiplat/database/password" "migrate" true }}
{{- $spool := dict "folder" "/var/spool/aiplat" "max_mib" (include "gateway.spoolMiB" . | int) }}
{{- dict "database" $database "spool" $spool "prices" (.Values.accounts.prices | default dict) "declared_file" "/etc/aiplat/declared/declared.json" "teams_file" "/etc/aiplat/teams/teams.json" | toJson }}
{{- end }}

{{/* How much usage may wait on disk, in MiB. */}}
{{- define "gateway.spoolMiB" -}}
{{ .Values.accounts.spoolMiB | default 256 }}
{{- end }}
