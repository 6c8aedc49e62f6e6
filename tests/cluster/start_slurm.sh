#!/usr/bin/env bash
# Install and start a SLURM of one node, this machine, to test on: munged, slurmctld and slurmd from
# Debian's packages, without systemd and cgroups, as in a container. It is not for real work.
# Ends when the node is idle; otherwise with a line that says why not. Running it twice is harmless.
set -euo pipefail

fail() {
  echo "no SLURM here: $*" >&2
  exit 1
}
node_is_idle() { [ -n "$(timeout 5 sinfo --noheader --states=idle --format=%n 2>/dev/null)" ]; }
start() { "$@" >"$LOG" 2>&1 9>&- || fail "$* failed: $(tail -n 1 "$LOG")"; }

CONF=/etc/slurm/slurm.conf
MARK="# Written by start_slurm.sh"
LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT

if command -v sinfo >/dev/null && node_is_idle; then exit 0; fi
[ "$(id -u)" = 0 ] || fail "installing it takes root"
exec 9>/run/start_slurm.lock
flock 9 # of two at once, one waits for the other
if ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
  command -v apt-get >/dev/null || fail "there is no apt-get to install it"
  export DEBIAN_FRONTEND=noninteractive
  start apt-get update -qq
  start apt-get install -qq -y --no-install-recommends munge slurm-client slurmctld slurmd
fi
if [ -e "$CONF" ] && ! grep -q "$MARK" "$CONF"; then fail "$CONF is another cluster's"; fi

# munged vouches for users between the daemons.
[ -s /etc/munge/munge.key ] || start mungekey --create
chown munge: /etc/munge/munge.key
mkdir -p /run/munge /var/lib/munge /var/log/munge
chown munge: /run/munge /var/lib/munge /var/log/munge
chmod 755 /run/munge
munge --no-input >/dev/null 2>&1 || start runuser -u munge -- munged --force

# The processors and the memory that slurmd itself sees; all else is the least that runs jobs.
hardware=$(slurmd -C | head -n 1)
mkdir -p /etc/slurm /var/lib/slurm/ctld /var/lib/slurm/d /var/log/slurm
cat >"$CONF" <<CONFIG
$MARK
ClusterName=test
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=/var/lib/slurm/ctld
SlurmdSpoolDir=/var/lib/slurm/d
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
SlurmctldLogFile=/var/log/slurm/slurmctld.log
SlurmdLogFile=/var/log/slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=2
$hardware NodeAddr=127.0.0.1 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=60 State=UP
CONFIG

timeout 5 scontrol ping 2>/dev/null | grep -q UP || start slurmctld
pgrep -x slurmd >/dev/null || start slurmd

for _ in $(seq 60); do
  if node_is_idle; then exit 0; fi
  # A node that went down with an earlier run comes back when it is told to.
  scontrol update "NodeName=$(hostname)" State=RESUME >/dev/null 2>&1 || true
  sleep 0.5
done
fail "no idle node after 30 s: $(sinfo --noheader --format='%T %E' 2>&1 | head -n 1)"
