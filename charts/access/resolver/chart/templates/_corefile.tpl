{{/*
What CoreDNS is started with. A name under the domain has the addresses of its family, or exists without any
(NOERROR, no answer) where there is none; other types are answered in the same way, so that nobody waits.
*/}}
{{- define "resolver.corefile" -}}
{{- $ttl := int .Values.seconds -}}
{{ .Values.domain }}:1053 {
    errors
    prometheus :9153
{{- range $type, $mark := dict "A" "." "AAAA" ":" }}
{{- $found := list }}
{{- range $.Values.addresses }}
{{- if contains $mark . }}
{{- $found = append $found . }}
{{- end }}
{{- end }}
    template IN {{ $type }} {{ $.Values.domain }} {
        {{- range $found }}
        answer {{ printf "{{ .Name }} %d IN %s %s" $ttl $type . | quote }}
        {{- end }}
        rcode NOERROR
    }
{{- end }}
    template IN ANY {{ .Values.domain }} {
        rcode NOERROR
    }
}
.:1053 {
    errors
    health :8080
    ready :8181
{{- if .Values.forward }}
    forward . {{ join " " .Values.forward }}
    cache 30
{{- else }}
    template IN ANY . {
        rcode REFUSED
    }
{{- end }}
}
{{- end }}
