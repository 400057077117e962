{{/* What Traefik reads once, at its start. */}}
{{- define "ingress.start" -}}
global: {checkNewVersion: false, sendAnonymousUsage: false}
log: {level: WARN, format: json}
{{- if .Values.accessLog }}
accessLog:
  format: json
  fields: {headers: {defaultMode: drop}}
{{- end }}
ping: {entryPoint: health}
metrics:
  prometheus: {entryPoint: health, addRoutersLabels: true}
entryPoints:
  https:
    address: ":8443"
    # Headers that a backend reads as one of ours (X_Auth_Request_User) go.
    http: {tls: {}, aliasHeadersStrategy: delete}
    transport:
      lifeCycle: {graceTimeOut: 20s}
      respondingTimeouts: {readTimeout: {{ .Values.uploadSeconds }}s, idleTimeout: 180s}
  health: {address: ":9090", http: {aliasHeadersStrategy: delete}}
providers:
  file: {directory: /etc/traefik/dynamic, watch: true}
  {{- if .Values.teamIngresses }}
  kubernetesIngress: {ingressClass: aiplat, strictPrefixMatching: true, throttleDuration: 1s}
  {{- end }}
{{- end }}

{{/*
What it reads again whenever it changes. The gateway gets every TLS connection whose name is not under the domain:
no name at all, an address, the domain itself, and the gateway's own name. A name under the domain that nobody has
is answered with 404 under the certificate.
*/}}
{{- define "ingress.dynamic" -}}
tls:
  stores:
    default:
      defaultCertificate: {certFile: /etc/traefik/dynamic/tls.crt, keyFile: /etc/traefik/dynamic/tls.key}
  options:
    default: {minVersion: VersionTLS12}
tcp:
  routers:
    gateway:
      entryPoints: [https]
      rule: {{ printf "HostSNI(`api.%s`) || !HostSNIRegexp(`^.+%s$`)" .Values.domain (regexQuoteMeta (print "." .Values.domain)) | quote }}
      tls: {passthrough: true}
      service: gateway
  services:
    gateway:
      loadBalancer:
        servers:
          - address: {{ include "ingress.at" (dict "host" .Values.addresses.gateway "port" 443) | quote }}
{{- with .Values.routes }}
http:
  middlewares:
    # Who a browser says that somebody is counts for nothing.
    no_claims:
      headers:
        customRequestHeaders:
          {{- range tuple "User" "Email" "Groups" "Preferred-Username" "Redirect" }}
          X-Auth-Request-{{ . }}: ""
          {{- end }}
    {{- range . }}
    {{- if .forwarded }}
    {{ .name }}:
      {{- if not .allowed }}
      # No group of the company's stands for any that may enter; the sign-in takes an empty list for everybody.
      ipAllowList: {sourceRange: [255.255.255.255/32]}
      {{- else }}
      forwardAuth:
        # Not its /oauth2/auth: here it sends strangers to the issuer itself, and back to what X-Forwarded-Uri says.
        address: {{ printf "http://%s.%s.svc.cluster.local.:%v/?allowed_groups=%s" $.Values.forwardAuth.service $.Values.forwardAuth.namespace $.Values.forwardAuth.port (join "," .allowed | urlquery) | quote }}
        authResponseHeaders: [X-Auth-Request-User, X-Auth-Request-Email, X-Auth-Request-Groups, X-Auth-Request-Preferred-Username]
        trustForwardHeader: false
        maxResponseBodySize: 65536
      {{- end }}
    {{- end }}
    {{- end }}
  routers:
    {{- range . }}
    # Before any Ingress object of the same name.
    {{ .name }}:
      entryPoints: [https]
      rule: {{ printf "Host(`%s`)" .host | quote }}
      priority: 100000
      middlewares: [no_claims{{ if .forwarded }}, {{ .name }}{{ end }}]
      service: {{ .name }}
    {{- if .forwarded }}
    {{ .name }}_sign_in:
      entryPoints: [https]
      rule: {{ printf "Host(`%s`) && PathPrefix(`/oauth2/`)" .host | quote }}
      priority: 100001
      middlewares: [no_claims]
      service: sign_in
    {{- end }}
    {{- end }}
  services:
    {{- if $.Values.forwardAuth.service }}
    sign_in:
      loadBalancer:
        servers:
          - url: {{ printf "http://%s.%s.svc.cluster.local.:%v" $.Values.forwardAuth.service $.Values.forwardAuth.namespace $.Values.forwardAuth.port | quote }}
    {{- end }}
    {{- range . }}
    {{ .name }}:
      loadBalancer:
        servers:
          - url: {{ printf "%s://%s.%s.svc.cluster.local.:%v" (ternary "https" "http" .tls) .service .namespace .port | quote }}
        {{- if .tls }}
        serversTransport: {{ .name }}
        {{- end }}
    {{- end }}
  {{- $speaking := list }}
  {{- range . }}{{ if .tls }}{{ $speaking = append $speaking . }}{{ end }}{{ end }}
  {{- with $speaking }}
  serversTransports:
    {{- range . }}
    {{ .name }}:
      serverName: {{ printf "%s.%s.svc" .service .namespace }}
      rootCAs: [/etc/traefik/authorities/ca.crt]
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}

{{/* An address with a port: (dict "host" ADDRESS "port" NUMBER). */}}
{{- define "ingress.at" -}}
{{ if contains ":" .host }}[{{ .host }}]{{ else }}{{ .host }}{{ end }}:{{ .port }}
{{- end }}
