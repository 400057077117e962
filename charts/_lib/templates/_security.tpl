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

{{/*
How long a pod without a state of its own waits for a node that is lost before it is started elsewhere. Kubernetes'
own 300 s come after the 40 s it takes to notice; a shorter time would move pods for a reboot of the network.
*/}}
{{- define "lib.leaveLostNode" -}}
- {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
- {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 30}
{{- end }}
