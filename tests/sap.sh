# What the suites in shell share about the SAP sandbox. Sourced by them; needs $work, with the sandbox's files in $work/sap, and a
# function `sap METHOD PATH` that asks its admin port.
# shellcheck shell=bash

# Waits until a command succeeds: within SECONDS COMMAND...
within() {
  local limit=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$limit" ] || return 1
    sleep 0.2
  done
}

# The text value of a key in a flat JSON document.
member() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }

# The login at Cloud Foundry in a tenant's file, and its credential, with spans of seconds: issuer_and_credential ID PASSWORD
issuer_and_credential() {
  cat <<END
[cloud-foundry]
api = "$(member cloud_foundry_api <"$work/sap/$1.json")"
login = { user = "$(member user <"$work/sap/$1.json")", password = $2 }

[[credential]]
name = "dataplane"
issuer = "cloud-foundry"
consumer = "dataspace"
soak = "2 s"
spread = "0 s"
proofs = 2
proof-span = "300 ms"
token-life = "1 s"
propagation = "3 s"
lag = "1 s"
evidence-life = "30 s"
retire-foreign = true
[credential.keys]
ciapi = { service-instance = "$(member ciapi <"$work/sap/$1.json")" }
cirt = { service-instance = "$(member cirt <"$work/sap/$1.json")" }
END
}

books_are_clean() {
  sap GET /books | tr ',{}' '\n\n\n' >"$work/books"
  local book
  for book in lockouts unproven_deletions orphans foreign_deletions untested_deliveries; do
    grep -q "^\"$book\":0$" "$work/books" || { grep "\"$book\"" "$work/books"; return 1; }
  done
}
