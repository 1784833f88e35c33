#!/bin/sh
# Make the secrets that docker-compose.yml needs, where they are not there yet: sh deploy/secrets.sh [FOLDER]
# The folder is for you alone. The files in it are readable for the containers, which are other users, and get only
# those that are named for them.
set -eu
folder="${1:-secrets}"
mkdir -p "$folder"
chmod 700 "$folder"
for name in redis_password web_token grafana_password; do
  [ -s "$folder/$name" ] && continue
  od -An -N24 -tx1 /dev/urandom | tr -d ' \n' > "$folder/$name"
  chmod 444 "$folder/$name"
  echo "made $folder/$name"
done
