#!/usr/bin/env bash
# Run a command as the user 1000, who may open /dev/fuse as on a usual machine: as_user.sh COMMAND [ARGUMENT ...]
set -euo pipefail

# shellcheck disable=SC2016
exec unshare --mount --propagation private sh -c '
    node=$(mktemp -u) && mknod "$node" c 10 229 && chmod 666 "$node"
    mount --bind "$node" /dev/fuse && rm -f "$node"
    exec setpriv --reuid 1000 --regid 1000 --clear-groups env HOME=/nonexistent "$@"' as_user "$@"
