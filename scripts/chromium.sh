#!/usr/bin/env bash
# Makes sure the browser tests find a Chromium.  usage: scripts/chromium.sh [python]
# In this order: one that is there; Debian's package; Playwright's own download.
set -euo pipefail

python=${1:-.venv/bin/python}

if [ -x "${CHROMIUM:-}" ] || command -v chromium chromium-browser google-chrome >/dev/null; then
  exit 0
fi

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
may_install() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
debian() { [ "$(. /etc/os-release 2>/dev/null && echo "${ID:-}")" = debian ]; } # Ubuntu's package is an empty snap stub

if may_install && debian && command -v apt-get >/dev/null; then
  echo "Installing Chromium with apt-get"
  if "${as_root[@]}" apt-get update -qq &&
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; then
    exit 0
  fi
fi

echo "Installing Playwright's Chromium"
if may_install && "$python" -m playwright install --with-deps chromium; then
  exit 0
fi
"$python" -m playwright install chromium || {
  echo "No Chromium for the browser tests. Install one, or set CHROMIUM to its path." >&2
  exit 1
}
