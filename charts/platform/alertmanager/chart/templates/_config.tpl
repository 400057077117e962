{{/* Who is told, and when: the site's receivers in one, so that a silence or a group holds for all of them. */}}
{{- define "alertmanager.config" -}}
{{- $severities := dict "info" "info|warning|critical" "warning" "warning|critical" "critical" "critical" }}
route:
  receiver: nobody
  group_by: [alertname]
  group_wait: {{ .Values.group }}
  group_interval: 5m
  repeat_interval: {{ .Values.repeat }}
  routes:
    - receiver: site
      matchers: ['severity=~"{{ get $severities .Values.least }}"']
# Of a gateway that is gone, only that is said, and not what follows from it.
inhibit_rules:
  - source_matchers: ['alertname="GatewayDown"']
    target_matchers: ['alertname=~"TargetDown|ModelWithoutReplica"']
receivers:
  - name: nobody
  - name: site
    {{- with .Values.mail }}
    {{- if .to }}
    email_configs:
      - to: {{ join ", " .to | quote }}
        from: {{ .from | quote }}
        smarthost: {{ printf "%s:%v" .host (.port | default 587) | quote }}
        require_tls: {{ ne .requireTls false }}
        send_resolved: true
        headers:
          Subject: {{ include "alertmanager.title" $ | quote }}
        html: ""
        text: {{ include "alertmanager.text" $ | quote }}
        {{- with .user }}
        auth_username: {{ . | quote }}
        auth_password_file: /etc/aiplat/alertmanager/mail-password
        {{- end }}
        {{- if .ca }}
        tls_config: {ca_file: /etc/aiplat/alertmanager/mail-ca.crt}
        {{- end }}
    {{- end }}
    {{- end }}
    {{- with .Values.webhooks }}
    webhook_configs:
      {{- range $n, $hook := . }}
      - url_file: /etc/aiplat/alertmanager/webhook-{{ $n }}-url
        send_resolved: true
        http_config:
          follow_redirects: false
          {{- if $hook.token }}
          authorization: {credentials_file: /etc/aiplat/alertmanager/webhook-{{ $n }}-token}
          {{- end }}
          {{- if $hook.ca }}
          tls_config: {ca_file: /etc/aiplat/alertmanager/webhook-{{ $n }}-ca.crt}
          {{- end }}
      {{- end }}
    {{- end }}
    {{- with .Values.chats }}
    slack_configs:
      {{- range $n, $chat := . }}
      - api_url_file: /etc/aiplat/alertmanager/chat-{{ $n }}-url
        send_resolved: true
        {{- with $chat.channel }}
        channel: {{ . | quote }}
        {{- end }}
        title: {{ include "alertmanager.title" $ | quote }}
        text: {{ include "alertmanager.text" $ | quote }}
        fallback: {{ include "alertmanager.title" $ | quote }}
        http_config:
          follow_redirects: false
          {{- if $chat.ca }}
          tls_config: {ca_file: /etc/aiplat/alertmanager/chat-{{ $n }}-ca.crt}
          {{- end }}
      {{- end }}
    {{- end }}
{{- end }}

{{- define "alertmanager.title" -}}
{{ printf "[%s] {{ .Status }}: {{ .CommonLabels.alertname }} ({{ .CommonLabels.severity }})" .Values.site }}
{{- end }}

{{/* One paragraph an alert: what is wrong, where, and which page says what to do. */}}
{{- define "alertmanager.text" -}}
{{ print "{{ range .Alerts }}{{ .Annotations.summary }}. {{ .Annotations.description }}\nWhat to do: {{ .Annotations.runbook }}\n\n{{ end }}" }}
{{- end }}

{{/* What the configuration refers to as files; addresses of webhooks are as good as passwords. */}}
{{- define "alertmanager.files" -}}
{{- $files := dict }}
{{- with .Values.mail.password }}{{ $_ := set $files "mail-password" . }}{{ end }}
{{- with .Values.mail.ca }}{{ $_ := set $files "mail-ca.crt" . }}{{ end }}
{{- range $kind, $list := dict "webhook" .Values.webhooks "chat" .Values.chats }}
{{- range $n, $entry := $list }}
{{- range $key, $file := dict "url" "url" "token" "token" "ca" "ca.crt" }}
{{- with get $entry $key }}{{ $_ := set $files (printf "%s-%d-%s" $kind $n $file) . }}{{ end }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $files }}
{{- end }}
