#!/bin/bash
# A search on several nodes of a Slurm cluster: sbatch deploy/slurm.sh --preset discover --run RUN
# Ask for it again to go on: a run that exists is resumed.
#SBATCH --job-name=evosearch
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem-per-cpu=2G
#SBATCH --time=04:00:00
#SBATCH --signal=B:TERM@120
# The last line has the search save and stop two minutes before Slurm would kill it.
set -euo pipefail

umask 077
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH="$HOME/.evosearch-$SLURM_JOB_ID.token"
python -c 'import secrets; print(secrets.token_hex(32), end="")' > "$RAY_AUTH_TOKEN_PATH"
export RAY_USAGE_STATS_ENABLED=0
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT

head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 20000))
srun --overlap --nodes=1 --ntasks=1 -w "$head" \
    ray start --head --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" --include-dashboard=false --block &
if [ "$SLURM_NNODES" -gt 1 ]; then
    sleep 20
    srun --overlap --nodes=$((SLURM_NNODES - 1)) --ntasks=$((SLURM_NNODES - 1)) --exclude="$head" \
        ray start --address="$head:$port" --num-cpus="$SLURM_CPUS_PER_TASK" --block &
fi
sleep 20

run=""
previous=""
for word in "$@"; do
    [ "$previous" = "--run" ] && run=$word
    previous=$word
done
workers=$((SLURM_NNODES * SLURM_CPUS_PER_TASK))
if [ -n "$run" ] && [ -d "$run/journal" ]; then
    evosearch resume "$run" --address "$head:$port" --workers "$workers" &
else
    evosearch search "$@" --address "$head:$port" --workers "$workers" &
fi
search=$!
trap 'kill -TERM "$search"' TERM
wait "$search" || true
wait "$search"
