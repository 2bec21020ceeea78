# shellcheck shell=bash
# What `dev` and the servers' scripts share: how they speak, and how they get what a machine lacks.
set -euo pipefail

# Everything built or fetched that outlives a checkout is below this directory; deleting it costs only time.
export ELANUS_CACHE=${ELANUS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/elanus}
mkdir -p "$ELANUS_CACHE/logs"

# A script that says nothing of its own name speaks as `dev`.
say() { printf '%s: %s\n' "${name:-dev}" "$*" >&2; }
die() { say "$@"; exit 1; }

# have COMMAND…: are they all here?
have() { local c; for c; do command -v "$c" >/dev/null || return 1; done; }

as_root() {
  if [[ $(id -u) == 0 ]]; then "$@"
  elif have sudo; then sudo "$@"
  else return 1; fi
}

# debian PACKAGE…: install what is missing; stop, naming it, where that is impossible.
debian() {
  local missing=() package log=$ELANUS_CACHE/logs/apt.log
  have apt-get || die "needs $* (Debian's names), and there is no apt-get here: install them yourself"
  for package; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  [[ $(id -u) == 0 ]] || have sudo || die "needs root or sudo to install ${missing[*]}: install them yourself"
  say "installing ${missing[*]}"
  refresh_package_lists
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends \
    "${missing[@]}" >"$log" 2>&1 </dev/null || { tail -n 5 "$log" >&2; die "could not install ${missing[*]}: see $log"; }
}

# A machine image often comes with no package lists, or with lists that name versions long gone.
refresh_package_lists() {
  local stamp=$ELANUS_CACHE/apt-updated
  [[ -z $(find "$stamp" -mmin -600 2>/dev/null) ]] || return 0
  as_root apt-get -o DPkg::Lock::Timeout=120 update -qq >"$ELANUS_CACHE/logs/apt.log" 2>&1 </dev/null || true
  touch "$stamp"
}

# --- processes ---------------------------------------------------------------------------------------

# birth PID: the kernel's start time of a live process; a reused pid has another one.
birth() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra stat <<<"${stat##*) }" # the fields after the command's name: state first, start time twentieth
  [[ ${stat[0]} != Z ]] && echo "${stat[19]}"
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
