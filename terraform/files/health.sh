#!/bin/bash
# health CONTAINER: restarts it when its own health check has failed three times running: it hangs. One that ends by itself
# is systemd's business, and an image without a check counts as sound.
set -euo pipefail
state=$(docker inspect --format '{{with .State.Health}}{{.Status}}{{end}}' "$1" 2>/dev/null) || exit 0
[ "$state" = unhealthy ] || exit 0
echo "health: $1 does not answer, restarting it" >&2
systemctl restart "container@$1.service"
