#!/usr/bin/env bash
# precompute-swaps as an array job on SLURM, without Dask. From the repository's root:
#
#   stages/slurm/submit_swaps.sh N DATASET OUT [OPTIONS…]
#
# N array tasks make the swaps, each of every Nth shard file; then one job writes the index over them.
# OPTIONS are precompute-swaps's. What else sbatch needs (partition, account) goes into the two
# scripts, or into SBATCH_PARTITION and SBATCH_ACCOUNT; a GPU for each task: SBATCH_GPUS=1. Submitted
# again, it does what is missing.
set -euo pipefail

if [ $# -lt 3 ]; then
  echo "Usage: $0 N DATASET OUT [OPTIONS…]" >&2
  exit 2
fi
scripts=$(dirname "$0")
shards=$(sbatch --parsable --array="1-$1" "$scripts/swaps_shard.sbatch" "$@")
shards=${shards%%;*} # "ID;CLUSTER" on federated sites
shift
merge=$(sbatch --parsable --dependency="afterok:$shards" --kill-on-invalid-dep=yes \
  "$scripts/swaps_merge.sbatch" "$@")
echo "Array job $shards makes the shards, job ${merge%%;*} writes their index to $2."
