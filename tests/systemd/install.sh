# What stands in the container before it boots, and rekeyd in it as docs/how-to/install.md says for a machine without
# the package. Sourced by `run`.
# shellcheck shell=bash

# A resolver of its own and nothing in /etc/hosts, so that a name means a question over the network.
prepare() {
  cat >"$root/etc/systemd/system/dns.service" <<'END'
[Service]
ExecStart=/usr/sbin/dnsmasq --keep-in-foreground --no-resolv --no-hosts --listen-address=127.0.0.1 --bind-interfaces \
  --address=/localhost/127.0.0.1 --log-queries --log-facility=- --user=root --pid-file
[Install]
WantedBy=multi-user.target
END
  mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/var/log/journal"
  ln -s ../dns.service "$root/etc/systemd/system/multi-user.target.wants/dns.service"
  rm -f "$root/etc/resolv.conf"
  echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf"
  printf 'passwd: files systemd\ngroup: files systemd\nhosts: dns\n' >"$root/etc/nsswitch.conf"
  : >"$root/etc/hosts"
  # The journal outlives a reboot, and nothing is left out of it.
  mkdir -p "$root/etc/systemd/journald.conf.d"
  printf '[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n' >"$root/etc/systemd/journald.conf.d/test.conf"
}

# The unit for the systemd in there.
unit_file() {
  local version
  version=$(cx systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')
  if [ "$version" -ge 253 ]; then echo systemd/rekeyd.service; else echo systemd/rekeyd-compat.service; fi
}

install_by_hand() {
  install -m 755 "$bins/rekeyd" "$root/usr/bin/rekeyd"
  install -m 644 "$(unit_file)" "$root/etc/systemd/system/rekeyd.service"
  install -m 644 systemd/rekeyd-once.service systemd/rekeyd-once.timer systemd/rekeyd-rotate@.service \
    "$root/etc/systemd/system/"
  install -D -m 644 systemd/rekeyd.sysusers "$root/usr/lib/sysusers.d/rekeyd.conf"
  cx systemd-sysusers rekeyd.conf
  cx install -d -m 750 -g rekeyd /etc/rekeyd /etc/rekeyd/tenants.d /etc/rekeyd/keys
  cx install -d -m 700 /etc/rekeyd/credentials
  cx systemctl daemon-reload
}

# The daemon's file, the secrets, and the tenant `acme`.
configure() {
  local key
  {
    cat config/rekeyd.toml
    printf '\n[http]\nca-file = "/etc/rekeyd/ca.pem"\n\n[fleet]\ncanary = false\nfuse-rotations = 1000\n\n[lease]\nlife = "10 s"\n'
  } | put /etc/rekeyd/rekeyd.toml root:rekeyd 640
  put /etc/rekeyd/ca.pem root:rekeyd 640 <"$work/sap/ca.pem"
  for key in "$work"/sap/*-dsi.json; do put "/etc/rekeyd/keys/${key##*/}" root:rekeyd 640 <"$key"; done
  # The password is root's alone: only LoadCredential= can bring it to the daemon.
  put /etc/rekeyd/credentials/sap-cf root:root 600 <"$work/sap/cf-password"
  tenant acme | put /etc/rekeyd/tenants.d/acme.toml root:rekeyd 640
}

# Writes standard input to a file in the container: put PATH OWNER MODE
put() {
  cx sh -c 'umask 077; cat >"$0"; chown "$1" "$0"; chmod "$2" "$0"' "$1" "$2" "$3"
}
