# shellcheck shell=sh
# `claude` through the proxy, for the launcher without Node. The environment is cli/launch/launch-environment.ts's.

how_to_get_claude='Claude Code is not installed, or `claude` is not on PATH. Get it from https://code.claude.com/docs/en/setup: curl -fsSL https://claude.ai/install.sh | bash'

# The first claude on PATH that is not ourselves by another name.
find_claude() {
  find_rest=$PATH:$HOME/.local/bin:$HOME/.claude/local:$HOME/.bun/bin:
  while [ -n "$find_rest" ]; do
    find_place=${find_rest%%:*}
    find_rest=${find_rest#*:}
    find_path=$find_place/claude
    [ -n "$find_place" ] && [ -f "$find_path" ] && [ -x "$find_path" ] || continue
    case $(head -c 4096 "$find_path" 2>/dev/null | LC_ALL=C tr -d '\000') in
      '#!'*claude-db-proxy*) ;;
      *)
        printf '%s\n' "$find_path"
        return 0
        ;;
    esac
  done
  return 1
}

# The user's NO_PROXY with the loopback, without what would lead claude past us.
no_proxy_for_claude() {
  entries=''
  set -f
  for entry in $(printf '%s' "${no_proxy:-${NO_PROXY-}}" | tr ',' ' '); do
    # As in src/upstream/no-proxy.ts, host names are compared in lower case and without the dot of the root.
    host=$(printf '%s' "${entry%:443}" | tr '[:upper:]' '[:lower:]')
    case $host in *com.) host=${host%.} ;; esac
    case $host in
      '*' | api.anthropic.com | .api.anthropic.com | '*.api.anthropic.com') ;;
      anthropic.com | .anthropic.com | '*.anthropic.com' | com | .com | '*.com') ;;
      *) entries=${entries:+$entries,}$entry ;;
    esac
  done
  set +f
  for entry in localhost 127.0.0.1 ::1; do
    case ,$entries, in
      *",$entry,"*) ;;
      *) entries=${entries:+$entries,}$entry ;;
    esac
  done
  printf '%s\n' "$entries"
}

# One file of certificates: ours, and those that the user's NODE_EXTRA_CA_CERTS names.
ca_file() {
  case ${NODE_EXTRA_CA_CERTS-} in
    '' | "$ca") printf '%s\n' "$ca" ;;
    "$data_dir/state/ca-bundle-"*) printf '%s\n' "$NODE_EXTRA_CA_CERTS" ;;
    *)
      bundle=$data_dir/state/ca-bundle-$(printf '%s' "$NODE_EXTRA_CA_CERTS" | cksum | cut -d ' ' -f 1).pem
      # `echo` between the two: a bundle need not end with a line break.
      if [ -r "$NODE_EXTRA_CA_CERTS" ] &&
        (umask 077 && cat "$ca" >"$bundle.$$.tmp" && echo >>"$bundle.$$.tmp" && cat "$NODE_EXTRA_CA_CERTS" >>"$bundle.$$.tmp") 2>/dev/null &&
        mv -f "$bundle.$$.tmp" "$bundle"; then
        printf '%s\n' "$bundle"
      else
        printf '%s\n' "$ca"
      fi
      ;;
  esac
}

# is_share VALUE: a number between 0 and 1.
is_share() {
  case $1 in
    '' | *[!0-9.]* | *.*.* | *.) return 1 ;;
  esac
  awk "BEGIN { exit !($1 > 0 && $1 < 1) }"
}

# The settings of this launch, as headers that the proxy takes off again (src/wire/launch-settings.ts).
launch_headers() {
  launch_header x-dbproxy-checkpoint-threshold "${DBPROXY_CHECKPOINT_THRESHOLD-}"
  launch_header x-dbproxy-swap-threshold "${DBPROXY_SWAP_THRESHOLD-}"
  launch_header x-dbproxy-compact-window "${CLAUDE_CODE_AUTO_COMPACT_WINDOW-}"
  launch_header x-dbproxy-compact-percent "${CLAUDE_AUTOCOMPACT_PCT_OVERRIDE-}"
}
# Only the first line of a value: the next one would be a header of its own.
launch_header() {
  trim "$2"
  [ -z "$found" ] || printf '%s: %s\n' "$1" "${found%%["$newline$return"]*}"
}

# trim VALUE: sets $found to the value without white space at both ends.
trim() {
  found=${1#"${1%%[![:space:]]*}"}
  found=${found%"${found##*[![:space:]]}"}
}

# Settings that cannot be used, before anything is done by them; says why in $fault.
check_settings() {
  case ${DBPROXY_RUNTIME:-auto} in
    auto | docker | podman) ;;
    node) fault='DBPROXY_RUNTIME=node cannot be used: there is no Node 20.19 or later' ;;
    *) fault="DBPROXY_RUNTIME=$DBPROXY_RUNTIME cannot be used: auto, docker, podman or node" ;;
  esac
  for variable in DBPROXY_CHECKPOINT_THRESHOLD DBPROXY_SWAP_THRESHOLD; do
    eval "value=\${$variable-}"
    if [ -n "$value" ] && ! is_share "$value"; then
      fault="$variable=$value cannot be used: a number between 0 and 1, such as 0.70"
    fi
  done
  [ -z "$fault" ]
}

# in_percent SHARE: 0.655 is 65.5.
in_percent() {
  case $1 in
    0.[1-9][0-9]) printf '%s\n' "${1#0.}" ;;
    0.[1-9]) printf '%s0\n' "${1#0.}" ;;
    *) awk "BEGIN { print int($1 * 10000 + 0.5) / 100 }" ;;
  esac
}

set_environment() {
  headers=$(launch_headers)
  if [ -n "$headers" ]; then
    trim "${ANTHROPIC_CUSTOM_HEADERS-}"
    export ANTHROPIC_CUSTOM_HEADERS="${found:+${ANTHROPIC_CUSTOM_HEADERS%%"$found"*}$found$newline}$headers"
  fi
  if [ -z "${CLAUDE_AUTOCOMPACT_PCT_OVERRIDE-}" ]; then
    between '"swapThreshold":' ',' "$said," || between '"swap_threshold":' ',' "$said," || found=0.80
    CLAUDE_AUTOCOMPACT_PCT_OVERRIDE=$(in_percent "${DBPROXY_SWAP_THRESHOLD:-${found%%\}*}}")
  fi
  NO_PROXY=$(no_proxy_for_claude)
  no_proxy=$NO_PROXY
  NODE_EXTRA_CA_CERTS=$(ca_file)
  HTTPS_PROXY=http://127.0.0.1:$proxy_port
  https_proxy=$HTTPS_PROXY
  CLAUDE_CODE_GATEWAY_HINT_HEADERS=1
  export CLAUDE_AUTOCOMPACT_PCT_OVERRIDE NO_PROXY no_proxy NODE_EXTRA_CA_CERTS HTTPS_PROXY https_proxy CLAUDE_CODE_GATEWAY_HINT_HEADERS
}

# watch_over PID: as long as that process lives, a proxy that dies is started again, on the same ports: claude knows them.
# The engine restarts it too; this is for a container that is gone, or hangs.
watch_over() {
  trap '' HUP INT QUIT TSTP
  while sleep 1 && kill -0 "$1" 2>/dev/null; do
    healthy && continue
    # Stopped by somebody who meant it.
    { value_of running "$remembered" && [ "$found" = true ]; } || return 0
    watch_proxy_port=$proxy_port
    choose_engine && take_lock start && {
      # Nobody is left behind for a claude that has ended meanwhile.
      healthy || start_again || { kill -0 "$1" 2>/dev/null && start_locked && write_record true; }
      give_lock_back
    }
    # On another port claude would not find it.
    [ "$proxy_port" = "$watch_proxy_port" ] || return 0
  done
}

# The one line. On stderr, so that it is in nobody's way; without the token, which has no business in a scrollback.
announce() {
  if [ -t 2 ] && [ -z "${NO_COLOR-}" ] && [ "${TERM-dumb}" != dumb ]; then
    printf '\033[36m◈ DB_PROXY_ON\033[39m  https://localhost:%s/dashboard\n' "$dashboard_port" >&2
  else
    printf '◈ DB_PROXY_ON  https://localhost:%s/dashboard\n' "$dashboard_port" >&2
  fi
}

launch() {
  if ! claude=$(find_claude); then
    warn "$how_to_get_claude"
    exit 127
  fi
  # Questions that no proxy is needed for, and that scripts ask.
  case $#${1-} in
    1--version | 1-v | 1--help | 1-h) exec "$claude" "$@" ;;
  esac
  if ! check_settings; then
    warn "$fault. Running claude without the proxy."
  elif ensure_running; then
    # With the user's own environment, for a proxy that has to be started again.
    # `exec`: redirected in any other way, a shell keeps what was there before open, and whoever reads claude's output
    # would wait for its end.
    (exec </dev/null >/dev/null 2>&1 && watch_over "$$" &)
    set_environment
    announce
  else
    warn "${fault:-the proxy could not be started}; \`claude-db-proxy proxy-doctor\` looks into it. Running claude without the proxy."
  fi
  exec "$claude" "$@"
}
