# What the alerts are seen on: the SAP sandbox, rekeyd with a clock of its own, Prometheus, Alertmanager, the webhook; each on
# a loopback port of its own, with its data in $work. Sourced by `run`.
# shellcheck shell=bash

sandbox_pid="" daemon_pid="" hook_pid="" prometheus_pid="" alertmanager_pid="" admin="" hook_port=""
readonly FAKETIME=/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1
readonly clock=$work/clock
export REKEYD_CONFIG=$work/rekeyd.toml NO_COLOR=1

# Ports that are free at this moment, all different.
free_ports() {
  perl -MIO::Socket::INET -e 'my @held = map { IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 0, Listen => 1)
    or die "no port: $@\n" } 1 .. shift; print join(" ", map { $_->sockport } @held), "\n"' "$1"
}

# Ends a process that this suite started: asks, waits up to 40 seconds, insists.
end() {
  local pid=$1 tries=0
  [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null && [ $((tries += 1)) -le 400 ]; do sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

end_all() {
  local pid
  for pid in "$prometheus_pid" "$alertmanager_pid" "$hook_pid" "$daemon_pid" "$sandbox_pid"; do end "$pid"; done
}

# ---- SAP

# Asks the sandbox's admin port: sap METHOD PATH [BODY]
sap() { curl -fsS -X "$1" -H 'content-type: application/json' ${3:+--data "$3"} "$admin$2"; }

start_sandbox() {
  "$bins/sap-sandbox" --scenario tests/observe/scenario.toml --out "$work/sap" \
    >"$work/sandbox.json" 2>"$work/sandbox.log" </dev/null &
  sandbox_pid=$!
  within 20 test -s "$work/sandbox.json" || { cat "$work/sandbox.log" >&2; return 1; }
  admin=$(member admin <"$work/sandbox.json")
}

# The name of the key that rekeyd made last: made TENANT ROLE
made() {
  "$bins/rekeyd" history "$1" --json | grep -F "\"event\":\"made\",\"role\":\"$2\"" | tail -n 1 | member name
}
# A person enters the fresh keys in the user interface and onboards again.
enter_by_hand() {
  local ciapi cirt
  ciapi=$(made "$1" ciapi) cirt=$(made "$1" cirt)
  [ -n "$ciapi" ] && [ -n "$cirt" ] || { echo "rekeyd has made no keys of $1"; return 1; }
  sap POST "/world/$1/ui-update" "{\"ciapi\":\"$ciapi\",\"cirt\":\"$cirt\"}"
}


# ---- rekeyd

# Spans of seconds where production has minutes and days. The fuse lets two of the four that are due begin.
configure() {
  cat >"$REKEYD_CONFIG" <<END_OF_FILE
version = 1
state-dir = "$work/state"
control-socket = "$work/control.sock"
instance = "observed"

[schedule]
cron = "*/10 * * * * *"

[web]
listen = "127.0.0.1:$rekeyd_port"

[log]
format = "text"

[http]
ca-file = "$work/sap/ca.pem"
calls-per-hour = 3600000

[fleet]
fuse-rotations = 2
fuse-percent = 0
canary = false
halt-percent = 100

[limits]
attempts = 100

[[cis]]
name = "main"
service-key = { file = "$work/sap/cis.json" }
every = "2 s"
END_OF_FILE
  mkdir "$work/tenants.d"
  local tenant
  for tenant in ending handless later last liar; do tenant "$tenant" >"$work/tenants.d/$tenant.toml"; done
}

# A tenant's file: tenant ID
tenant() {
  cat <<END_OF_FILE
version = 1
id = "$1"

[dataspace]
service-key = { file = "$work/sap/$1-dsi.json" }
settle = "1 s"
deadline = "10 s"
poll = "300 ms"

END_OF_FILE
  issuer_and_credential "$1" "{ file = \"$work/sap/cf-password\" }"
}

is_ready() {
  kill -0 "$daemon_pid" 2>/dev/null || { tail -n 20 "$work/rekeyd.log" >&2; return 1; }
  curl -fsS "http://127.0.0.1:$rekeyd_port/-/ready" >/dev/null 2>&1
}
# Its wall clock is what $clock says, ahead of or behind the machine's; its timers run as always.
start_rekeyd() {
  LD_PRELOAD=$FAKETIME FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 FAKETIME_TIMESTAMP_FILE=$clock \
    "$bins/rekeyd" run >>"$work/rekeyd.out" 2>>"$work/rekeyd.log" </dev/null &
  daemon_pid=$!
  within 20 is_ready
}
# Asks it to stop, and wants a clean end.
stop_rekeyd() {
  local code=0 pid=$daemon_pid
  kill -TERM "$pid"
  within 45 is_gone "$pid" || return 1
  wait "$pid" || code=$?
  daemon_pid=""
  [ "$code" = 0 ] || { echo "it ended with $code"; return 1; }
}
is_gone() { ! kill -0 "$1" 2>/dev/null; }

rekeyd() { "$bins/rekeyd" "$@"; }
phase() { rekeyd status "$1/dataplane" --json 2>/dev/null | tr -d ' \n' | sed -n 's/.*"phase":"\([^"]*\)".*/\1/p'; }
is_in() { [ "$(phase "$1")" = "$2" ]; }
# The guid of the subaccount that nobody covers.
uncovered_guid() {
  rekeyd discover --json | tr -d ' \n' | sed 's/},{/}\n{/g' | grep '"cover":"uncovered"' | sed -n 's/.*"guid":"\([^"]*\)".*/\1/p' | head -n 1
}
events() { rekeyd history "$1" --json 2>/dev/null | grep -c "\"event\":\"$2\"" || true; }
is_rotated() { [ "$(phase "$1")" = settled ] && [ "$(events "$1" completed)" = "${2:-1}" ]; }
rotates() {
  within 60 is_rotated "$@" || { echo "phase $(phase "$1"), completed $(events "$1" completed)"; rekeyd explain "$1/dataplane"; return 1; }
}
exits() { # exits CODE COMMAND...
  local wanted=$1 code=0
  shift
  "$@" || code=$?
  [ "$code" = "$wanted" ] || { echo "exit $code, wanted $wanted"; return 1; }
}

# ---- Prometheus and Alertmanager

answers() { curl -fsS "http://127.0.0.1:$1/-/ready" >/dev/null 2>&1; }

# The rules as they are shipped; only how long a state must last is shortened, from minutes, hours and days to 2 s.
shorten() { sed -E 's/^( +for: ).*$/\12s/' deploy/prometheus/rekeyd.rules.yml >"$work/rekeyd.rules.yml"; }

scrape() { # scrape [PORT]: what Prometheus finds as the target of the job
  echo "[{\"targets\":[${1:+\"127.0.0.1:$1\"}]}]" >"$work/targets.new"
  mv "$work/targets.new" "$work/targets.json"
}

start_hook() {
  : >"$work/alerts"
  tests/observe/hook "$work/hook.port" "$work/alerts" >"$work/hook.log" 2>&1 </dev/null &
  hook_pid=$!
  within 20 test -s "$work/hook.port" || { cat "$work/hook.log" >&2; return 1; }
  hook_port=$(cat "$work/hook.port")
}

start_alertmanager() {
  cat >"$work/alertmanager.yml" <<END_OF_FILE
route:
  receiver: hook
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: hook
    webhook_configs:
      - url: http://127.0.0.1:$hook_port/
        send_resolved: true
END_OF_FILE
  prometheus-alertmanager --config.file="$work/alertmanager.yml" --storage.path="$work/alertmanager" \
    --web.listen-address="127.0.0.1:$alertmanager_port" --cluster.listen-address= >"$work/alertmanager.log" 2>&1 </dev/null &
  alertmanager_pid=$!
  within 20 answers "$alertmanager_port" || { tail -n 20 "$work/alertmanager.log" >&2; return 1; }
}

start_prometheus() {
  cat >"$work/prometheus.yml" <<END_OF_FILE
global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
rule_files: ["$work/rekeyd.rules.yml"]
alerting:
  alertmanagers:
    - static_configs:
        - targets: ["127.0.0.1:$alertmanager_port"]
scrape_configs:
  - job_name: rekeyd
    file_sd_configs:
      - files: ["$work/targets.json"]
        refresh_interval: 1s
END_OF_FILE
  # What fires before Prometheus has found Alertmanager is sent again after the resend delay, a minute by default.
  prometheus --config.file="$work/prometheus.yml" --rules.alert.resend-delay=5s --storage.tsdb.path="$work/tsdb" \
    --web.listen-address="127.0.0.1:$prometheus_port" >"$work/prometheus.log" 2>&1 </dev/null &
  prometheus_pid=$!
  within 20 answers "$prometheus_port" || { tail -n 20 "$work/prometheus.log" >&2; return 1; }
}
