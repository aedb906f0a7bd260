# A Debian tree booted with systemd-nspawn: real systemd as PID 1, an own network, and a layer over the tree, which stays
# clean. Sourced by `run`; needs $work, $cache and $netns.
# shellcheck shell=bash

machine="" root="" nspawn_pid="" leader=""

# Makes the tree of a Debian release unless it is there: grow SUITE
grow() {
  local suite=$1 tree=$cache/$1
  [ -e "$tree/.whole-2" ] && return
  echo "systemd: making a tree of Debian $suite in $tree"
  rm -rf "$tree"
  mkdir -p "$cache"
  mmdebstrap --quiet --variant=minbase \
    --include=systemd,systemd-sysv,dbus,procps,ca-certificates,curl,dnsmasq-base "$suite" "$tree"
  touch "$tree/.whole-2"
}

# Mounts a fresh layer over the tree: unfold SUITE
unfold() {
  machine=rekeyd-$1-$$ root=$work/$1/root
  mkdir -p "$work/$1"/{upper,layer,root}
  mount -t overlay "$machine" -o "lowerdir=$cache/$1,upperdir=$work/$1/upper,workdir=$work/$1/layer" "$root"
}

fold() { [ -z "$root" ] || { umount "$root"; root=""; }; }

# Runs a command in the container.
cx() { nsenter -t "$leader" -a -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 SYSTEMD_COLORS=0 NO_COLOR=1 "$@"; }

# The process in nspawn's care that is PID 1 in there.
find_leader() {
  local pid
  for pid in $(cat "/proc/$nspawn_pid/task/$nspawn_pid/children" 2>/dev/null); do
    grep -q '^NSpid:.*[[:space:]]1$' "/proc/$pid/status" 2>/dev/null && leader=$pid
  done
  [ -n "$leader" ]
}
has_booted() {
  case $(cx systemctl is-system-running 2>/dev/null) in running | degraded) true ;; *) false ;; esac
}

boot() {
  systemd-nspawn -q -D "$root" --machine="$machine" --register=no --keep-unit --console=pipe --link-journal=no --resolv-conf=off \
    --network-namespace-path="/run/netns/$netns" --boot >>"$work/$machine.console" 2>&1 </dev/null &
  nspawn_pid=$! leader=""
  within 60 find_leader && within 60 has_booted && open_limits
}

# Reboots from the inside, as `systemctl reboot` does: nspawn without a unit of its own ends with 133 then.
reboot_container() {
  local code=0
  cx systemctl reboot
  within 90 gone "$nspawn_pid" || return 1
  wait "$nspawn_pid" || code=$?
  [ "$code" = 133 ] || { echo "nspawn ended with $code"; return 1; }
  boot
}

# Where the host has cgroup v1, its controllers are read-only in there, and limits would do nothing.
open_limits() {
  local controller
  [ "$(cx stat -fc %T /sys/fs/cgroup)" = tmpfs ] || return 0
  for controller in memory pids; do cx mount -o remount,bind,rw "/sys/fs/cgroup/$controller"; done
  cx systemctl daemon-reexec
}

down() {
  [ -n "$nspawn_pid" ] || return 0
  kill -s RTMIN+4 "$leader" 2>/dev/null || kill "$nspawn_pid" 2>/dev/null || true
  within 60 gone "$nspawn_pid" || kill -KILL "$nspawn_pid" 2>/dev/null || true
  wait "$nspawn_pid" 2>/dev/null || true
  nspawn_pid="" leader=""
}

gone() { ! kill -0 "$1" 2>/dev/null; }
