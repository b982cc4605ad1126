# shellcheck shell=sh
# Words and places of the launcher without Node: as cli/installation.ts has them, whose files are read line by line here.

base=$HOME/.local/share/claude-db-proxy
data_dir=${DBPROXY_DATA_DIR:-$base}
ca=$data_dir/certs/ca.pem
fault='' engine=''
newline='
'

say() { printf '%s\n' "$*"; }
warn() { printf 'claude-db-proxy: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }
# A fifth of a second where sleep can.
nap() { sleep 0.2 2>/dev/null || sleep 1; }

# in_file FILE KEY: the value of a key that stands on a line of its own, without quotes; nothing for null.
in_file() {
  [ -r "$1" ] || return 0
  sed -n "s/^ *\"$2\": \"\{0,1\}\(.*[^,\"]\)\"\{0,1\},\{0,1\}\$/\1/p" "$1" | sed -n '/^null$/d; s/\\"/"/g; s/\\\\/\\/g; p; q'
}

installed() {
  if [ -r "$data_dir/install.json" ]; then in_file "$data_dir/install.json" "$1"; else in_file "$base/install.json" "$1"; fi
}

version=$(sed -n 's/^  "version": "\([^"]*\)".*$/\1/p' "$root/package.json" 2>/dev/null)
