# shellcheck shell=sh
# The commands, for the launcher without Node: what has to do with this machine is done here, the rest runs in the container.

say_on() { printf 'DB_PROXY_ON  https://localhost:%s/\n' "$dashboard_port" >&2; }

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

start_command() {
  if ensure_running; then
    say "The proxy runs: http://127.0.0.1:$proxy_port, dashboard at https://localhost:$dashboard_port/ (container $container)."
  else
    warn "${fault:-the proxy could not be started}"
    exit 1
  fi
}

stop_command() {
  if ! stop_running; then
    warn "${fault:-the proxy could not be stopped}"
    exit 1
  fi
  if [ -n "$stopped" ]; then say 'The proxy is stopped.'; else say 'The proxy does not run.'; fi
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

command_or_claude() {
  case ${1-} in
    start | proxy-start) start_command ;;
    stop | proxy-stop) stop_command ;;
    serve | proxy-serve) serve_command ;;
    proxy-update) exec sh "$root/installer/main.sh" proxy-update ;;
    uninstall | proxy-uninstall)
      shift
      exec sh "$root/installer/main.sh" uninstall "$@"
      ;;
    statusline | proxy-statusline) statusline_command ;;
    status | logs | dashboard | demo | proxy-status | proxy-logs | proxy-dashboard | proxy-demo | proxy-help | proxy-doctor)
      in_container "$@"
      ;;
    *) launch "$@" ;;
  esac
}

# Placeholder.
statusline_command() { in_container statusline; }
