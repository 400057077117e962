{{/* Pod-level fields of Pod Security "restricted", as one user: (dict "uid" NUMBER). */}}
{{- define "lib.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .uid }}
  runAsGroup: {{ .uid }}
  fsGroup: {{ .uid }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
enableServiceLinks: false
{{- end }}

{{/* Container-level fields of Pod Security "restricted", with a root file system nobody can write. */}}
{{- define "lib.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}
