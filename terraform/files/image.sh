#!/bin/bash
# image: pull IMAGE, named by digest, unless it is present. The ECR sign-in stays in memory and is removed at once.
set -euo pipefail
umask 077
docker image inspect "$IMAGE" >/dev/null 2>&1 && exit
DOCKER_CONFIG=$(mktemp -d "${RUN_FOLDER:-/run/containers}/docker.XXXXXX")
export DOCKER_CONFIG
trap 'rm -rf "$DOCKER_CONFIG"' EXIT
aws ecr get-login-password --region "$REGION" | docker login --username AWS --password-stdin "${IMAGE%%/*}" >/dev/null
docker pull --quiet "$IMAGE"
docker image prune --all --force --filter until=168h >/dev/null # old images without a container
