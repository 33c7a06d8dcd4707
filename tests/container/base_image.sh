#!/usr/bin/env bash
# Make a system named debian:bookworm-slim out of Debian packages, for machines that reach no registry, with this
# machine's certificates, apt sources and pip settings, so that the recipes need none of them: base_image.sh TAR [WHEELS]
# WHEELS is a folder that pip looks into as well; it is bound where something is built.
# shellcheck disable=SC2016 # mmdebstrap fills in $1, the root of the new system
set -euo pipefail

tar=$1 wheels=${2:-}
settings=$(mktemp -d)
trap 'rm -rf "$settings"' EXIT

{
    echo "[global]"
    echo "cert = /etc/ssl/certs/ca-certificates.crt"
    index=${PIP_INDEX_URL:-$(python3 -m pip config get global.index-url 2> /dev/null || true)}
    [ -z "$index" ] || echo "index-url = $index"
    [ -z "$wheels" ] || echo "find-links = $wheels"
} > "$settings/pip.conf"

# As in the image of that name, packages are not kept; a mirror may be a snapshot, whose date has passed.
cat > "$settings/test.conf" << END
APT::Keep-Downloaded-Packages "false";
Acquire::Check-Valid-Until "false";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
END
chmod 644 "$settings"/*

hooks=("upload $settings/pip.conf /etc/pip.conf" "upload $settings/test.conf /etc/apt/apt.conf.d/99test")
sources=/etc/apt/sources.list.d/debian.sources
if [ -e "$sources" ]; then hooks+=('rm "$1/etc/apt/sources.list"' "upload $sources $sources"); fi
for certificate in /usr/local/share/ca-certificates/*.crt; do
    [ ! -e "$certificate" ] || hooks+=("upload $certificate $certificate")
done
hooks+=(
    'chroot "$1" update-ca-certificates'
    "mkdir -p \"\$1$wheels\""
    'rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*'
)
mmdebstrap --quiet --variant=minbase --include=ca-certificates --aptopt='Acquire::Check-Valid-Until "false"' \
    "${hooks[@]/#/--customize-hook=}" bookworm "$tar"
