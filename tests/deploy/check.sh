#!/usr/bin/env bash
# Checks everything in deploy/ that can be checked without a container engine or a cluster, then
# plants bugs and sees that the same checks catch them.
# Usage: tests/deploy/check.sh
# Tools come from the package registries by their ordinary clients, into .tools; Go builds helm once.
set -euo pipefail
cd "$(dirname "$0")/../.."

HELM_VERSION=v3.19.2

need() { command -v "$1" >/dev/null 2>&1 || { echo "deploy-check: $1 is missing: $2" >&2; exit 1; }; }
need python3 "install Python 3.11 or newer with venv (Debian: apt-get install python3-venv)"
need systemd-analyze "install systemd (Debian: apt-get install systemd)"
need bash "install bash"

tools=$PWD/.tools
if [ ! -x "$tools/bin/helm" ]; then
  need go "install Go 1.24 or newer, which builds helm once"
  GOBIN=$tools/bin go install "helm.sh/helm/v3/cmd/helm@$HELM_VERSION"
fi
# The environment is made anew when the list of packages changes.
python=$tools/deploy-$(sha256sum tests/deploy/requirements.txt | cut -c1-12)
if [ ! -x "$python/bin/hadolint" ]; then
  python3 -m venv "$python"
  "$python/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    -r tests/deploy/requirements.txt
fi

prometheus=$(tests/deploy/prometheus.sh)
case $prometheus in
  skipped:*) echo "$prometheus" && export SKIP=rules ;;
  *) PATH="$prometheus:$PATH" ;;
esac

export PATH="$python/bin:$tools/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
exec python tests/deploy/check.py
