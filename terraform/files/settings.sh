#!/bin/bash
# settings CONTAINER: write the parameters of SSM below SETTINGS_PATH to /run/containers/CONTAINER.env, NAME as PREFIX NAME.
#
# /run is in memory, and only root can read the file, so no secret is on disk. (Docker keeps a container's environment with
# the container, on the encrypted disk, until it ends.) Without a SETTINGS_PATH the file is empty. When SSM cannot be reached,
# the settings of the last start since the machine's boot stay: a container that ends starts again without SSM.
set -euo pipefail
umask 077
container=$1
folder=${RUN_FOLDER:-/run/containers}
mkdir -p "$folder"
file=$folder/$container.env
: >"$file.new"
if [ -n "${SETTINGS_PATH:-}" ]; then
  failed=0
  found=$(AWS_RETRY_MODE=standard aws ssm get-parameters-by-path --region "$REGION" --path "$SETTINGS_PATH" --with-decryption \
    --query 'Parameters[].[Name,Value]' --output text --cli-connect-timeout 10 --cli-read-timeout 20 2>"$file.said") || failed=$?
  cat "$file.said" >&2
  if [ "$failed" != 0 ]; then
    # An answer of AWS, such as a missing right, is no outage.
    grep -qE 'Could not connect to the endpoint|Connect timeout|Read timeout' "$file.said" && [ -s "$file" ] || exit "$failed"
    echo "settings: SSM cannot be reached; the settings of the last start stay" >&2
    rm -f "$file.new" "$file.said"
    exit
  fi
  rm -f "$file.said"
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
