{{- define "xclip-stream.fullname" -}}
{{- if contains "xclip-stream" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-xclip-stream" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "xclip-stream.selector" -}}
app.kubernetes.io/name: xclip-stream
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "xclip-stream.labels" -}}
{{ include "xclip-stream.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* The configuration as YAML, read. */}}
{{- define "xclip-stream.config" -}}
{{- $config := fromYaml .Values.config }}
{{- if hasKey $config "Error" }}{{ fail (printf "config is not YAML: %s" $config.Error) }}{{ end }}
{{- if not $config.sources }}{{ fail "config is needed, with sources: --set-file config=site.yaml" }}{{ end }}
{{- if (($config.redis).url) }}{{ fail "config: leave out redis.url; the chart knows the address of Redis" }}{{ end }}
{{- toJson $config }}
{{- end }}

{{/* The namespace of the queue, which is none of Kubernetes. */}}
{{- define "xclip-stream.namespace" -}}
{{- $config := include "xclip-stream.config" . | fromJson }}
{{- (($config.redis).namespace) | default "main" }}
{{- end }}

{{- define "xclip-stream.redisHost" -}}
{{ include "xclip-stream.fullname" . }}-redis
{{- end }}

{{/*
What redis.external.url says, as JSON: scheme, hosts with their ports, user, path, options. A reference may stand in a
user or password, and has slashes of its own.
*/}}
{{- define "xclip-stream.redisUrlParts" -}}
{{- $url := required "redis.external.url is needed where redis.bundled.enabled is false" .Values.redis.external.url }}
{{- $url = regexReplaceAllLiteral "\\$\\{[^}]*\\}" $url "${}" }}
{{- $scheme := regexFind "^[^:]+" $url }}
{{- $rest := trimPrefix (printf "%s://" $scheme) $url }}
{{- $authority := regexFind "^[^/?]*" $rest }}
{{- $query := regexFind "[?].*$" $rest }}
{{- $path := trimPrefix "/" (trimSuffix $query (trimPrefix $authority $rest)) }}
{{- $user := regexFind "^[^:]*" (regexFind "^.*@" $authority | trimSuffix "@") }}
{{- $default := ternary "26379" "6379" (contains "+sentinel" $scheme) }}
{{- $hosts := list }}
{{- range splitList "," (regexReplaceAll "^.*@" $authority "") }}
{{- $hosts = append $hosts (ternary . (printf "%s:%s" . $default) (regexMatch ":[0-9]+$" .)) }}
{{- end }}
{{- $options := dict }}
{{- range splitList "&" (trimPrefix "?" $query) }}
{{- $option := splitn "=" 2 . }}
{{- $_ := set $options $option._0 ($option._1 | default "") }}
{{- end }}
{{- dict "scheme" $scheme "hosts" $hosts "user" ($options.username | default $user) "path" $path "options" $options | toJson }}
{{- end }}

{{/* Every port that the URL of an external Redis names, and external.port: those of Sentinels or of nodes, too. */}}
{{- define "xclip-stream.redisPorts" -}}
{{- $ports := list (toString .Values.redis.external.port) }}
{{- range (include "xclip-stream.redisUrlParts" . | fromJson).hosts }}{{ $ports = append $ports (regexFind "[0-9]+$" .) }}{{ end }}
{{- uniq $ports | toJson }}
{{- end }}

{{/* The workers replace the reference, so that no list of environments shows the password. */}}
{{- define "xclip-stream.redisUrl" -}}
{{- if .Values.redis.bundled.enabled -}}
redis://:${file:/run/secrets/redis_password}@{{ include "xclip-stream.redisHost" . }}:6379/0
{{- else -}}
{{ required "redis.external.url is needed where redis.bundled.enabled is false" .Values.redis.external.url }}
{{- end }}
{{- end }}

{{- define "xclip-stream.roles" -}}
{{- $roles := list "ingest" "score" "alert" "deliver" }}
{{- if .Values.web.enabled }}{{ $roles = append $roles "web" }}{{ end }}
{{- if .Values.metrics.exporter.enabled }}{{ $roles = append $roles "exporter" }}{{ end }}
{{- toJson $roles }}
{{- end }}

{{- define "xclip-stream.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end }}

{{/* One volume that is a claim where persistence is enabled, and an empty folder where not. */}}
{{- define "xclip-stream.folder" -}}
{{- $persistence := (index .root.Values .name).persistence -}}
- name: {{ .name }}
{{- if $persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ $persistence.existingClaim | default (printf "%s-%s" (include "xclip-stream.fullname" .root) .name) | quote }}
{{- else }}
  emptyDir: {}
{{- end }}
{{- end }}
