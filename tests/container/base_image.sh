#!/usr/bin/env bash
# Make a system named debian:bookworm-slim out of Debian packages, for machines that reach no registry, with this
# machine's certificates, apt sources and pip settings, so that the recipes need none of them: base_image.sh TAR
set -euo pipefail

tar=$1
settings=$(mktemp -d)
trap 'rm -rf "$settings"' EXIT

{
    echo "[global]"
    echo "cert = /etc/ssl/certs/ca-certificates.crt"
    for key in index-url find-links; do
        value=$(python3 -m pip config get "global.$key" 2> /dev/null || true)
        [ -z "$value" ] || echo "$key = $value"
    done
} > "$settings/pip.conf"
links=$(sed -n 's#^find-links = \(/.*\)#\1#p' "$settings/pip.conf")

# As in the image of that name, packages are not kept; a mirror may be a snapshot, whose date has passed.
cat > "$settings/test.conf" << END
APT::Keep-Downloaded-Packages "false";
Acquire::Check-Valid-Until "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
chmod 644 "$settings"/*

hooks=(
    "upload $settings/pip.conf /etc/pip.conf"
    "upload $settings/test.conf /etc/apt/apt.conf.d/99test"
    "upload /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/debian.sources"
)
for certificate in /usr/local/share/ca-certificates/*.crt; do
    [ ! -e "$certificate" ] || hooks+=("upload $certificate $certificate")
done
# mmdebstrap fills in $1, the root of the new system.
# shellcheck disable=SC2016
hooks+=(
    'chroot "$1" update-ca-certificates'
    "mkdir -p \"\$1$links\""
    'rm -rf "$1"/etc/apt/sources.list "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*'
)
mmdebstrap --quiet --variant=minbase --include=ca-certificates --aptopt='Acquire::Check-Valid-Until "false"' \
    "${hooks[@]/#/--customize-hook=}" bookworm "$tar"
