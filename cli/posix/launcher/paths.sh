# shellcheck shell=sh
# Words and places of the launcher without Node: as cli/installation.ts has them, whose files json.sh reads.

base=$HOME/.local/share/claude-db-proxy
data_dir=${DBPROXY_DATA_DIR:-$base}
ca=$data_dir/certs/ca.pem
fault='' engine=''
newline='
'
return=$(printf '\r')

say() { printf '%s\n' "$*"; }
warn() { printf 'claude-db-proxy: %s\n' "$*" >&2; }
refuse() {
  warn "$*"
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
# A fifth of a second where sleep can.
nap() { sleep 0.2 2>/dev/null || sleep 1; }

# installed KEY: sets $found to what the installer wrote down; empty for nothing.
installed() { text_of "$1" "$data_dir/install.json" || text_of "$1" "$base/install.json" || found=''; }

text_of version "$root/package.json" || true
version=$found
