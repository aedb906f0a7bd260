# The cases, in an order in which each leaves a running daemon. Sourced by `run`.
# shellcheck shell=bash disable=SC2016

property() { cx systemctl show rekeyd.service --property="$1" --value; }
has() { [ "$(property "$1")" = "$2" ] || { echo "$1 is \`$(property "$1")\`, wanted \`$2\`"; return 1; }; }
says() { property StatusText | grep -F -- "$1"; }
is_up() { has ActiveState active && has SubState running; }
logged() { cx journalctl --sync >/dev/null 2>&1; cx journalctl -u rekeyd.service -o cat --no-pager | grep -F -- "$1"; }
# Shown beside a failure.
show_state() {
  { cx systemctl status rekeyd.service --no-pager -n 4 || true; } 2>&1 | grep -v "warning\|Loaded\|Docs\|Tasks\|Memory\|CGroup\|Invocation" | cut -c 1-180 | sed 's/^/          : /'
}

# How often an event of a tenant stands in rekeyd's own journal: events TENANT EVENT
events() { cx rekeyd history "$1" --json 2>/dev/null | grep -c "\"event\":\"$2\"" || true; }
phase() { cx rekeyd status "$1/dataplane" --json 2>/dev/null | tr -d ' \n' | sed -n 's/.*"phase":"\([^"]*\)".*/\1/p'; }
is_in() { [ "$(phase "$1")" = "$2" ]; }
# rotated TENANT TIMES: settled again, with so many rotations begun and completed in all.
rotated() { is_in "$1" settled && [ "$(events "$1" begun) $(events "$1" completed)" = "$2 $2" ]; }
tell_rotations() {
  echo "$1: phase $(phase "$1"), begun $(events "$1" begun), completed $(events "$1" completed)"
  cx rekeyd explain "$1/dataplane"
}
rotates() { within 60 rotated "$1" "$2" || { tell_rotations "$1"; return 1; }; }
ask_rotation() { cx rekeyd rotate "$1/dataplane" --quiet; }

readonly ALL="units a_configuration_that_is_refused start credentials hardening limits rotation_over_tls_dns_sqlite
  journal_fields reload push by_hand_through_systemd watchdog stop_in_the_middle reboot_in_the_middle one_round package"

# CASES names some of them; `start` must be among them, and all before it where they count rotations.
every_case() {
  local each
  install_by_hand
  for each in ${CASES:-$ALL}; do "$each" || true; done
  expect "the sandbox's books are clean" books_are_clean
}

# `systemd-analyze verify` of systemd 252 warns of an unknown key and exits with 0: any word is a failure.
verified() { local text; text=$(cx systemd-analyze verify "$1" 2>&1) && [ -z "$text" ] || { echo "$text"; return 1; }; }

units() {
  local unit
  for unit in rekeyd.service rekeyd-once.service rekeyd-once.timer rekeyd-rotate@acme-dataplane.service; do
    expect "$unit is verified" verified "$unit"
  done
  expect "rekeyd.service scores 1.2 or better" cx systemd-analyze security --threshold=12 --offline=true \
    /etc/systemd/system/rekeyd.service
  score=$(sed -n 's/.*exposure level for rekeyd.service: \([0-9.]*\).*/\1/p' "$work/output")
}

a_configuration_that_is_refused() {
  echo 'version = 7' | put /etc/rekeyd/rekeyd.toml root:rekeyd 640
  expect "a start with a refused configuration fails" not cx systemctl start rekeyd
  expect "… with 78" has ExecMainStatus 78
  expect "… and is not tried again" has NRestarts 0
  cx systemctl reset-failed rekeyd
}

start() {
  configure
  expect "it starts, and is ready when systemctl comes back" cx systemctl start rekeyd
  expect "it runs" is_up || return
  expect "a command is answered at once" cx rekeyd status
  expect "a page is answered at once" cx curl -fsS http://127.0.0.1:7356/-/ready
  expect "the status says what is due next" within 40 says 'next: `acme/dataplane` due '
  expect "it runs as its own user" cx sh -c '[ "$(ps -o user= -p "$(systemctl show -P MainPID rekeyd)")" = rekeyd ]'
}

credentials() {
  expect "a credential is there for the daemon alone" cx sh -c \
    'p=/run/credentials/rekeyd.service; nsenter -t "$(systemctl show -P MainPID rekeyd)" -m stat -c %a $p/tenants_sap-cf | grep -x "4[04]0"'
  expect "nobody else reads it" not cx setpriv --reuid=nobody --regid=nogroup --clear-groups \
    cat /run/credentials/rekeyd.service/tenants_sap-cf
}

# What the daemon may, tried by a shell under the unit's own lines: probe COMMAND. Its runtime directory is another, which
# goes with it.
probe() {
  echo "$1" | put /run/probe.sh root:root 644
  sed -e '/^ExecReload=/d; /^WatchdogSec=/d; /^Restart/d; s/^Type=.*/Type=oneshot/; s/^RuntimeDirectory=.*/RuntimeDirectory=probe/' \
    -e 's|^ExecStart=.*|ExecStart=/bin/sh /run/probe.sh|' "$(unit_file)" | put /run/systemd/system/probe.service root:root 644
  cx sh -c 'systemctl daemon-reload; systemctl start probe.service; code=$?
    journalctl --sync; journalctl -u probe.service -o cat --no-pager -n 5; exit $code'
}
may() { expect "the unit may $1" probe "$2"; }
may_not() { expect "the unit may not $1" probe "if $2; then exit 1; else exit 0; fi"; }

# A line of /proc/PID/status of the running daemon: holds NAME VALUE
holds() { cx sh -c 'grep -x "$0:[[:space:]]*$1" "/proc/$(systemctl show -P MainPID rekeyd)/status"' "$1" "$2"; }

hardening() {
  may "write its state" 'touch /var/lib/rekeyd/probe && rm /var/lib/rekeyd/probe'
  may "write its runtime directory" 'touch /run/probe/probe'
  may_not "write its configuration" 'touch /etc/rekeyd/probe'
  may_not "write beside its state" 'touch /var/lib/probe'
  may_not "write programs" 'touch /usr/bin/probe'
  may_not "see homes" 'ls /root'
  may_not "see other processes" 'test -d /proc/1'
  may_not "mount" 'mount -t tmpfs none /tmp'
  may_not "make namespaces" 'unshare -U true'
  may_not "open a netlink socket" 'perl -e "socket(S, 16, 3, 0) or exit 1"'
  may "open a TCP socket" 'perl -e "socket(S, 2, 1, 0) or exit 1"'
  expect "no new privileges" holds NoNewPrivs 1
  expect "a syscall filter is in force" holds Seccomp 2
  expect "no capability is left" holds CapBnd 0000000000000000
  expect "no capability is held" holds CapEff 0000000000000000
}

# The limit that the kernel holds for the unit, in whichever layout of control groups.
limit_of() {
  cx sh -c 'for file in "/sys/fs/cgroup/$1/system.slice/rekeyd.service/$2" "/sys/fs/cgroup/system.slice/rekeyd.service/$3"; do
    [ -e "$file" ] && exec grep -x "$0" "$file"; done; echo "no control group of the unit"; exit 1' "$@"
}
limits() {
  expect "the kernel holds MemoryMax" limit_of 268435456 memory memory.limit_in_bytes memory.max
  expect "the kernel holds TasksMax" limit_of 64 pids pids.max pids.max
}

# The password came by LoadCredential=, the consumer has a name, SAP speaks TLS, the journal is SQLite.
rotation_over_tls_dns_sqlite() {
  expect "a rotation is taken" ask_rotation acme
  expect "… and is completed inside the hardened unit" rotates acme 1
  expect "… the name of the consumer was asked for by DNS" cx sh -c \
    'journalctl --sync; journalctl -u dns.service -o cat --no-pager | grep -F "query[A] localhost"'
  expect "… the journal is whole" cx rekeyd audit verify
}

# The first entry that matches, as JSON in one line: entry MATCH...
entry() { cx journalctl --sync; cx journalctl -u rekeyd.service -o json --no-pager "$@" | sed -n 1p; }
entry_has() { # entry_has FIELD VALUE-PATTERN MATCH...
  local field=$1 value=$2
  shift 2
  entry "$@" | grep -E "\"$field\" ?: ?\"$value\""
}
journal_fields() {
  local begun=MESSAGE_ID=a2cf9582cb36422cabb6c0b268f1a389
  expect "journald finds the begun rotation by its MESSAGE_ID" entry_has TENANT acme "$begun"
  expect "… with its credential" entry_has CREDENTIAL dataplane "$begun"
  expect "… its id" entry_has ROTATION_ID '.+' "$begun"
  expect "… its phase" entry_has PHASE creating "$begun"
  expect "… and its priority" entry_has PRIORITY 6 "$begun"
  expect "journald finds the completed one as well" entry_has TENANT acme MESSAGE_ID=f2ac34dba0334e4cb6bee48bbcd90c6c
  expect "journald finds by tenant" entry_has EVENT '.+' TENANT=acme
  expect "no secret is in the journal" not cx sh -c 'journalctl -u rekeyd -o export | grep -aF -f /etc/rekeyd/credentials/sap-cf'
}

metric() { cx curl -fsS http://127.0.0.1:7356/metrics | grep -x "$1 $2"; }
# systemctl reload tells of a refusal where the unit validates first; elsewhere it must at least come back.
reload_is_refused() {
  if [ "$(property Type)" = notify-reload ]; then cx systemctl reload rekeyd; else not cx systemctl reload rekeyd; fi
}
reload() {
  tenant beta | put /etc/rekeyd/tenants.d/beta.toml root:rekeyd 640
  expect "a good reload succeeds" cx systemctl reload rekeyd
  expect "… and is in force when systemctl comes back" logged 'the configuration is reloaded: added: `beta`'
  expect "… the new tenant is known" cx rekeyd explain beta/dataplane
  expect "… the unit runs on" is_up
  tenant beta | sed 's/^soak/soka/' | put /etc/rekeyd/tenants.d/beta.toml root:rekeyd 640
  expect "a bad reload comes back" reload_is_refused
  expect "rekeyd reload refuses it with 78" exits 78 cx rekeyd reload
  expect "… the unit runs on" is_up
  expect "… the status says so" says 'the last reload was refused'
  expect "… the metric says so" metric rekeyd_config_last_reload_successful 0
  expect "… the journal says so, with the page" entry_has DOCUMENTATION 'file:.*' MESSAGE_ID=c1f6f651ea074deb9c2003965056457a
  expect "… the old configuration works on" cx rekeyd explain beta/dataplane
  tenant beta | put /etc/rekeyd/tenants.d/beta.toml root:rekeyd 640
  expect "rekeyd reload takes the mended one" cx rekeyd reload
  expect "… the status is as before" not says 'the last reload was refused'
}

# Two failures in a row put the third try off by about half a minute; SIGUSR1 does not wait for that.
push() {
  sap POST /faults '{"operation":"create_key","tenant":"acme","count":2,"kind":"status","code":503}' >/dev/null
  ask_rotation acme
  expect "SIGUSR1 through systemctl is taken" within 20 pushed
  expect "… and the rotation goes on at once" rotates acme 2
  expect "… the daemon is the same" has NRestarts 0
}
pushed() { cx systemctl kill -s USR1 --kill-whom=main rekeyd && logged 'SIGUSR1: 2 credentials are looked at now'; }

by_hand_through_systemd() {
  expect "systemctl start rekeyd-rotate@ comes back when it is rotated" \
    cx sh -c 'systemctl start "$(systemd-escape --template=rekeyd-rotate@.service acme/dataplane)"'
  expect "… it was" rotated acme 3
}

watchdog() {
  cx mkdir -p /run/systemd/system/rekeyd.service.d
  printf '[Service]\nWatchdogSec=4\nRestartSec=1\n' | put /run/systemd/system/rekeyd.service.d/watchdog.conf root:root 644
  cx systemctl daemon-reload
  cx systemctl restart rekeyd
  expect "a fed watchdog leaves the daemon alone" not within 6 has NRestarts 1
  cx systemctl kill -s STOP --kill-whom=main rekeyd
  expect "a daemon that stands still is started again" within 60 has NRestarts 1
  expect "… and is ready" within 30 is_up
  expect "… for the watchdog's sake" cx sh -c 'journalctl --sync; journalctl -u rekeyd --no-pager | grep -F "Watchdog timeout"'
  cx rm -r /run/systemd/system/rekeyd.service.d
  cx systemctl daemon-reload
  cx systemctl reset-failed rekeyd
  cx systemctl restart rekeyd
}

is_held() { sap GET /held | grep -q '"id"'; }

# The delivery takes effect, and its answer takes its time.
stop_in_the_middle() {
  at_delivery latency '"latency_ms":3000'
  ask_rotation acme
  expect "a rotation is in its delivery" within 30 is_in acme delivering
  expect "systemctl stop in the middle succeeds" cx timeout 45 systemctl stop rekeyd
  expect "… as a clean end" has Result success
  expect "… with the call in flight in the journal" occurred acme delivered 4
  cx systemctl start rekeyd
  expect "… and the next start completes it: one rotation, not two" rotates acme 4
}
# While no daemon runs, history reads the file.
occurred() { [ "$(events "$1" "$2")" = "$3" ] || { echo "$2 $(events "$1" "$2") times, wanted $3"; return 1; }; }

reboot_in_the_middle() {
  cx systemctl enable --quiet rekeyd
  at_delivery latency '"latency_ms":2000'
  ask_rotation beta
  expect "another rotation is in its delivery" within 30 is_in beta delivering
  expect "the container reboots in the middle" reboot_container
  expect "… the daemon comes up with it" within 30 is_up
  expect "… and completes it: one rotation, not two" rotates beta 1
  expect "… nothing else was rotated" rotated acme 4
}

one_round() {
  expect "rekeyd-once.service takes the daemon's place" cx systemctl start rekeyd-once.service
  expect "… the daemon is stopped" has ActiveState inactive
  expect "… the round was a success" cx sh -c '[ "$(systemctl show -P Result rekeyd-once)" = success ]'
  expect "… and rotated nothing" occurred acme begun 4
  expect "the timer is taken" cx systemctl start rekeyd-once.timer
  expect "… and knows its next round" cx sh -c 'systemctl list-timers --no-pager | grep rekeyd-once'
  cx systemctl stop rekeyd-once.timer
}
