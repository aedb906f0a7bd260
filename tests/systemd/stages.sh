# A restart, a reload, an upgrade and a reboot in each stage of a rotation, with the package installed: nothing is rotated that
# was not asked for, and nothing is lost. Takes minutes, so it is done in one of the containers. Sourced by `run`.
# shellcheck shell=bash

readonly STAGES="creating testing delivering provisioning soaking retiring" ACTIONS="restart reload upgrade reboot"
disturbed=0 begun=0 completed=0 packed=""

# The next call of a stage takes its time; the soak does so by itself.
linger() {
  local operation
  case $1 in
    creating) operation=create_key ;;
    testing) operation=test_key ;;
    delivering) operation=put_credentials ;;
    provisioning) operation=start_dataplane ;;
    retiring) operation=delete_key ;;
    *) return 0 ;;
  esac
  sap POST /faults "{\"operation\":\"$operation\",\"count\":1,\"kind\":\"latency\",\"latency_ms\":2500}" >/dev/null
}

with_restart() { cx systemctl restart rekeyd; }
with_reload() { cx systemctl reload rekeyd; }
with_reboot() { reboot_container; }
# To the other of the two versions.
with_upgrade() {
  if [ "$packed" = 0.0.1 ]; then packed=0.0.2; else packed=0.0.1; fi
  dpkg_install "$packed"
}

# disturb ACTION STAGE TIMES: asks for a rotation and acts in that stage of it; afterwards acme has been rotated so often in all.
disturb() {
  # More starts in ten minutes than the unit allows are none of the matter here.
  cx systemctl reset-failed rekeyd
  linger "$2"
  ask_rotation acme || return 1
  within 30 is_in acme "$2" || { tell_rotations acme; return 1; }
  "with_$1" || return 1
  disturbed=$((disturbed + 1))
  within 30 is_up || return 1
  rotates acme "$3"
}

in_each_stage() {
  local action stage first others count
  case " ${STAGES_IN:-trixie} " in *" $suite "*) ;; *) return 0 ;; esac
  packed=0.0.2
  cx systemctl enable --quiet --now rekeyd
  expect "it is up before the stages" within 30 is_up
  first=$(events acme begun) others=$(events beta begun) count=0
  for action in $ACTIONS; do
    for stage in $STAGES; do
      count=$((count + 1))
      expect "$action while $stage: one rotation, not two" disturb "$action" "$stage" $((first + count)) || true
    done
  done
  begun=$(($(events acme begun) - first)) completed=$(($(events acme completed) - first))
  expect "nothing else was rotated" occurred beta begun "$others"
  expect "$count were asked for, and $count begun and completed" test "$begun $completed" = "$count $count"
  echo "systemd: stages: disturbed=$disturbed begun=$begun completed=$completed"
}
