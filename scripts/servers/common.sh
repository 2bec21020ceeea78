# shellcheck shell=bash
# What the servers beside this file share: where they live, how they start, die and come back.
#
# A server's script sets `name` and `members`, defines
#   install          put the programs in place; quick when they are there
#   prepare          write configuration into $data, once per data directory
#   launch MEMBER    start one member with `spawn`
#   ready MEMBER     succeed once the member answers
#   settle           optional: what clients need once all members answer; does nothing where it is there
#   environment      print NAME=VALUE lines for the tests
# and ends with `serve "$@"`.
#
# `members` is a word list; where its size is a choice, it is taken once, by the first start of a data directory.
#
#   ELANUS_CACHE          programs live in its servers/ (default ${XDG_CACHE_HOME:-~/.cache}/elanus)
#   ELANUS_SERVERS_DATA   data, logs, ports and pids; one directory is one independent set of servers
name='' members='' # the server's script sets them
# shellcheck source-path=SCRIPTDIR source=../common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../common.sh"
: "${ELANUS_SERVERS_DATA:=${TMPDIR:-/tmp}/elanus-servers-$(id -u)}"
programs=$ELANUS_CACHE/servers
sequential=  # a server whose members need the one before sets this
victim=1     # the member that `kill` and `revive` mean when none is named
ready_s=90   # seconds a member may take to answer

# --- processes ---------------------------------------------------------------------------------------

# alive MEMBER: print the pid if the very process that we started still runs.
alive() {
  local pid born now
  read -r pid born 2>/dev/null <"$data/$1.pid" || return 1
  now=$(birth "$pid") && [[ $now == "$born" ]] && echo "$pid"
}

# spawn MEMBER COMMAND…: start a process that outlives this shell; its output goes to $data/MEMBER.log.
spawn() {
  local member=$1
  shift
  # Descriptor 9 is our lock: a server that inherited it would hold it for life.
  setsid "$@" </dev/null >"$data/$member.log" 2>&1 9>&- &
  echo "$! $(birth $!)" >"$data/$member.pid"
}

await() {
  local member=$1 deadline=$((SECONDS + ready_s))
  until ready "$member" >/dev/null 2>&1; do
    alive "$member" >/dev/null || { tail -n 20 "$data/$member.log" >&2; die "$member died: see $data/$member.log"; }
    ((SECONDS < deadline)) || die "$member gave no answer within $ready_s s: see $data/$member.log"
    sleep 0.1
  done
}

# end MEMBER SIGNAL: signal it and wait until it is gone; after 15 s insist.
end() {
  local pid deadline=$((SECONDS + 15))
  pid=$(alive "$1") || return 0
  kill "-$2" "$pid" 2>/dev/null || true
  while alive "$1" >/dev/null; do
    ((SECONDS < deadline)) || kill -KILL "$pid" 2>/dev/null || true
    sleep 0.05
  done
}

# --- addresses ---------------------------------------------------------------------------------------

# port NAME: the port of this name in this data directory, chosen at the first call and kept, so that a revived
# server is found where it was. ELANUS_<NAME>_PORT fixes it. Others are drawn below the kernel's range for outgoing
# connections: above, a client that retries a dead server's port can be given that very port and talk to itself.
port() {
  local file=$data/port.$1 fixed=ELANUS_${1^^}_PORT low high candidate
  fixed=${fixed//-/_}
  if [[ ! -s $file ]]; then
    candidate=${!fixed:-}
    if [[ -z $candidate ]]; then
      read -r high _ </proc/sys/net/ipv4/ip_local_port_range
      low=12000
      ((high > low + 1000)) || high=32768
      for _ in {1..100}; do
        candidate=$((low + (RANDOM * 32768 + RANDOM) % (high - low)))
        listening "$candidate" || grep -qx "$candidate" "$data"/port.* 2>/dev/null || break
      done
    fi
    echo "$candidate" >"$file"
  fi
  cat "$file"
}

# --- programs ----------------------------------------------------------------------------------------

# modern_go: is there a Go that can build today's servers? It may not fetch another toolchain for them.
modern_go() {
  export GOTOOLCHAIN=local GOFLAGS=-mod=mod
  local version
  version=$(go env GOVERSION 2>/dev/null) && [[ $version =~ ^go1\.([0-9]+) ]] && ((BASH_REMATCH[1] >= 24))
}

# --- S3 ----------------------------------------------------------------------------------------------

s3_key=${ELANUS_S3_KEY:-elanus} s3_secret=${ELANUS_S3_SECRET:-elanus-secret} s3_bucket=${ELANUS_S3_BUCKET:-elanus-test}

# make_bucket ENDPOINT: create the bucket; no complaint if it is ours already. A gateway that has just come up may refuse at first.
make_bucket() {
  local status
  for _ in {1..50}; do
    # Ceph refuses a signature without the payload's header.
    status=$(curl -s -o /dev/null -w '%{http_code}' --aws-sigv4 aws:amz:us-east-1:s3 --user "$s3_key:$s3_secret" \
      -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' -X PUT "$1/$s3_bucket") || true
    [[ $status == 200 || $status == 409 ]] && return
    sleep 0.2
  done
  die "could not create bucket $s3_bucket: the last answer was $status"
}

# --- commands ----------------------------------------------------------------------------------------

start() {
  local member fresh=()
  if [[ ! -e $data/members ]]; then
    prepare
    echo "$members" >"$data/members"
  fi
  for member in $members; do
    alive "$member" >/dev/null && continue
    launch "$member"
    fresh+=("$member")
    [[ -z $sequential ]] || await "$member"
  done
  for member in "${fresh[@]}"; do await "$member"; done
  if declare -F settle >/dev/null; then settle; fi
  environment
}

# Members end in reverse order: a gateway before what it stands on.
stop() {
  local member order=''
  for member in $members; do order="$member $order"; done
  for member in $order; do end "$member" TERM; done
  rm -rf "$data"
}

status() {
  local member pid rc=0
  for member in $members; do
    if pid=$(alive "$member"); then
      echo "$name $member: pid $pid, $(($(awk '/^VmRSS/ {print $2}' "/proc/$pid/status") / 1024)) MiB, log $data/$member.log"
    else
      echo "$name $member: down" && rc=3
    fi
  done
  return $rc
}

serve() {
  local command=${1:-help} member=${2:-$victim}
  data=$ELANUS_SERVERS_DATA/$name
  mkdir -p "$programs" "$ELANUS_SERVERS_DATA"
  case $command in
    install | start)
      exec 8>"$programs/$name.lock"
      flock 8
      install
      exec 8>&-
      ;;
    stop | status | env | kill | revive) ;;
    *) die "usage: $name install | start | stop | status | env | kill [MEMBER] | revive [MEMBER]" ;;
  esac
  [[ $command != install ]] || return 0
  exec 9>"$ELANUS_SERVERS_DATA/$name.lock"
  flock 9
  # The number of members belongs to the data, not to the caller's environment.
  if [[ -e $data/members ]]; then members=$(<"$data/members")
  elif [[ $command == start ]]; then mkdir -p "$data"
  elif [[ $command != stop ]]; then die "not started in $ELANUS_SERVERS_DATA"; fi
  [[ " $members " == *" $member "* ]] || die "has no member $member, only $members"
  case $command in
    start | stop | status) "$command" ;;
    env) environment ;;
    kill) end "$member" KILL ;;
    revive) alive "$member" >/dev/null || { launch "$member" && await "$member"; } ;;
  esac
}
