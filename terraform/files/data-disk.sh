#!/bin/bash
# data-disk DEVICE OWNER: mounts the disk on /data, which then is OWNER's. A blank disk is formatted; one with a file system
# keeps it. Waits for a disk that is attached only after the start.
set -euo pipefail
device=$1 owner=$2
for _ in $(seq 120); do
  [ -b "$device" ] && break
  sleep 1
done
[ -b "$device" ] || { echo "data-disk: there is no $device" >&2; exit 1; }
# blkid ends with 2 where it has found nothing on the disk; with anything else it has not looked.
kind=$(blkid --probe --output value --match-tag TYPE "$device") || [ $? -eq 2 ]
[ -n "$kind" ] || mkfs.ext4 -q -L data "$device"
mkdir -p /data
grep -q '^LABEL=data ' /etc/fstab || echo 'LABEL=data /data ext4 defaults,noatime,nofail 0 2' >>/etc/fstab
mountpoint -q /data || mount /data
chown "$owner:$owner" /data
chmod 0700 /data
