# shellcheck shell=sh
# What all parts of the installer share: words, places, and the record of what was made. Sourced by main.sh.
#
#   HOME/.local/bin/claude-db-proxy                     the command: a stub that runs app/current/launcher
#   HOME/.local/share/claude-db-proxy/  ($base)
#     app/<version>/                                    a version, with its sources (the image is built from them)
#     app/current -> <version>                          the one that counts
#     install.json                                      cli/installation.ts says what is in it
#     backup/                                           settings.json as it was, and as we left it
#     certs/ state/ logs/ token runtime.json            the data directory, unless DBPROXY_DATA_DIR is elsewhere

base=$HOME/.local/share/claude-db-proxy
bin=$HOME/.local/bin
data_dir=${DBPROXY_DATA_DIR:-$base}
command_file=$bin/claude-db-proxy
record=$base/install.json
newline='
'

if [ -t 1 ] && [ -z "${NO_COLOR-}" ] && [ "${TERM-dumb}" != dumb ]; then
  bold=$(printf '\033[1m')
  dim=$(printf '\033[2m')
  plain=$(printf '\033[0m')
else
  bold='' dim='' plain=''
fi

say() { printf '%s\n' "$*"; }
step() { printf '%s•%s %s\n' "$dim" "$plain" "$*"; }
warn() { printf 'claude-db-proxy: %s\n' "$*" >&2; }
fail() {
  warn "$*"
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# quietly WHAT COMMAND…: runs it, with its output in a log; where it fails, the log's last lines are told.
# A line is printed before, and dots while it takes longer than a few seconds and somebody watches.
quietly() {
  quiet_what=$1
  shift
  step "$quiet_what …"
  if [ -t 1 ]; then
    (while sleep 5; do printf '.'; done) &
    quiet_dots=$!
  else
    quiet_dots=''
  fi
  quiet_status=0
  "$@" >"$work/log" 2>&1 </dev/null || quiet_status=$?
  if [ -n "$quiet_dots" ]; then
    kill "$quiet_dots" 2>/dev/null || true
    wait "$quiet_dots" 2>/dev/null || true
    printf '\r\033[K'
  fi
  [ "$quiet_status" -eq 0 ] || tail -n 8 "$work/log" | sed 's/^/    /' >&2
  return "$quiet_status"
}

# bounded SECONDS COMMAND…: an engine whose daemon or virtual machine hangs must not hang us.
bounded() {
  bounded_seconds=$1
  shift
  "$@" &
  bounded_pid=$!
  (
    trap 'kill "$nap" 2>/dev/null; exit' TERM
    sleep "$bounded_seconds" &
    nap=$!
    wait "$nap"
    kill -9 "$bounded_pid"
  ) >/dev/null 2>&1 &
  bounded_watch=$!
  bounded_status=0
  wait "$bounded_pid" || bounded_status=$?
  kill "$bounded_watch" 2>/dev/null || true
  wait "$bounded_watch" 2>/dev/null || true
  return "$bounded_status"
}

# A text as a JSON string.
json_string() {
  printf '"%s"' "$(printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g')"
}

# Undoes json_string, on each line of stdin.
from_json_strings() { sed 's/^"//; s/"$//; s/\\"/"/g; s/\\\\/\\/g'; }

# The value of a key of install.json that stands on a line of its own, as JSON; nothing when it is not there.
recorded_json() {
  [ -f "$record" ] && sed -n "s/^  \"$1\": \(.*[^,]\),\{0,1\}\$/\1/p" "$record" | head -n 1
  return 0
}
# The same, of a string.
recorded() {
  case $(recorded_json "$1") in
    '"'*) recorded_json "$1" | from_json_strings ;;
  esac
}
# The lines of a list of strings in install.json.
recorded_list() {
  [ -f "$record" ] || return 0
  sed -n "/^  \"$1\": \\[\$/,/^  \\]/p" "$record" | sed -n 's/^    \(".*"\),\{0,1\}$/\1/p' | from_json_strings
}

# Each line of stdin as an element of a JSON list.
json_list() {
  json_comma=''
  printf '['
  while IFS= read -r json_line; do
    [ -n "$json_line" ] || continue
    printf '%s\n    ' "$json_comma"
    json_string "$json_line"
    json_comma=','
  done
  [ -z "$json_comma" ] || printf '\n  '
  printf ']'
}

# What we made and have to take away again: one path a line, directories after what holds them. $made is all of it,
# earlier runs included.
made=''
remember() {
  case $newline$made$newline in
    *"$newline$1$newline"*) ;;
    *) made=${made:+$made$newline}$1 ;;
  esac
}

# Makes a directory and the missing ones above it, and remembers those that were not there. $2: the mode, for the last.
make_directory() {
  if [ ! -d "$1" ]; then
    make_directory "$(dirname -- "$1")" || return 1
    mkdir -- "$1" 2>/dev/null || [ -d "$1" ] || return 1
    [ -z "${2-}" ] || chmod "$2" "$1"
    remember "$1"
  fi
}
need_directory() {
  make_directory "$@" || fail "$1 cannot be made: is $(dirname -- "$1") yours, and is there room?"
}

# Before anything is made: every directory that something is to be put into.
check_writable() {
  checked=$1
  while [ ! -e "$checked" ]; do checked=$(dirname -- "$checked"); done
  if [ ! -d "$checked" ] || [ ! -w "$checked" ] || [ ! -x "$checked" ]; then
    fail "$checked cannot be written by $(id -un 2>/dev/null || id -u); nothing was installed"
  fi
}

# replace_link TARGET LINK: makes LINK point to TARGET at once, where the mv of this machine can.
replace_link() {
  ln -s "$1" "$2.new.$$"
  mv -T -f "$2.new.$$" "$2" 2>/dev/null || mv -h -f "$2.new.$$" "$2" 2>/dev/null || {
    rm -f "$2.new.$$"
    ln -sfn "$1" "$2"
  }
}

# The version of the tree in a directory.
version_of() { sed -n 's/^  "version": "\([^"]*\)".*$/\1/p' "$1/package.json" | head -n 1; }
