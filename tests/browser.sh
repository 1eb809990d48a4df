#!/bin/sh
# Make sure that a browser can be driven by the tests; install what is missing if one may.
set -eu
playwright=$1

has_browser() {
  for name in chromium chromium-browser google-chrome google-chrome-stable; do
    if command -v "$name" >/dev/null; then return; fi
  done
  return 1
}

missing=
has_browser || missing=chromium
# Playwright brings its own node, which a bare Debian lacks one library for.
"$playwright" --version >/dev/null 2>&1 || missing="$missing libatomic1"
if [ -z "$missing" ]; then exit; fi

if [ "$(id -u)" = 0 ]; then
  as_root=
elif sudo -n true 2>/dev/null; then
  as_root=sudo
else
  echo "The tests drive a browser. Install it with: sudo apt-get install $missing" >&2
  exit 1
fi
echo "Installing for the tests: $missing" >&2
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of packages
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y $missing >/dev/null
