#!/usr/bin/env bash
# Run a command where every user may open /dev/fuse, as on a usual machine: with_fuse.sh COMMAND [ARGUMENT ...]
# Containers of a user cannot be mounted without it, and inside a machine of a cloud it often is root's alone.
set -euo pipefail

# shellcheck disable=SC2016
exec unshare --mount --propagation private sh -c '
    node=$(mktemp -u) && mknod "$node" c 10 229 && chmod 666 "$node"
    mount --bind "$node" /dev/fuse && rm -f "$node"
    exec "$@"' with_fuse "$@"
