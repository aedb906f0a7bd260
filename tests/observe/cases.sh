# What is brought about, and which alerts it must send and take back. Sourced by `run`.
# shellcheck shell=bash

# The notifications of one alert, in the order in which they came: notified ALERT [LABEL=VALUE...]
notified() {
  local lines label
  lines=$(grep -F "\"alertname\":\"$1\"" "$work/alerts") || return 0
  shift
  for label; do lines=$(grep -F "\"${label%%=*}\":\"${label#*=}\"" <<<"$lines") || return 0; done
  echo "$lines"
}
# Whether the last of them said so: is STATE ALERT [LABEL=VALUE...]
is() { [[ $(notified "${@:2}" | tail -n 1) == "$1 "* ]]; }
# The alert leads to a runbook, and there is one of this name.
leads_somewhere() {
  local page
  page=$(notified "$@" | tail -n 1 | member runbook_url)
  [ -n "$page" ] && [ -s "docs/runbooks/${page##*/}" ] || { echo "no runbook at '$page'"; return 1; }
}
tell() { echo "notified of it:"; notified "$1"; echo "of anything:"; cut -c 1-150 "$work/alerts" | tail -n 12; return 1; }
arrives() { within "$PATIENCE" is firing "$@" || tell "$@"; leads_somewhere "$@"; }
goes() { within "$PATIENCE" is resolved "$@" || tell "$@"; }

# fires ALERT LABEL=VALUE...: the webhook is told that it fires, with these labels.
fires() { expect "$* fires" arrives "$@" && alerts_fired=$((alerts_fired + 1)); }
# resolves ALERT LABEL=VALUE...: … and then that it is over.
resolves() { expect "$* is resolved" goes "$@" && alerts_resolved=$((alerts_resolved + 1)); }

readonly WARNING=severity=warning CRITICAL=severity=critical

# CASES names some of them, in this order: most rest on those before.
readonly ALL="absent reload_refused expiry_and_stuck down_and_blind issuer_repaired halt held fuse keys_of_others
  dataplane_error credential_gone uncovered fleet_halt dashboard at_last"

every_case() {
  local each
  start_everything || return
  for each in ${CASES:-$ALL}; do
    echo "$each"
    "$each" || true
  done
}

# RekeydConfigReloadFailed looks back 5 minutes, and in the rules only `for` is shortened: the reload is refused before
# Prometheus begins to look.
start_everything() {
  echo "+0" >"$clock"
  start_sandbox || die "the sandbox does not start"
  sap POST /faults '{"operation":"create_key","tenant":"ending","kind":"status","code":503}' >/dev/null
  configure
  start_rekeyd || die "rekeyd does not start"
  echo 'version = 7' >"$work/tenants.d/broken.toml"
  expect "a broken configuration is refused" exits 78 rekeyd reload
  shorten
  expect "only \`for\` is shortened" not grep -v '^[<>] *for: \|^[0-9,c]*$\|^---$' \
    <(diff deploy/prometheus/rekeyd.rules.yml "$work/rekeyd.rules.yml")
  scrape
  start_hook || die "the webhook does not start"
  start_alertmanager || die "Alertmanager does not start"
  start_prometheus || die "Prometheus does not start"
}

absent() {
  fires RekeydAbsent $WARNING
  scrape "$rekeyd_port"
  resolves RekeydAbsent $WARNING
}

reload_refused() {
  fires RekeydConfigReloadFailed $WARNING "instance=127.0.0.1:$rekeyd_port"
  rm "$work/tenants.d/broken.toml"
  expect "the mended configuration is taken" rekeyd reload
  resolves RekeydConfigReloadFailed $WARNING "instance=127.0.0.1:$rekeyd_port"
}

# The issuer makes no key: five days before the end a rotation is under way and does not get on.
expiry_and_stuck() {
  fires RekeydCredentialExpiringSoon $CRITICAL tenant=ending role=ciapi
  fires RekeydCredentialExpiringSoon $CRITICAL tenant=ending role=cirt
  fires RekeydRotationOverdue $WARNING tenant=ending credential=dataplane
  fires RekeydRotationStuck $WARNING tenant=ending credential=dataplane
}

what_was_said_is_taken_back() {
  resolves RekeydCredentialExpiringSoon $CRITICAL tenant=ending role=ciapi
  resolves RekeydCredentialExpiringSoon $CRITICAL tenant=ending role=cirt
  resolves RekeydRotationOverdue $WARNING tenant=ending credential=dataplane
  resolves RekeydRotationStuck $WARNING tenant=ending credential=dataplane
}

down_and_blind() {
  expect "rekeyd stops" stop_rekeyd
  fires RekeydDown $WARNING "instance=127.0.0.1:$rekeyd_port"
  fires RekeydBlindNearExpiry $CRITICAL tenant=ending role=ciapi
  fires RekeydBlindNearExpiry $CRITICAL tenant=ending role=cirt
  # Nothing is better, but who told of it is gone: that is what the alert above is for.
  what_was_said_is_taken_back
  expect "rekeyd starts again" start_rekeyd
  resolves RekeydDown $WARNING "instance=127.0.0.1:$rekeyd_port"
  resolves RekeydBlindNearExpiry $CRITICAL tenant=ending role=ciapi
  resolves RekeydBlindNearExpiry $CRITICAL tenant=ending role=cirt
  # What is still so is said once more.
  expiry_and_stuck
}

issuer_repaired() {
  sap DELETE /faults
  kill -USR1 "$daemon_pid"
  expect "once the issuer is repaired the rotation is completed" rotates ending
  what_was_said_is_taken_back
}

halt() {
  fires RekeydRotationHalted $CRITICAL tenant=handless credential=dataplane
  expect "a person enters the fresh keys" enter_by_hand handless
  expect "… and confirms" rekeyd confirm handless/dataplane
  resolves RekeydRotationHalted $CRITICAL tenant=handless credential=dataplane
  expect "… and the rotation is completed" rotates handless
}

held() {
  expect "a person holds a credential" rekeyd hold last/dataplane --reason "the partner asks for it"
  fires RekeydHeldNearExpiry $WARNING tenant=last credential=dataplane
  expect "… and lets it go" rekeyd unhold last/dataplane
  resolves RekeydHeldNearExpiry $WARNING tenant=last credential=dataplane
}

# Two have begun today, two wait. They go on by themselves a day later: the clocks of rekeyd and of SAP are moved there.
fuse() {
  fires RekeydFuseBlown $WARNING
  expect "two have begun, and two wait" exits 0 test "$(events later begun)$(events last begun)" = 00
  sap POST /world/clock '{"advance_seconds":90000}'
  echo "+25h" >"$clock"
  resolves RekeydFuseBlown $WARNING
  expect "… the third is rotated" rotates later
  expect "… and the fourth" rotates last
}

# Somebody makes a key of their own on the service instance.
keys_of_others() {
  sap POST /world/later/add-foreign-key '{"role":"ciapi","name":"somebody"}'
  fires RekeydKeysUnmanaged severity=info tenant=later credential=dataplane
  sap POST /world/later/delete-key '{"role":"ciapi","name":"somebody"}'
  resolves RekeydKeysUnmanaged severity=info tenant=later credential=dataplane
}

# Somebody onboards the data plane again, and that fails; the second time it does not.
dataplane_error() {
  sap POST /world/last/set '{"fail_next":1}'
  expect "a deployment by hand is begun" enter_by_hand last
  fires RekeydDataplaneError $CRITICAL tenant=last consumer=dataspace
  expect "… and another one" enter_by_hand last
  resolves RekeydDataplaneError $CRITICAL tenant=last consumer=dataspace
}

credential_gone() {
  mv "$work/tenants.d/later.toml" "$work/later.toml"
  expect "a configuration without a tenant is taken" rekeyd reload
  fires RekeydCredentialGone $WARNING tenant=later credential=dataplane
  mv "$work/later.toml" "$work/tenants.d/later.toml"
  expect "… and the one with it again" rekeyd reload
  resolves RekeydCredentialGone $WARNING tenant=later credential=dataplane
}

# A subaccount has no tenant, until somebody says that it needs none.
uncovered() {
  local guid
  fires RekeydDiscoveryGap $WARNING issuer=main
  expect "\`rekeyd discover\` says that something is uncovered" exits 3 rekeyd discover
  guid=$(uncovered_guid)
  expect "… and which" test -n "$guid"
  cp "$REKEYD_CONFIG" "$work/without.toml"
  echo "ignore = [\"$guid\"]" >>"$REKEYD_CONFIG"
  expect "a configuration that names it is taken" rekeyd reload
  resolves RekeydDiscoveryGap $WARNING issuer=main
  mv "$work/without.toml" "$REKEYD_CONFIG"
  expect "… and the one without it again" rekeyd reload
}

# A consumer that does not hold what it took can be locked out: nobody else begins until a person has looked.
fleet_halt() {
  expect "a rotation is asked for" rekeyd rotate liar/dataplane --i-mean-it
  fires RekeydRotationHalted $CRITICAL tenant=liar credential=dataplane
  fires RekeydFleetHalted $CRITICAL
  expect "a person enters the fresh keys" enter_by_hand liar
  expect "… and lets the rotation go on" rekeyd resume liar/dataplane
  resolves RekeydRotationHalted $CRITICAL tenant=liar credential=dataplane
  expect "… and the fleet" rekeyd resume --fleet --reason "the keys are entered"
  resolves RekeydFleetHalted $CRITICAL
  expect "… and it is completed" rotates liar
}

# While one credential is held, and another cannot let its old keys go, with both details.
dashboard() {
  sap POST /faults '{"operation":"delete_key","tenant":"later","kind":"status","code":503}' >/dev/null
  expect "a rotation is asked for" rekeyd rotate later/dataplane --i-mean-it
  expect "a person holds a credential" rekeyd hold last/dataplane --reason "the dashboard is looked at"
  expect "old keys cannot be deleted" within "$PATIENCE" is_in later retiring
  every_expression_answers full "$SHOWN"
  printf '\n[metrics]\ndetail = "summary"\n' >>"$REKEYD_CONFIG"
  expect "the other detail is taken" rekeyd reload
  expect "… and scraped" within 20 is_at_summary
  every_expression_answers summary 20
  expect "… and the credential is let go" rekeyd unhold last/dataplane
  sap DELETE /faults
  kill -USR1 "$daemon_pid"
  expect "once the issuer is repaired the rotation is completed" rotates later 2
}

# With rekeyd itself everything was well.
was_never_told() {
  local alert
  for alert; do not grep -F "\"alertname\":\"$alert\"" "$work/alerts" || return 1; done
}

at_last() {
  expect "nothing was told that was not so" was_never_told RekeydSchedulerStalled RekeydPanicked RekeydJournalWriteFailing \
    RekeydCrashLooping RekeydMultipleLeaseHolders RekeydCredentialExpired
  expect "no notification failed" not grep -i "notify.*err=\|level=error" "$work/alertmanager.log"
  expect "the sandbox's books are clean" books_are_clean
}
