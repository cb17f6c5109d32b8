#!/bin/bash
# vllm-router in front of the servers of servers.txt, for tools that take one URL. cof-eval itself needs none: with --base-url @servers.txt
# a conversation stays on one server, and each image travels once.
#   pip install vllm-router && examples/cluster/slurm/router.sh
# shellcheck source=examples/cluster/slurm/common.sh
source "${CLUSTER:-examples/cluster/slurm}/common.sh"

workers=()
while read -r url; do
  workers+=("${url%/v1}")
done < <(sed 's/#.*//; /^[[:space:]]*$/d' "$SERVERS")
run exec vllm-router --host 127.0.0.1 --port "${ROUTER_PORT:-8080}" --policy consistent_hash --worker-urls "${workers[@]}"
