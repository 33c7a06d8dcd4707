#!/usr/bin/env bash
# Every participant of a BIDS dataset as a task of an array, and the group level after them:
#
#   examples/slurm/submit.sh BIDS_DIR OUT_DIR [OPTION OF BIDS_T1 ...]
#
# BIDS_T1_SIF=FILE     run this container; by default the bids_t1 on the PATH
# BIDS_T1_GPU=1        one GPU per task, and one for the group, which trains a calibration with --calibration-preset full
# BIDS_T1_CPUS=N       processors per task, and of the group (2)
# BIDS_T1_TASKS=N      tasks at a time (50)
# SBATCH_ACCOUNT, SBATCH_PARTITION, SBATCH_TIMELIMIT and the like are read by sbatch itself.
#
# Submitting the same line again goes on where an interrupted array stopped: finished participants are left as they are.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "submit.sh BIDS_DIR OUT_DIR [OPTION OF BIDS_T1 ...]" >&2
    exit 64
fi
here=$(dirname "$(realpath "$0")")
bids_dir=$(realpath "$1") out_dir=$(realpath -m "$2")
shift 2
labels=$(find -L "$bids_dir" -maxdepth 2 -type d \( -path "$bids_dir/sub-*" -o -path "$bids_dir/sourcedata/sub-*" \) \
    -name 'sub-*' -printf '%f\n' | sort -u | sed 's/^sub-//' | tr '\n' ' ')
n_labels=$(wc -w <<< "$labels")
if [ "$n_labels" -eq 0 ]; then
    echo "$bids_dir: holds no sub-* folders; expected a BIDS dataset" >&2
    exit 66
fi
mkdir -p "$out_dir"

common=(--parsable --export="ALL,BIDS_T1_SIF=${BIDS_T1_SIF:+$(realpath "$BIDS_T1_SIF")}")
tasks=("${common[@]}" --array="0-$((n_labels - 1))%${BIDS_T1_TASKS:-50}" --cpus-per-task="${BIDS_T1_CPUS:-2}"
    --output=bids_t1-%A_%a.out)
together=("${common[@]}" --cpus-per-task="${BIDS_T1_CPUS:-2}")
if [ -n "${BIDS_T1_GPU:-}" ]; then tasks+=(--gres=gpu:1) together+=(--gres=gpu:1); fi
array=$(sbatch "${tasks[@]}" "$here/bids_t1.sbatch" "$bids_dir" "$out_dir" participant "$labels" "$@")
array=${array%%;*}
group=$(sbatch "${together[@]}" --dependency="afterany:$array" \
    "$here/bids_t1.sbatch" "$bids_dir" "$out_dir" group "" "$@")
echo "$n_labels participants: array $array; group level after them: job ${group%%;*}"
