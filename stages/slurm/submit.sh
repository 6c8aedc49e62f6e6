#!/usr/bin/env bash
# A stage as an array job on SLURM, without Dask. From the repository's root:
#
#   stages/slurm/submit.sh build-cufed5 N ALBUMS OUT [OPTIONS…]
#   stages/slurm/submit.sh precompute-swaps N DATASET OUT [OPTIONS…]
#
# N array tasks make each a part of the features and counts, or every Nth file of swaps; then one
# job merges them. OPTIONS are the command's. What else sbatch needs (partition, account) goes into
# the two scripts, or into SBATCH_PARTITION and SBATCH_ACCOUNT; a GPU for each task: SBATCH_GPUS=1.
# Submitted again, it does what is missing.
set -euo pipefail

if [ $# -lt 4 ]; then
  echo "Usage: $0 COMMAND N INPUT OUT [OPTIONS…]" >&2
  exit 2
fi
command=$1 n=$2
shift 2
scripts=$(dirname "$0")
shards=$(sbatch --parsable --array="1-$n" "$scripts/shard.sbatch" "$command" "$n" "$@")
shards=${shards%%;*} # "ID;CLUSTER" on federated sites
merge=$(sbatch --parsable --dependency="afterok:$shards" --kill-on-invalid-dep=yes \
  "$scripts/merge.sbatch" "$command" "$@")
echo "Array job $shards makes the shards, job ${merge%%;*} merges them into $2."
