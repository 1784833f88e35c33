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
{{- if .Values.redis.bundled.enabled }}{{ include "xclip-stream.fullname" . }}-redis
{{- else }}{{ required "redis.external.host is needed where redis.bundled.enabled is false" .Values.redis.external.host }}{{ end }}
{{- end }}

{{- define "xclip-stream.redisPort" -}}
{{- ternary 6379 .Values.redis.external.port .Values.redis.bundled.enabled }}
{{- end }}

{{/* Every port that the URL of an external Redis names, and external.port: those of Sentinels or of nodes, too. */}}
{{- define "xclip-stream.redisPorts" -}}
{{- $external := .Values.redis.external }}
{{- $hosts := regexReplaceAll "[/?].*$" (regexReplaceAll "^[^:]*://(.*@)?" $external.url "") "" }}
{{- $ports := list (toString $external.port) }}
{{- range regexFindAll ":[0-9]+(,|$)" $hosts -1 }}{{ $ports = append $ports (regexFind "[0-9]+" .) }}{{ end }}
{{- if contains "+sentinel" $external.url }}{{ $ports = append $ports "26379" }}{{ end }}
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
