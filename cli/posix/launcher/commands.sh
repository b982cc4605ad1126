# shellcheck shell=sh
# The commands, for the launcher without Node: what has to do with this machine is done here, the rest runs in the container.

# in_container COMMAND…: the program's own command, in the container that runs, else in one for this purpose.
in_container() {
  choose_engine || {
    warn "$fault"
    exit 1
  }
  inside=$(look_at_container | sed -n 1p)
  set -- "$image" "$@"
  if [ "$inside" = running ]; then
    shift
    set -- "$container" claude-db-proxy "$@"
    set -- exec --interactive "$@"
  else
    set -- --rm --interactive --network none --read-only --tmpfs /tmp --cap-drop ALL --security-opt label=disable "$@"
    [ ! -d "$data_dir" ] || set -- --volume "$data_dir:$data_dir" --env "DBPROXY_DATA_DIR=$data_dir" --user "$(id -u):$(id -g)" "$@"
    set -- run "$@"
  fi
  if [ -t 0 ] && [ -t 1 ]; then
    inside=$1
    shift
    set -- "$inside" --tty "$@"
  fi
  exec "$engine" "$@"
}

# The words of cli/start-stop.ts.
start_command() {
  check_settings && ensure_running || {
    warn "${fault:-the proxy could not be started}"
    exit 1
  }
  if [ -n "$started" ]; then start_words='is running'; else start_words='was running already'; fi
  say "The proxy $start_words ($(in_file "$remembered" runtime), container $container)."
  say "  HTTPS_PROXY  http://127.0.0.1:$proxy_port"
  say "  dashboard    https://localhost:$dashboard_port/dashboard"
}

stop_command() {
  if ! stop_running; then
    warn "${fault:-the proxy could not be stopped}"
    exit 1
  fi
  if [ -n "$stopped" ]; then say "The proxy is stopped ($engine, container $container)."; else say 'The proxy was not running.'; fi
}

serve_command() {
  read_ports
  choose_engine || {
    warn "$fault"
    exit 1
  }
  remove_container 12
  run_container "$proxy_port" "$dashboard_port" foreground
}

# dashboard [--open]
dashboard_command() {
  read_ports
  if ! healthy; then
    warn 'the proxy is not running; start it with `claude-db-proxy start`, or just start claude'
    exit 1
  fi
  url="https://localhost:$dashboard_port/dashboard?token=$(cat "$data_dir/token" 2>/dev/null)"
  say "$url"
  [ "${1-}" = --open ] || return 0
  if have xdg-open; then
    xdg-open "$url" >/dev/null 2>&1 &
  elif have open; then
    open "$url"
  else
    warn 'no browser could be opened; open the address yourself'
    exit 1
  fi
}

# What cli/status-line has: the user's own line, and ours behind it. Never an error.
statusline_command() {
  input=$(cat)
  line=''
  users=$(in_file "$data_dir/install.json" statusLineBefore)
  [ -z "$users" ] || line=$(printf '%s\n' "$input" | sh -c "$users" 2>/dev/null)
  ours=$(statusline_of "$(printf '%s' "$input" | tr -d '\n' | sed -n 's/.*"session_id" *: *"\([A-Za-z0-9-]*\)".*/\1/p')")
  [ -z "$line" ] || [ -z "$ours" ] || line="$line  "
  [ -z "$line$ours" ] || say "$line$ours"
}

# statusline_of SESSION
statusline_of() {
  read_ports
  [ -n "$1" ] && [ -r "$ca" ] && [ -r "$data_dir/token" ] && have curl || return 0
  # The token is not among the arguments, which others can read.
  answer=$(printf 'header = "Authorization: Bearer %s"\n' "$(cat "$data_dir/token")" |
    curl --silent --noproxy '*' --max-time 0.25 --cacert "$ca" --config - --write-out '\n%{http_code}' \
      --connect-to "localhost:$dashboard_port:127.0.0.1:$dashboard_port" \
      "https://localhost:$dashboard_port/api/statusline?session=$1" 2>/dev/null) || return 0
  case $answer in
    *404)
      # Before the first request there is nothing to know yet.
      [ "${HTTPS_PROXY-}" != "http://127.0.0.1:$proxy_port" ] || printf '%s' "$input" | has_spoken || printf '◈ DB_PROXY_ON'
      return 0
      ;;
    *200) ;;
    *) return 0 ;;
  esac
  case $answer in
    *'"passthrough":true'*)
      printf '◈ DB_PROXY_ON passthrough'
      return 0
      ;;
  esac
  share=$(printf '%s' "$answer" | sed -n 's/.*"utilisation":\([0-9.]*\).*/\1/p')
  printf '◈ DB_PROXY_ON %s%%' "$(awk "BEGIN { print int(${share:-0} * 100 + 0.5) }")"
  case $answer in
    *'"CHECKPOINTING"'*) printf ' checkpointing…' ;;
    *'"WAL_ACTIVE"'* | *'"SWAP_READY"'*) printf ' ready' ;;
  esac
}
has_spoken() { tr -d '\n' | grep -q '"total_api_duration_ms" *: *[1-9]'; }

command_or_claude() {
  case ${1-} in
    start | proxy-start) start_command ;;
    stop | proxy-stop) stop_command ;;
    serve | proxy-serve) serve_command ;;
    dashboard | proxy-dashboard) dashboard_command "${2-}" ;;
    statusline | proxy-statusline) statusline_command ;;
    proxy-update) exec sh "$root/cli/posix/installer/main.sh" proxy-update ;;
    uninstall | proxy-uninstall)
      shift
      exec sh "$root/cli/posix/installer/main.sh" uninstall "$@"
      ;;
    status | logs | demo | proxy-status | proxy-logs | proxy-demo | proxy-help | proxy-version | proxy-doctor)
      in_container "$@"
      ;;
    *) launch "$@" ;;
  esac
}
