# shellcheck shell=sh
# The commands, for the launcher without Node: what has to do with this machine is done here, the rest runs in the container.

# in_container COMMAND…: the program's own command, in the container that runs, else in one for this purpose.
in_container() {
  choose_engine || {
    warn "$fault"
    exit 1
  }
  inside=$(look_at_container | sed -n 1p)
  if [ "$inside" = running ]; then set -- "$container" claude-db-proxy "$@"; else set -- "$image" "$@"; fi
  # What the doctor cannot see from there.
  set -- --interactive --env "DBPROXY_OUTSIDE_ENGINE=$engine" --env "DBPROXY_OUTSIDE_CLAUDE=$(find_claude || true)" "$@"
  if [ "$inside" = running ]; then
    set -- exec "$@"
  else
    set -- --rm --network none --read-only --tmpfs /tmp --cap-drop ALL --security-opt label=disable "$@"
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
  text_of runtime "$remembered" || found=container
  say "The proxy $start_words ($found, container $(container_name))."
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

command_or_claude() {
  case ${1-} in
    start | proxy-start) start_command ;;
    stop | proxy-stop) stop_command ;;
    serve | proxy-serve) serve_command ;;
    dashboard | proxy-dashboard) dashboard_command "${2-}" ;;
    proxy-update) exec sh "$root/cli/posix/installer/main.sh" proxy-update ;;
    uninstall | proxy-uninstall)
      shift
      exec sh "$root/cli/posix/installer/main.sh" uninstall "$@"
      ;;
    status | logs | history | demo | proxy-status | proxy-logs | proxy-history | proxy-demo | proxy-help | proxy-version | proxy-doctor)
      in_container "$@"
      ;;
    *) launch "$@" ;;
  esac
}
