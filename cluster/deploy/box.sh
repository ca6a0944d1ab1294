#!/bin/sh
# What the image does where nothing else is asked of it. With a public key in PUBLIC_KEY, as RunPod sets it
# for its pods, it is a rented box that the fleet reaches by SSH; without one it shows the preflight.
set -eu
[ -n "${PUBLIC_KEY:-}" ] || exec python -m tune.preflight
mkdir -p -m 0700 "$HOME/.ssh"
printf '%s\n' "$PUBLIC_KEY" >> "$HOME/.ssh/authorized_keys"
chmod 0600 "$HOME/.ssh/authorized_keys"
ssh-keygen -A  # this container's own host keys: the image has none
service ssh start
# This stays process 1: the dead-man reads the container's variables there, and sshd writes over its own.
trap 'exit 0' TERM INT
sleep infinity &
wait
