#!/bin/bash
# settings CONTAINER: write the parameters of SSM below SETTINGS_PATH to /run/containers/CONTAINER.env, NAME as PREFIX NAME.
#
# /run is in memory, and only root can read the file, so no secret is on disk. (Docker keeps a container's environment with
# the container, on the encrypted disk, until it ends.) Without a SETTINGS_PATH the file is empty.
set -euo pipefail
umask 077
container=$1
folder=${RUN_FOLDER:-/run/containers}
mkdir -p "$folder"
file=$folder/$container.env
: >"$file.new"
if [ -n "${SETTINGS_PATH:-}" ]; then
  found=$(aws ssm get-parameters-by-path --region "$REGION" --path "$SETTINGS_PATH" --with-decryption \
    --query 'Parameters[].[Name,Value]' --output text)
  while IFS=$'\t' read -r name value; do
    name=${name##*/}
    [[ $name =~ ^[A-Z][A-Z_]*$ ]] || {
      # The line may be the second line of a secret, so the message does not repeat it.
      echo "settings: below $SETTINGS_PATH is a name that no setting can have, or a value of several lines" >&2
      exit 1
    }
    printf '%s%s=%s\n' "$PREFIX" "$name" "$value" >>"$file.new"
  done <<<"$found"
  [ -s "$file.new" ] || { echo "settings: nothing below $SETTINGS_PATH" >&2; exit 1; }
fi
mv "$file.new" "$file"
