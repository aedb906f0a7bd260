# Every expression of the dashboard, asked of the Prometheus that scrapes the real rekeyd. Sourced by `run`.
# shellcheck shell=bash

# The time shown, in seconds: it holds the whole run.
readonly SHOWN=900

# What has no data at DETAIL, and why: DETAIL PANEL QUERY; REASON. What is on the list and has data fails as well.
has_nothing() {
  cat <<'END'
full Waiting for a turn B; no landscape has asked for a pause
full Messages to sinks A; no sink is configured
full Messages to sinks B; no sink is configured
full Time left of every credential C; no credential needs a person
summary Waiting for a turn B; no landscape has asked for a pause
summary Messages to sinks A; no sink is configured
summary Messages to sinks B; no sink is configured
summary annotation Alerts A; no critical alert fires any more
END
}

# Asks as Grafana would, and prints what it is told: ask_prometheus WAY SECONDS EXPRESSION
ask_prometheus() {
  local now span=()
  now=$(date +%s)
  [ "$1" = query ] || span=(--data-urlencode "start=$((now - $2))" --data-urlencode "end=$now" --data-urlencode "step=2")
  curl -sS "http://127.0.0.1:$prometheus_port/api/v1/$1" --data-urlencode "query=$3" "${span[@]}"
}
# An answer holds a value that is a number.
holds_a_value() { grep -q '\[[0-9.]*,"[^N"]'; }
is_told() { ask_prometheus query 0 "$1" | holds_a_value; }
is_at_summary() { is_told rekeyd_credential_attention && not is_told rekeyd_keys_alive; }

# Each expression answers, and has data but for those of the list, also over the last SECONDS only. At `summary` what needs `full` may
# have none: `tests/dashboard` sees that its panel says so. every_expression_answers DETAIL SECONDS
every_expression_answers() {
  local way needs panel query expression answer listed problems="" count=0 empty=0
  listed=$(has_nothing | sed -n "s/^$1 \(.*\);.*/\1/p")
  while IFS=$'\t' read -r way needs panel query expression; do
    count=$((count + 1))
    answer=$(ask_prometheus "$way" "$2" "$expression")
    if [[ $answer != '{"status":"success"'* ]]; then
      problems+="$panel $query: $answer"$'\n'
    elif holds_a_value <<<"$answer"; then
      not grep -qxF "$panel $query" <<<"$listed" || problems+="$panel $query has data, and is on the list"$'\n'
    elif { [ "$needs" = full ] && [ "$1" = summary ]; } || grep -qxF "$panel $query" <<<"$listed"; then
      empty=$((empty + 1))
    else
      problems+="$panel $query has no data: $expression"$'\n'
    fi
  done < <("$bins/examples/queries" "${SHOWN}s" 15s)
  expressions=$((expressions + count))
  expect "at \`$1\` $((count - empty)) of $count expressions of the dashboard have data, and the others are listed" \
    is_whole "$count" "$problems"
}
is_whole() { printf '%s' "$2"; [ "$1" -gt 90 ] && [ -z "$2" ]; }
