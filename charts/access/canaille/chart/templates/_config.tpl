{{/* Canaille's configuration without its secrets; the program reads those from files. */}}
{{- define "canaille.config" -}}
{{- $seconds := mul .Values.hours.session 3600 -}}
SERVER_NAME = {{ printf "login.%s" .Values.domain | quote }}
PREFERRED_URL_SCHEME = "https"
# Also: with it, people get links of 128 random bits, without it codes of six digits.
TRUSTED_HOSTS = [{{ printf "login.%s" .Values.domain | quote }}]
PERMANENT_SESSION_LIFETIME = "PT{{ .Values.hours.session }}H"
MAX_CONTENT_LENGTH = 2097152

# A refresh token dies with its access token.
[OAUTH2_TOKEN_EXPIRES_IN]
authorization_code = {{ $seconds }}
refresh_token = {{ $seconds }}

[CANAILLE]
NAME = {{ .Values.site | quote }}
DATABASE = "sql"
LOGO = ""   # theirs is a picture that no screen reader can tell of
FORCE_HTTPS = true
ENABLE_REGISTRATION = false
ENABLE_INTRUDER_LOCKOUT = true
HIDE_INVALID_LOGINS = true
ENABLE_PASSWORD_COMPROMISSION_CHECK = false
AUTHENTICATION_FACTORS = {{ .Values.factors | toJson }}
MIN_PASSWORD_LENGTH = {{ .Values.passwordLength }}
OTP_LIFETIME = "PT{{ .Values.hours.link }}H"
INVITATION_EXPIRATION = {{ mul .Values.hours.link 3600 }}
{{- with .Values.mail }}

[CANAILLE.SMTP]
HOST = {{ .host | quote }}
PORT = {{ .port | default 25 }}
TLS = {{ .tls | default false }}
{{- with .user }}
LOGIN = {{ . | quote }}
{{- end }}
FROM_ADDR = {{ .from | default (printf "login@%s" $.Values.domain) | quote }}
{{- end }}

# People change what is theirs alone: names, addresses and groups are what programs know them by.
[CANAILLE.ACL.EVERYBODY]
PERMISSIONS = ["edit_self", "use_oidc"]
READ = ["user_name", "emails", "groups", "lock_date"]
WRITE = ["display_name", "given_name", "family_name", "formatted_name", "password", "phone_numbers", "photo", "preferred_language"]

# No clients, which components say, and no acting as somebody else. People, locks and the site's own groups
# are changed by its programs alone (aiplat/services/signin/kept.py); groups for teams are made here.
[CANAILLE.ACL.ADMINS]
FILTER = {groups = "admin"}
PERMISSIONS = ["manage_users", "manage_all_groups"]
READ = []
WRITE = ["emails", "groups", "user_name"]

[CANAILLE_SQL]
AUTO_MIGRATE = false
POOL_PRE_PING = true

[CANAILLE_OIDC]
REQUIRE_NONCE = false   # not every program sends one
# Nobody is asked for consent: clients are the site's own, those of the command line are on people's machines.
TRUSTED_DOMAINS = [{{ printf ".%s" .Values.domain | quote }}, "127.0.0.1"]
DYNAMIC_CLIENT_REGISTRATION_OPEN = false

[CANAILLE_OIDC.USERINFO_MAPPING]
SUB = "{{ "{{ user.id }}" }}"
PREFERRED_USERNAME = "{{ "{{ user.user_name }}" }}"
{{- end }}

{{/* Kubelet's probes come as the ingress' requests do, else the answer leads them to the real name. */}}
{{- define "canaille.probe" -}}
httpGet:
  path: /.well-known/openid-configuration
  port: http
  httpHeaders:
    - {name: Host, value: login.{{ .domain }}}
    - {name: X-Forwarded-Proto, value: https}
periodSeconds: {{ .every }}
failureThreshold: {{ .failures }}
timeoutSeconds: 5
{{- end }}
