#!/usr/bin/env bash
# Build singularity.def on a stand-in for its base image: build_sif.sh BASE_TAR SIF [WHEELS].
# Root of a machine that keeps some rights to itself is refused by Apptainer; root of a user namespace that maps every
# user to itself has all rights there, and needs no entry in /etc/subuid.
set -euo pipefail

base=$1 sif=$2 wheels=${3:-}
definition=$(mktemp --suffix .def)
gate=$(mktemp -u)
mkfifo "$gate"
trap 'rm -f "$definition" "$gate"' EXIT
sed -e 's#^Bootstrap: docker$#Bootstrap: docker-archive#' -e "s#^From: .*#From: $base#" singularity.def > "$definition"

arguments=(--build-arg TEMPLATES=local)
[ -z "$wheels" ] || arguments+=(--bind "$wheels:$wheels:ro" --build-arg TORCH_INDEX_URL=)

# The waiting shell starts Apptainer only once its users are mapped, which only its parent may do.
# shellcheck disable=SC2016
unshare --user --mount --propagation private sh -c 'read -r _ < "$0"; exec "$@"' "$gate" \
    apptainer build --force --mksquashfs-args "-comp lzo -Xcompression-level 1" "${arguments[@]}" "$sif" "$definition" &
builder=$!
until [ "$(readlink "/proc/$builder/ns/user")" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.1; done
for kind in uid gid; do echo "0 0 65536" > "/proc/$builder/${kind}_map"; done
echo > "$gate"
wait "$builder"
