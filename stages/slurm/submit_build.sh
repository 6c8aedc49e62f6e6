#!/usr/bin/env bash
# build-cufed5 as an array job on SLURM, without Dask. From the repository's root:
#
#   stages/slurm/submit_build.sh N ALBUMS OUT [OPTIONS…]
#
# N array tasks make features and counts, each of every Nth album; then one job merges them into the
# data set. OPTIONS are build-cufed5's. What else sbatch needs (partition, account) goes into the two
# scripts, or into SBATCH_PARTITION and SBATCH_ACCOUNT. Submitted again, it does what is missing.
set -euo pipefail

if [ $# -lt 3 ]; then
  echo "Usage: $0 N ALBUMS OUT [OPTIONS…]" >&2
  exit 2
fi
scripts=$(dirname "$0")
shards=$(sbatch --parsable --array="1-$1" "$scripts/build_shard.sbatch" "$@")
shards=${shards%%;*} # "ID;CLUSTER" on federated sites
shift
merge=$(sbatch --parsable --dependency="afterok:$shards" --kill-on-invalid-dep=yes \
  "$scripts/build_merge.sbatch" "$@")
echo "Array job $shards makes the shards, job ${merge%%;*} merges them into $2."
