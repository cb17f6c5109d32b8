# Shared by the scripts beside it. DRY_RUN=1 prints commands instead of running them.
set -euo pipefail

MODEL="${MODEL:-xintongzhang/CoF-rl-model-7b}"
IMAGES="${IMAGES:-6}"
PORT="${PORT:-8000}"
SERVERS="${SERVERS:-$PWD/servers.txt}"

run() {
  if [ -n "${DRY_RUN:-}" ]; then
    printf '%s\n' "$(printf '%q ' "$@")" # in one write: commands in the background print too
  else
    "$@"
  fi
}

# Change the list of servers in one step: readers see the old list or the new one, never half of it.
list_with() {
  (
    flock 9
    { grep -vxF -- "$1" "$SERVERS" || true; echo "$1"; } > "$SERVERS.new" 2> /dev/null
    mv "$SERVERS.new" "$SERVERS"
  ) 9> "$SERVERS.lock"
}

list_without() {
  (
    flock 9
    { grep -vxF -- "$1" "$SERVERS" || true; } > "$SERVERS.new" 2> /dev/null
    mv "$SERVERS.new" "$SERVERS"
  ) 9> "$SERVERS.lock"
}

own_address() {
  hostname -I | cut -d ' ' -f 1
}
