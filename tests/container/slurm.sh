#!/usr/bin/env bash
# A Slurm of one node on the loopback, without systemd: `slurm.sh start FOLDER`, then SLURM_CONF=FOLDER/slurm.conf, and
# `slurm.sh stop FOLDER`.
set -euo pipefail

folder=$(realpath -m "$2")

configure() {
    local host memory
    host=$(hostname -s)
    memory=$(awk '/MemTotal/ { print int($2 / 1024 * 0.8) }' /proc/meminfo)
    mkdir -p "$folder/state" "$folder/spool" "$folder/log"
    cat > "$folder/slurm.conf" << END
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/log/slurmctld.log
SlurmdLogFile=$folder/log/slurmd.log
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/log/jobs.txt
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
ReturnToService=2
KillWait=10
# Neither needs control groups, which a machine inside a container seldom may change.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory
PartitionName=main Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
}

wait_for() {
    for _ in $(seq 100); do
        if "$@" 2> /dev/null; then return; fi
        sleep 0.2
    done
    echo "slurm.sh: waited in vain for: $*" >&2
    tail -n 20 "$folder"/log/*.log >&2
    exit 1
}
controller_is_up() { scontrol ping | grep -q UP; }
node_is_idle() { sinfo -h -o %T | grep -q idle; }

start() {
    configure
    export SLURM_CONF=$folder/slurm.conf
    if ! munge -n < /dev/null > /dev/null 2>&1; then
        install -d -o munge -g munge /run/munge
        runuser -u munge -- munged --pid-file=/run/munge/munged.pid
        touch "$folder/munged-is-ours"
    fi
    slurmctld
    wait_for controller_is_up
    "$(dirname "$(realpath "$0")")/with_fuse.sh" slurmd
    wait_for node_is_idle
}

stop() {
    for daemon in slurmd slurmctld; do
        if [ -s "$folder/$daemon.pid" ]; then kill "$(cat "$folder/$daemon.pid")"; fi
    done
    if [ -e "$folder/munged-is-ours" ]; then kill "$(cat /run/munge/munged.pid)"; fi
}

case $1 in
    start) start ;;
    stop) stop ;;
    *) exit 64 ;;
esac
