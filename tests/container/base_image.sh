#!/usr/bin/env bash
# Make an image named debian:bookworm-slim out of Debian packages, for machines that reach no registry, with this
# machine's certificates, apt sources and pip settings, so that the Dockerfile needs none of them. It is for testing only.
set -euo pipefail

tar=$1
pip_conf=$(mktemp)
trap 'rm -f "$pip_conf"' EXIT
{
    echo "[global]"
    echo "cert = /etc/ssl/certs/ca-certificates.crt"
    for key in index-url find-links; do
        value=$(python3 -m pip config get "global.$key" 2> /dev/null || true)
        [ -z "$value" ] || echo "$key = $value"
    done
} > "$pip_conf"
links=$(sed -n 's#^find-links = \(/.*\)#\1#p' "$pip_conf")

# $1 in hooks is the root of the new system.
# shellcheck disable=SC2016
mmdebstrap --quiet --variant=minbase --include=ca-certificates --aptopt='Acquire::Check-Valid-Until "false"' \
    --customize-hook='mkdir -p "$1/usr/local/share/ca-certificates"' \
    --customize-hook='find /usr/local/share/ca-certificates -name "*.crt" -exec cp -L {} "$1/usr/local/share/ca-certificates/" \;' \
    --customize-hook='chroot "$1" update-ca-certificates' \
    --customize-hook='rm -f "$1/etc/apt/sources.list"; cp -a /etc/apt/sources.list.d/debian.sources "$1/etc/apt/sources.list.d/"' \
    --customize-hook='echo "Acquire::Check-Valid-Until \"false\";" > "$1/etc/apt/apt.conf.d/99snapshot"' \
    --customize-hook='echo "APT::Keep-Downloaded-Packages \"false\"; Dir::Cache::pkgcache \"\"; Dir::Cache::srcpkgcache \"\";" >> "$1/etc/apt/apt.conf.d/99snapshot"' \
    --customize-hook="cp '$pip_conf' \"\$1/etc/pip.conf\"; chmod 644 \"\$1/etc/pip.conf\"" \
    --customize-hook="mkdir -p \"\$1$links\"" \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
    bookworm "$tar"
