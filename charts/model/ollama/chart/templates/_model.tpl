{{/* How a model's objects are found: by the gateway, by an operator later, and by people. */}}
{{- define "ollama.modelLabels" -}}
aiplat.dev/model: {{ .slug }}
aiplat.dev/engine: ollama
{{- end }}

{{/*
Whether the weights are loaded, which it has done where no runner is there; as the engine's component.yaml has it.
*/}}
{{- define "ollama.loaded" -}}
grep -qszxe '--mode[l]' /proc/[0-9]*/cmdline && exit
body='{"model": "{{ .name }}"}'
exec 3<>/dev/tcp/127.0.0.1/11434 || exit
printf 'POST /api/embed HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s' ${#body} "$body" >&3
IFS= read -r -d '' answer <&3
[[ $answer == 'HTTP/1.'?' 200 '* ]] || { echo "$answer"; exit 1; }
{{ end }}

{{/*
Waits until nobody is connected to port 11434 (2CAA in hexadecimal; 01 is the state "established"): who is
being answered is answered, and the gateway closes idle connections to a pod that goes.
*/}}
{{- define "ollama.drain" -}}
end=$((SECONDS+600)); sleep 2; while [ $SECONDS -lt $end ] && grep -qE '^ *[0-9]+: [0-9A-F]+:2CAA [0-9A-F]+:[0-9A-F]+ 01 ' /proc/net/tcp /proc/net/tcp6; do sleep 0.2; done
{{- end }}
