# shellcheck shell=sh
# The proxy's container. The launcher without Node uses all of it; the launcher on Node starts its containers by
# run_container, through run-container.sh.

image=${DBPROXY_IMAGE:-localhost/claude-db-proxy:$version}

# One name per data directory.
container_name() {
  name_owner=${data_dir%/}
  name_owner=${name_owner%/.local/share/claude-db-proxy}
  name_slug=$(printf '%s' "$name_owner" | LC_ALL=C tr -cs 'A-Za-z0-9' '-' | sed 's/^-//; s/-$//')
  printf 'claude-db-proxy%s\n' "${name_slug:+-$name_slug}"
}
container=''

# Sets $engine: the one that is asked for, or that the installer found, or that is there; and $container. Else says why not
# in $fault.
choose_engine() {
  check_settings || return 1
  container=$(container_name)
  wanted=${DBPROXY_RUNTIME:-auto}
  if [ "$wanted" = auto ]; then
    installed runtime
    wanted=$found
  fi
  case $wanted in
    docker | podman) engine=$wanted ;;
    *) if have docker; then engine=docker; else engine=podman; fi ;;
  esac
  if ! have "$engine"; then
    fault="neither Node 20.19 or later nor $engine is installed; install one of them"
    return 1
  fi
  if ! "$engine" image inspect "$image" >/dev/null 2>&1 </dev/null; then
    fault="$engine has no image $image, or does not answer; start $engine, or run the installer again (sh install.sh)"
    return 1
  fi
}

engine_is_rootless() {
  if [ "$engine" = podman ]; then
    [ "$(podman info --format '{{.Host.Security.Rootless}}' 2>/dev/null </dev/null)" = true ]
  else
    docker info --format '{{json .SecurityOptions}}' 2>/dev/null </dev/null | grep -q 'name=rootless'
  fi
}

# Names of the variables that reach the proxy, one a line (cli/environment.ts).
passed_variables() {
  env | LC_ALL=C sed -n \
    -e 's/^\(DBPROXY_[A-Za-z0-9_]*\)=..*/\1/p' \
    -e 's/^\([Hh][Tt][Tt][Pp][Ss]\{0,1\}_[Pp][Rr][Oo][Xx][Yy]\)=..*/\1/p' \
    -e 's/^\([Nn][Oo]_[Pp][Rr][Oo][Xx][Yy]\)=..*/\1/p' | LC_ALL=C sort -u |
    grep -v -x -E 'DBPROXY_(RUNTIME|DATA_DIR|PROXY_PORT|DASHBOARD_PORT|HOST)'
}

# run_container PROXY_PORT DASHBOARD_PORT detached|foreground: ends this shell as the engine ends. Values of variables are
# not among the arguments, which other users can read.
run_container() {
  run_proxy_port=$1
  run_dashboard_port=$2
  run_how=$3
  case $data_dir in *:*) refuse "DBPROXY_DATA_DIR=$data_dir cannot be mounted: it has a colon in its name" ;; esac
  run_network=$(container_network) || exit 1
  set -- --name "$container" --pull never
  if [ "$run_how" = detached ]; then
    set -- --detach "$@" --restart unless-stopped
  else
    set -- --rm --interactive "$@"
    if [ -t 0 ] && [ -t 1 ]; then set -- --tty "$@"; fi
  fi
  # `label=disable`: with SELinux, a container may not read what is in a home directory.
  set -- "$@" --label "claude-db-proxy.data-dir=$data_dir" --label "claude-db-proxy.version=$version" \
    --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges --security-opt label=disable
  # Named, because containers.conf may make the host's network the default, where 0.0.0.0 is open to other machines.
  if [ "$engine" = podman ]; then
    run_own_network=private
    set -- "$@" --log-driver k8s-file --log-opt max-size=10m --http-proxy=false
  else
    run_own_network=bridge
    set -- "$@" --log-driver json-file --log-opt max-size=10m
  fi
  # What is written into the data directory belongs to the user. Rootless Docker maps its root to the user.
  if ! engine_is_rootless; then
    set -- "$@" --user "$(id -u):$(id -g)"
  elif [ "$engine" = podman ]; then
    set -- "$@" --userns keep-id --user "$(id -u):$(id -g)"
  else
    set -- "$@" --user 0:0
  fi
  if [ "$run_network" = host ]; then
    set -- "$@" --network host --env DBPROXY_HOST=127.0.0.1
  else
    # Listens on all addresses of the container's network; from outside, only the published ports are reachable.
    set -- "$@" --network "$run_own_network" --publish "127.0.0.1:$run_proxy_port:$run_proxy_port" \
      --publish "127.0.0.1:$run_dashboard_port:$run_dashboard_port" --env DBPROXY_HOST=0.0.0.0
  fi
  # The same path inside, so that a file has the same name on both sides.
  set -- "$@" --volume "$data_dir:$data_dir" --env "DBPROXY_DATA_DIR=$data_dir" \
    --env "DBPROXY_PROXY_PORT=$run_proxy_port" --env "DBPROXY_DASHBOARD_PORT=$run_dashboard_port"
  if [ -r "${NODE_EXTRA_CA_CERTS-}" ]; then
    set -- "$@" --volume "$NODE_EXTRA_CA_CERTS:/app/extra-ca.pem:ro" --env NODE_EXTRA_CA_CERTS=/app/extra-ca.pem
  fi
  for run_variable in $(passed_variables); do set -- "$@" --env "$run_variable"; done
  # runtime.json describes this machine, whose ports and processes the container cannot know.
  exec "$engine" run "$@" "$image" serve --no-record
}

container_network() {
  case ${DBPROXY_CONTAINER_NETWORK-} in
    '') installed network && printf '%s\n' "$found" ;;
    host | bridge) printf '%s\n' "$DBPROXY_CONTAINER_NETWORK" ;;
    *) refuse "DBPROXY_CONTAINER_NETWORK=$DBPROXY_CONTAINER_NETWORK cannot be used: bridge or host" ;;
  esac
}

# Status, restarts and data directory of the container, one a line; nothing when there is none.
look_at_container() {
  "$engine" container inspect --format '{{.State.Status}}
{{.RestartCount}}
{{index .Config.Labels "claude-db-proxy.data-dir"}}' "$container" 2>/dev/null </dev/null
}

# remove_container [SECONDS]: within which it may drain first. Fails where the container is somebody else's.
remove_container() {
  removed=$(look_at_container)
  [ -n "$removed" ] || return 0
  if [ "$(printf '%s\n' "$removed" | sed -n 3p)" != "$data_dir" ]; then
    fault="a container $container that is not ours is in the way; rename it: $engine rename $container <name>"
    return 1
  fi
  [ -z "${1-}" ] || "$engine" stop -t "$1" "$container" >/dev/null 2>&1 </dev/null
  "$engine" rm --force "$container" >/dev/null 2>&1 </dev/null
  [ -z "$(look_at_container)" ]
}
