#!/usr/bin/env bash
# Checks every file here as far as the tools of this machine reach, without a network.
#
#   NATS_SERVER=…/nats-server HEADWATER=…/headwater deploy/validate.sh
#
# Prints `ok` or `skipped (why)` for each check, and fails if one does.
set -uo pipefail
[[ ${NATS_SERVER:-} == */* ]] && NATS_SERVER=$(realpath "$NATS_SERVER")
[[ ${HEADWATER:-} == */* ]] && HEADWATER=$(realpath "$HEADWATER")
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1

failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

check() { # a name, and the command that has to succeed
  local name=$1 output
  shift
  if output=$("$@" 2>&1); then
    echo "$name: ok"
  else
    echo "$name: FAILED"
    sed 's/^/  /' <<<"$output"
    failed=1
  fi
}

skip() { echo "$1: skipped ($2)"; }

has() { command -v "$1" >/dev/null; }

verify_unit() { # an unknown key is only a warning to systemd-analyze
  local output
  output=$(systemd-analyze verify "$1" 2>&1) && ! grep -F "${1##*/}" <<<"$output"
}

# What `make test-tools` installs.
tools=$(realpath -m ../.tools)
PATH=$PATH:$tools/bin
[ -d "$tools/python" ] && export PYTHONPATH=$tools/python${PYTHONPATH:+:$PYTHONPATH}

nats=${NATS_SERVER:-nats-server}
for file in nats/*/*.conf; do
  if has "$nats"; then
    # Each variable that the file has, with a value that begins with a letter.
    mapfile -t variables < <(grep -o '\$[A-Z0-9_]*' "$file" | sed 's/^.//; s/$/=nats-1/' | sort -u)
    check "$file" env "${variables[@]}" HUB_URL=nats-leaf://hub.example.com:7422 "$nats" -t -c "$file"
  else
    skip "$file" "no nats-server; set NATS_SERVER"
  fi
done

if has caddy; then
  for file in caddy/*Caddyfile; do
    check "$file" env HOME="$scratch" caddy validate --adapter caddyfile --config "$file"
  done
else
  skip "caddy/Caddyfile" "no caddy"
fi

for unit in systemd/*.service; do
  if has systemd-analyze; then
    # The program itself is not installed where this runs.
    sed 's#^ExecStart=[^ ]*#ExecStart=/bin/true#' "$unit" >"$scratch/${unit##*/}"
    check "$unit" verify_unit "$scratch/${unit##*/}"
  else
    skip "$unit" "no systemd-analyze"
  fi
done

if ! has python3; then
  skip "yaml, json and metric names" "no python3"
elif python3 -c 'import yaml' 2>/dev/null; then
  check "yaml" python3 - "$scratch/kubernetes.toml" docker/*.yaml kubernetes/*.yaml prometheus/*.yml ../schemas/asyncapi.yaml <<'PYTHON'
import sys, yaml
for path in sys.argv[2:]:
    documents = list(yaml.safe_load_all(open(path)))
    assert all(documents), path
    for document in documents:
        if document.get("kind") == "ConfigMap":
            open(sys.argv[1], "w").write(document["data"]["node.toml"])
PYTHON
else
  skip "yaml" "no python3-yaml"
fi

if has python3; then
  check "json" python3 -m json.tool grafana/headwater.json "$scratch/headwater.json"
  # The dashboard's expressions as rules, so that promtool reads them too.
  check "grafana expressions" python3 - "$scratch/panels.yml" <<'PYTHON'
import json, sys
targets = [t for p in json.load(open("grafana/headwater.json"))["panels"] for t in p.get("targets", [])]
fill = lambda expr: expr.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$job", "headwater")
rules = [{"record": f"panel:{i}", "expr": fill(t["expr"])} for i, t in enumerate(targets)]
assert rules
json.dump({"groups": [{"name": "panels", "rules": rules}]}, open(sys.argv[1], "w"))
PYTHON
  if [ -e ../src/telemetry/metrics.rs ]; then
    check "metric names" python3 - prometheus/alerts.yml prometheus/alerts.test.yml grafana/headwater.json <<'PYTHON'
import re, sys
source = open("../src/telemetry/metrics.rs").read()
known = {f"headwater_{name}" for name in re.findall(r'\.register\(\s*"(\w+)"', source)}
known |= {f"headwater_{name}_seconds" for name in re.findall(r'register_with_unit\(\s*"(\w+)"', source)}
fleet = open("../src/monitor/api/metrics.rs").read()
known |= {f"headwater_fleet_{name}" for name in re.findall(r'(?:\.register\(|registry, )\s*"(\w+)"', fleet)}
assert known
used = {name for path in sys.argv[1:] for name in re.findall(r"\bheadwater_\w+", open(path).read())}
unknown = {name for name in used if name not in known and re.sub(r"_(total|bucket|count|sum)$", "", name) not in known}
assert not unknown, f"no such metrics: {sorted(unknown)}"
PYTHON
    check "asyncapi references" python3 - <<'PYTHON'
import re
messages = set(re.findall(r'\("([\w.]+)",\s*of::', open("../src/protocol/schema.rs").read()))
references = set(re.findall(r"'\./([\w.]+)\.json'", open("../schemas/asyncapi.yaml").read()))
assert messages and messages == references, sorted(messages ^ references)
PYTHON
  else
    skip "metric names and asyncapi references" "no sources"
  fi
fi

if has python3 && python3 -c 'import kubernetes_validate' 2>/dev/null; then
  check "kubernetes/headwater.yaml schemas" python3 -m kubernetes_validate --quiet --no-warn --strict kubernetes/headwater.yaml
else
  skip "kubernetes/headwater.yaml schemas" "no kubernetes-validate"
fi

if has promtool; then
  check "prometheus/alerts.yml" promtool check rules prometheus/alerts.yml
  check "prometheus/alerts.test.yml" promtool test rules prometheus/alerts.test.yml
  [ -e "$scratch/panels.yml" ] && check "grafana/headwater.json" promtool check rules "$scratch/panels.yml"
else
  skip "prometheus and grafana" "no promtool"
fi

if [ -n "${HEADWATER:-}" ]; then
  for list in nats/*/fleet.toml; do
    check "$list" "$HEADWATER" nats-config "$list" --out "$scratch/$list"
    for file in "${list%/*}"/*.conf; do
      check "$file is what $list makes" diff "$file" "$scratch/$list/${file##*/}"
    done
  done
  check "node.toml" "$HEADWATER" config --config node.toml
  if [ -e "$scratch/kubernetes.toml" ]; then
    check "kubernetes/headwater.yaml" "$HEADWATER" config --config "$scratch/kubernetes.toml"
  fi
else
  skip "node.toml" "no program; set HEADWATER"
fi

exit "$failed"
