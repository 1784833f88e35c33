#!/bin/sh
# Install the servers that the tests talk to, where this may be done without asking anybody.
# Where it may not, say so: the tests that need them skip by name (and fail when CI=true).
set -eu
packages="chromium redis-server prometheus systemd iproute2 faketime mosquitto mosquitto-clients nats-server zsh fish man-db groff openssl python3-gi gir1.2-gst-rtsp-server-1.0
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"

missing=""
for package in $packages; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then run=""; elif sudo -n true 2>/dev/null; then run="sudo -n"; else run="no"; fi
if [ "$run" = no ] || ! command -v apt-get >/dev/null; then
  echo "Not installed, and no right to install:$missing. Tests that need them are skipped." >&2
  exit 0
fi
echo "Installing for the tests:$missing"
$run env DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -qq && \
  RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $(echo $missing) >/dev/null"
