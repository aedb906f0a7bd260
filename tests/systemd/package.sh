# The Debian package in the container: installed where rekeyd was installed by hand, started, upgraded in the middle of a
# rotation, removed, purged. Sourced by `run`.
# shellcheck shell=bash

# Two versions of the same program: what is tried is the change from one package to the next.
build_packages() {
  echo "systemd: packing rekeyd"
  PROFILE=dev VERSION=0.0.1 OUT=$work/packages deploy/scripts/deb
  PROFILE=dev VERSION=0.0.2 OUT=$work/packages deploy/scripts/deb
}

# The package of a version for the systemd in there.
package_of() {
  if [ "$(unit_file)" = systemd/rekeyd.service ]; then echo "rekeyd_$1-1_"*; else echo "rekeyd_$1-1~deb12_"*; fi
}
dpkg_install() { (cd "$work/packages" && cp "$(package_of "$1")" "$root/opt/rekeyd.deb") && cx dpkg --install /opt/rekeyd.deb; }
installed() { cx dpkg-query -W -f '${Version} ${Status}\n' rekeyd | grep -E "^$1-1(~deb12)? install ok installed$"; }

# User and journal stay: the package takes over.
uninstall_by_hand() {
  cx systemctl disable --quiet --now rekeyd.service
  cx sh -c 'rm -rf /etc/rekeyd /usr/bin/rekeyd /usr/lib/sysusers.d/rekeyd.conf /etc/systemd/system/rekeyd*'
  cx systemctl daemon-reload
}

package() {
  local unit
  uninstall_by_hand
  expect "the package is installed" dpkg_install 0.0.1
  expect "… it is not enabled" not cx systemctl --quiet is-enabled rekeyd
  expect "… it is not started" has ActiveState inactive
  for unit in rekeyd.service rekeyd-once.service rekeyd-once.timer rekeyd-rotate@acme-dataplane.service; do
    expect "… $unit is verified" verified "$unit"
  done
  expect "… its configuration is well as it is" cx rekeyd check-config
  expect "… its directories are its group's" cx sh -c '[ "$(stat -c %G:%a /etc/rekeyd/tenants.d)" = rekeyd:750 ]'
  configure
  expect "it starts" cx systemctl start rekeyd
  at_delivery latency '"latency_ms":3000'
  ask_rotation acme
  expect "a rotation is in its delivery" within 30 is_in acme delivering
  local pid
  pid=$(property MainPID)
  expect "the upgrade in the middle succeeds" dpkg_install 0.0.2
  expect "… it is the new version" installed 0.0.2
  expect "… it runs" within 30 is_up
  expect "… as a new process" not has MainPID "$pid"
  expect "… with the operator's configuration" cx grep -q ca-file /etc/rekeyd/rekeyd.toml
  expect "… and completes it: one rotation, not two" rotates acme 5
  in_each_stage
  cx systemctl stop rekeyd
  expect "an upgrade of what is stopped succeeds" dpkg_install 0.0.1
  expect "… and does not start it" has ActiveState inactive
  cx systemctl enable --quiet --now rekeyd
  expect "the removal succeeds" cx dpkg --remove rekeyd
  expect "… nothing of it runs" not cx pgrep -x rekeyd
  expect "… nothing of it is enabled" not cx sh -c 'ls /etc/systemd/system/*/rekeyd*'
  expect "… the configuration stays" cx test -e /etc/rekeyd/rekeyd.toml
  expect "… the journal stays" cx test -s /var/lib/rekeyd/journal.db
  expect "the purge succeeds" cx dpkg --purge rekeyd
  expect "… the journal is gone" not cx test -e /var/lib/rekeyd
  expect "… the package's configuration is gone" not cx test -e /etc/rekeyd/rekeyd.toml
  expect "… the tenants are the operator's" cx test -s /etc/rekeyd/tenants.d/acme.toml
}
