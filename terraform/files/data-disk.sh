#!/bin/bash
# data-disk DEVICE OWNER: mount the disk on /data and give it to OWNER. Format a blank disk; keep an existing file system.
# Wait for a disk that is attached after the start.
set -euo pipefail
device=$1 owner=$2
for _ in $(seq 120); do
  [ -b "$device" ] && break
  sleep 1
done
[ -b "$device" ] || { echo "data-disk: there is no $device" >&2; exit 1; }
# blkid exits with 2 when the disk is blank; any other code is an error.
kind=$(blkid --probe --output value --match-tag TYPE "$device") || [ $? -eq 2 ]
[ -n "$kind" ] || mkfs.ext4 -q -L data "$device"
mkdir -p /data
grep -q '^LABEL=data ' /etc/fstab || echo 'LABEL=data /data ext4 defaults,noatime,nofail 0 2' >>/etc/fstab
mountpoint -q /data || mount /data
chown "$owner:$owner" /data
chmod 0700 /data
