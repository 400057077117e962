{{/* How a model's objects are found: by the gateway, by an operator later, and by people. */}}
{{- define "ollama.modelLabels" -}}
aiplat.dev/model: {{ .slug }}
aiplat.dev/engine: ollama
{{- end }}

{{/*
Waits until nobody is connected to port 11434 (2CAA in hexadecimal; 01 is the state "established"): who is
being answered is answered, and the gateway closes idle connections to a pod that goes.
*/}}
{{- define "ollama.drain" -}}
end=$((SECONDS+600)); sleep 2; while [ $SECONDS -lt $end ] && grep -qE '^ *[0-9]+: [0-9A-F]+:2CAA [0-9A-F]+:[0-9A-F]+ 01 ' /proc/net/tcp /proc/net/tcp6; do sleep 0.2; done
{{- end }}
