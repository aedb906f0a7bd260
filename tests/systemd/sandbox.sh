# The SAP sandbox, in the container's network: it outlives a reboot of the container, as SAP does. Sourced by `run`.
# shellcheck shell=bash

sandbox_pid="" admin=""

start_sandbox() {
  # The one before is not to be taken for this one.
  rm -f "$work/sandbox.json"
  ip netns exec "$netns" "$bins/sap-sandbox" --scenario tests/systemd/scenario.toml --out "$work/sap" \
    >"$work/sandbox.json" 2>"$work/sandbox.log" </dev/null &
  sandbox_pid=$!
  within 20 test -s "$work/sandbox.json" || { cat "$work/sandbox.log" >&2; return 1; }
  admin=$(member admin <"$work/sandbox.json")
}

stop_sandbox() {
  [ -n "$sandbox_pid" ] || return 0
  kill "$sandbox_pid" 2>/dev/null || true
  wait "$sandbox_pid" 2>/dev/null || true
  sandbox_pid=""
}

# Asks the sandbox's admin port: sap METHOD PATH [BODY]
sap() {
  ip netns exec "$netns" curl -fsS -X "$1" -H 'content-type: application/json' ${3:+--data "$3"} "$admin$2"
}

# Does something once to the next delivery: at_delivery KIND [MEMBERS]
at_delivery() { sap POST /faults "{\"operation\":\"put_credentials\",\"count\":1,\"kind\":\"$1\"${2:+,$2}}" >/dev/null; }

# A tenant's file: tenant ID
tenant() {
  local https
  https=$(member https <"$work/sandbox.json")
  cat <<END
version = 1
id = "$1"

[dataspace]
service-key = { file = "/etc/rekeyd/keys/$1-dsi.json" }
# By its name, so that the resolver is needed.
url = "${https/127.0.0.1/localhost}/dsi/$1"
settle = "1 s"
deadline = "20 s"
poll = "300 ms"

END
  issuer_and_credential "$1" '{ credential = "tenants_sap-cf" }'
}
