#!/bin/sh
# Show what Home Assistant gets from the broker: the documents by which it finds devices and entities, whether we are
# online, the states of the sensors, and the events.
#
#     sh examples/home_assistant.sh localhost 1883
#
# What stands after the port goes to mosquitto_sub, as -u and -P for a login.
set -eu
host=${1:-localhost}
port=${2:-1883}
[ $# -le 2 ] && shift $# || shift 2
exec mosquitto_sub -h "$host" -p "$port" -v -t 'homeassistant/device/+/config' -t 'xclip-stream/#' "$@"
