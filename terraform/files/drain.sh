#!/bin/bash
# drain: wait until Auto Scaling ends this machine, then stop the service and empty its outboxes into DynamoDB and the queue of
# events. What these do not accept in time goes into a bucket. Auto Scaling waits for it (modules/compute/refreshers.tf).
set -euo pipefail
metadata=${METADATA_URL:-http://169.254.169.254}
data=${DATA_FOLDER:-/data}

ask() { # PATH
  local token
  token=$(curl -sf -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/latest/api/token") &&
    curl -sf -m 2 -H "X-aws-ec2-metadata-token: $token" "$metadata/latest/meta-data/$1"
}

until [ "$(ask autoscaling/target-lifecycle-state || true)" = Terminated ]; do
  sleep "${LOOK_SECONDS:-5}"
done
echo "drain: Auto Scaling ends this machine"
systemctl stop container-health@aggregator.timer container@aggregator.service
"${0%/*}/settings" aggregator
# shellcheck disable=SC2086 # OPTIONS are several words
if docker run --rm --network host --env-file "${RUN_FOLDER:-/run/containers}/aggregator.env" $OPTIONS "$IMAGE" \
  drain --patience "${DRAIN_SECONDS:-90}"; then
  echo "drain: the outbox is empty"
  exit
fi
where=s3://$RESCUE_BUCKET/$(ask instance-id)-$(date -u +%Y%m%dT%H%M%SZ)
aws s3 cp --recursive --only-show-errors --region "$REGION" --exclude '*' --include 'outbox.db*' --include 'trades-outbox.db*' \
  --include 'outlets.db*' --include 'dead-letters.db*' "$data" "$where"
echo "drain: the rest is at $where"
