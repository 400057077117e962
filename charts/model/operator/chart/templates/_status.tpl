{{/* The status that Models of both kinds have, as an OpenAPI schema. */}}
{{- define "operator.status" -}}
type: object
properties:
  observedGeneration: {type: integer, format: int64}
  phase:
    type: string
    description: Serving, Updating, Starting, Idle (no replica, the first request wakes it), Failing, Refused
  message: {type: string, description: "How it stands or why it was refused and what to do, in one sentence"}
  name: {type: string, description: What clients call it}
  engine: {type: string}
  image: {type: string, description: "The weights, an image by digest"}
  fit: {type: string, description: "What one replica takes, and how many nodes could hold one; empty where it was refused"}
  contextLength: {type: integer, format: int32, description: Tokens of one request's context; 0 where it was refused}
  replicas: {type: integer, format: int32, description: Pods there are}
  readyReplicas: {type: integer, format: int32, description: Pods that serve}
  ready: {type: string, description: Pods that serve / pods wanted}
  selector: {type: string, description: Finds the pods}
  conditions:
    {{- include "operator.conditions" . | nindent 4 }}
{{- end }}

{{/* The columns of `kubectl get` that Models of both kinds have. */}}
{{- define "operator.columns" -}}
- {name: Name served, type: string, jsonPath: .status.name}
- {name: State, type: string, jsonPath: .status.phase}
- {name: Ready, type: string, jsonPath: .status.ready}
- {name: Message, type: string, jsonPath: .status.message}
- {name: Engine, type: string, jsonPath: .status.engine, priority: 1}
- {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
{{- end }}

{{/* Amounts of resources by name. */}}
{{- define "operator.amounts" -}}
type: object
additionalProperties:
  anyOf: [{type: integer}, {type: string}]
  pattern: '^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$'
  x-kubernetes-int-or-string: true
{{- end }}

{{/* Conditions, as an OpenAPI schema. */}}
{{- define "operator.conditions" -}}
type: array
x-kubernetes-list-type: map
x-kubernetes-list-map-keys: [type]
items:
  type: object
  required: [type, status, reason, message, lastTransitionTime]
  properties:
    type: {type: string, maxLength: 316}
    status: {type: string, enum: ["True", "False", Unknown]}
    reason: {type: string, maxLength: 1024}
    message: {type: string, maxLength: 32768}
    observedGeneration: {type: integer, format: int64, minimum: 0}
    lastTransitionTime: {type: string, format: date-time}
{{- end }}

{{/* An amount of one resource: (dict "default" AMOUNT). */}}
{{- define "operator.amount" -}}
anyOf: [{type: integer}, {type: string}]
pattern: '^([0-9]+(\.[0-9]+)?)([KMGTPE]i|[mkMGTPE])?$'
x-kubernetes-int-or-string: true
default: {{ .default | quote }}
{{- end }}
