#!/usr/bin/env bash
# Several processes of one stylegan-jax command on this host, joined by jax.distributed.
# It is how the multi-process path is tried, and tested, without a cluster.
set -euo pipefail

usage() {
  cat <<'EOF'
Usage: launch/local.sh N [--devices-per-process K] -- COMMAND [ARGUMENTS...]

Starts N processes of `stylegan-jax COMMAND ARGUMENTS...` on this host, joined over 127.0.0.1.
Each gets K CPU devices (default 1); on a machine whose devices jax finds by itself, set
JAX_PLATFORMS and leave K out. Every line of output begins with the process's number. When a
process fails the others are ended, and the exit code is the failed one's.

Example: two processes with two CPU devices each train the smoke configuration
  launch/local.sh 2 --devices-per-process 2 -- train --config stylegan2_auto:smoke --workdir runs/two

Environment: STYLEGAN_JAX (the command to start, default: stylegan-jax), PORT (default: a free
one), GRACE (seconds between asking a process to end and killing it, default 30).
EOF
}

wrong() {
  echo "launch/local.sh: $1 (launch/local.sh --help shows an example)" >&2
  exit 2
}

[ $# -gt 0 ] || wrong "say how many processes to start"
case $1 in -h | --help) usage && exit 0 ;; esac
[[ $1 =~ ^[1-9][0-9]*$ ]] || wrong "'$1' is not a number of processes"
processes=$1
shift
devices=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --devices-per-process)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || wrong "--devices-per-process needs a number"
      devices=$2
      shift 2
      ;;
    *) wrong "unknown option '$1': what belongs to the command comes after --" ;;
  esac
done
[ $# -gt 1 ] || wrong "say the command after --"
shift

# The programs beside this checkout's environment, unless the PATH has the command.
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -z "${STYLEGAN_JAX:-}" ]; then
  STYLEGAN_JAX=$(command -v stylegan-jax || true)
  [ -n "$STYLEGAN_JAX" ] || STYLEGAN_JAX=$here/.venv/bin/stylegan-jax
fi
[ -x "$(command -v "$STYLEGAN_JAX" || true)" ] || wrong "$STYLEGAN_JAX is not there: run make venv"

free_port() {
  local port
  for _ in $(seq 100); do
    port=$((20000 + RANDOM % 12000))
    # Nobody answers there: the connection is refused.
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
  done
  return 1
}

PORT=${PORT:-$(free_port)} || wrong "found no free port on 127.0.0.1: set PORT"
export STYLEGAN_JAX_COORDINATOR=127.0.0.1:$PORT STYLEGAN_JAX_NUM_PROCESSES=$processes
if [ -n "$devices" ]; then
  export JAX_PLATFORMS=cpu
  # The last of two equal XLA flags counts.
  export XLA_FLAGS="${XLA_FLAGS:-} --xla_force_host_platform_device_count=$devices"
fi

pids=()
readers=()
for ((rank = 0; rank < processes; rank++)); do
  # sed ends by itself when the process and its children have closed the pipe.
  exec {pipe}> >(exec setsid sed -u "s/^/[$rank] /")
  readers+=($!)
  # A session of its own: what it leaves behind can be ended with it, and the terminal's Ctrl-C
  # reaches this script alone, which passes it on once. The shell starts what is in the background
  # with SIGINT ignored; env undoes that.
  STYLEGAN_JAX_PROCESS_ID=$rank setsid env --default-signal=INT,QUIT \
    "$STYLEGAN_JAX" "$@" >&"$pipe" 2>&1 </dev/null {pipe}>&- &
  pids+=($!)
  exec {pipe}>&-
done

# From here on the shell's own "Terminated" lines would mix with the processes' output.
exec 4>&2 2>/dev/null

# To the processes and not to their data workers: a process that saves before it leaves may still
# need them.
signal_all() {
  local pid
  for pid in "${pids[@]}"; do kill -s "$1" "$pid" || true; done
}

asked=
trap 'asked=yes; signal_all TERM' TERM
trap 'asked=yes; signal_all INT' INT

# Looks at all of them in turn, so that a failure is seen at once whichever it is: the others would
# wait for it in a collective for minutes.
code=0
deadline=
while ((${#pids[@]} > 0)); do
  running=()
  for pid in "${pids[@]}"; do
    if kill -0 "$pid"; then
      running+=("$pid")
      continue
    fi
    status=0
    wait "$pid" || status=$?
    if ((status != 0 && code == 0)); then code=$status; fi
    # Workers that outlive it would hold its pipe open.
    kill -s KILL -- "-$pid" || true
  done
  pids=("${running[@]}")
  ((${#pids[@]} > 0)) || break
  if ((code != 0)) && [ -z "$deadline$asked" ]; then
    echo "launch/local.sh: a process ended with code $code; ending the other ${#pids[@]}" >&4
    signal_all TERM
    deadline=$((SECONDS + ${GRACE:-30}))
  elif [ -n "$deadline" ] && ((SECONDS >= deadline)); then
    signal_all KILL
  fi
  sleep 0.1 || true
done
# The last lines of output.
for reader in "${readers[@]}"; do
  while kill -0 "$reader"; do sleep 0.05 || true; done
done
# Whoever asked this script to stop gets the processes' own answer: they save and leave with 143.
exit "$code"
