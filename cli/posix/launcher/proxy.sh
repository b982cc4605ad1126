# shellcheck shell=sh
# The proxy as a service, for the launcher without Node: found, started, stopped. What cli/runtime/supervision.ts is with Node.

remembered=$data_dir/runtime.json
lock=$data_dir/state/start.lock
locked=''

wanted_proxy_port=${DBPROXY_PROXY_PORT:-8080}
wanted_dashboard_port=${DBPROXY_DASHBOARD_PORT:-8443}

# The first `"proxy":` in runtime.json is that of `ports`, the second that of `wanted`.
remembered_port() { value_of "$1" "$remembered" "$2" && printf '%s\n' "$found"; }

# Sets $proxy_port and $dashboard_port to where it was last, or is to be.
read_ports() {
  value_of proxy "$remembered" || true
  proxy_port=$found
  value_of dashboard "$remembered" || true
  dashboard_port=$found
  if [ -z "$proxy_port" ] || [ -z "$dashboard_port" ]; then
    proxy_port=$wanted_proxy_port
    dashboard_port=$wanted_dashboard_port
  fi
}

# Sets $said to what /health says, asked as cli/health-check.ts asks: another process on that port is no healthy proxy.
healthy() {
  said=''
  [ -r "$ca" ] && said=$(ask_health 2>/dev/null) || return 1
  case $said in
    *'"status":"ok"'*) ;;
    *) return 1 ;;
  esac
}
ask_health() {
  if have curl; then
    curl --disable --silent --fail --max-time 2 --noproxy '' --proxy "http://127.0.0.1:$proxy_port" --cacert "$ca" \
      --header 'Host: localhost' https://api.anthropic.com/health
  elif have openssl; then
    printf 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' |
      openssl s_client -quiet -verify_return_error -CAfile "$ca" -servername localhost \
        -connect "127.0.0.1:$dashboard_port"
  else
    "$engine" exec "$container" node /app/dist/cli/health.js </dev/null >/dev/null && printf '{"status":"ok"}\n'
  fi
}

# Fails where something listens there. Where nothing can look, the engine finds out.
port_free() {
  if have curl; then
    curl --disable --silent --noproxy '*' --max-time 1 --output /dev/null "http://127.0.0.1:$1/" 2>/dev/null
    [ $? -eq 7 ]
  elif have nc; then
    ! nc -z 127.0.0.1 "$1" 2>/dev/null
  fi
}

# next_port FIRST TAKEN…: the first free one from FIRST on that is not among the others.
next_port() {
  next=$1
  last=$((next + 50))
  shift
  while [ "$next" -lt "$last" ]; do
    case " $* " in
      *" $next "*) ;;
      *)
        if port_free "$next"; then
          printf '%s\n' "$next"
          return 0
        fi
        ;;
    esac
    next=$((next + 1))
  done
  return 1
}

# One start at a time: the file of cli/runtime/start-lock.ts.
take_lock() {
  mkdir -p -m 700 "$data_dir" 2>/dev/null && mkdir -p -m 700 "$data_dir/state" 2>/dev/null && [ -w "$data_dir/state" ] || {
    fault="$data_dir cannot be written; see DBPROXY_DATA_DIR"
    return 1
  }
  lock_tries=0
  until (set -C && printf '%s launcher\n' "$$" >"$lock") 2>/dev/null; do
    lock_holder=$(cut -d ' ' -f 1 "$lock" 2>/dev/null)
    lock_tries=$((lock_tries + 1))
    if { [ -n "$lock_holder" ] && ! kill -0 "$lock_holder" 2>/dev/null; } || [ "$lock_tries" -gt 450 ]; then
      rm -f "$lock"
    else
      nap
      # Whoever had it may have done what we want.
      if [ "${1-}" = start ] && read_ports && healthy; then return 2; fi
    fi
  done
  locked=1
}
give_lock_back() {
  [ -z "$locked" ] || rm -f "$lock"
  locked=''
}

# write_record true|false
write_record() {
  record_unfinished=$remembered.$$.tmp
  (umask 077 && cat >"$record_unfinished") <<RECORD && mv -f "$record_unfinished" "$remembered"
{
  "running": $1,
  "runtime": "$engine",
  "version": "$version",
  "since": "$(date -u +%Y-%m-%dT%H:%M:%S.000Z)",
  "ports": {
    "proxy": $proxy_port,
    "dashboard": $dashboard_port
  },
  "wanted": {
    "proxy": $wanted_proxy_port,
    "dashboard": $wanted_dashboard_port
  },
  "pid": null,
  "container": "$container"
}
RECORD
}

# Starts it at free ports and waits until it is healthy. $fault says why it is not.
start_locked() {
  remove_container 2 || return 1
  # 0 is any free one: below 32768, from where on Linux gives ports to outgoing connections.
  first_proxy=$wanted_proxy_port
  [ "$first_proxy" != 0 ] || first_proxy=$((20000 + $$ % 12000))
  first_dashboard=$wanted_dashboard_port
  [ "$first_dashboard" != 0 ] || first_dashboard=$((first_proxy + 1))
  if [ "$(remembered_port proxy 2) $(remembered_port dashboard 2)" = "$wanted_proxy_port $wanted_dashboard_port" ]; then
    remembered_proxy=$(remembered_port proxy 1)
    remembered_dashboard=$(remembered_port dashboard 1)
    port_free "$remembered_proxy" && first_proxy=$remembered_proxy
    port_free "$remembered_dashboard" && first_dashboard=$remembered_dashboard
  fi
  taken=''
  start_tries=0
  while [ "$start_tries" -lt 5 ]; do
    start_tries=$((start_tries + 1))
    # shellcheck disable=SC2086 # numbers
    if ! proxy_port=$(next_port "$first_proxy" $taken) ||
      ! dashboard_port=$(next_port "$first_dashboard" $taken "$proxy_port" "$wanted_proxy_port"); then
      fault="no port from $first_proxy or $first_dashboard on is free"
      return 1
    fi
    if start_words=$(run_container "$proxy_port" "$dashboard_port" detached 2>&1 </dev/null); then
      wait_until_healthy && return 0
      start_words=$("$engine" logs --tail 50 "$container" 2>&1 </dev/null)
    fi
    remove_container
    case $start_words in
      *EADDRINUSE* | *'address already in use'* | *'already allocated'* | *'in use by another process'*)
        taken="$taken $proxy_port $dashboard_port"
        ;;
      *) break ;;
    esac
  done
  fault=$(printf '%s\n' "$start_words" | sed -n 's/^claude-db-proxy: //p' | tail -n 1)
  fault=${fault:-$(printf '%s\n' "$start_words" | grep -v '^ *$' | tail -n 1)}
  return 1
}

# Starts the container that is there, as it is: sooner than a new one.
start_again() {
  case $(look_at_container | tr '\n' ' ') in
    'exited '*" $data_dir " | 'stopped '*" $data_dir ") ;;
    *) return 1 ;;
  esac
  "$engine" start "$container" >/dev/null 2>&1 </dev/null && wait_until_healthy
}

# Until it is healthy, has ended, or a minute has passed.
wait_until_healthy() {
  waited=0
  while [ "$waited" -lt 300 ]; do
    healthy && return 0
    case $(look_at_container | sed -n '1,2p' | tr '\n' ' ') in
      'running 0 ' | 'created 0 ' | 'starting 0 ' | 'initialized 0 ') ;;
      *) return 1 ;;
    esac
    waited=$((waited + 1))
    # About a second.
    [ "$waited" -ne 4 ] || warn 'starting the proxy …'
    nap
  done
  return 1
}

# older VERSION: whether it is older than this one; what is no version is older than all.
older() {
  [ "$1" != "$version" ] &&
    [ "$(printf '%s\n%s\n' "$1" "$version" | sort -t . -k 1,1n -k 2,2n -k 3,3n | head -n 1)" = "$1" ]
}

# Whether $said is of an older proxy on which nothing hangs: it makes way.
replaceable() {
  case $said in
    *'"activeConnections":0,'*'"checkpointCalls":0,'*) ;;
    # Proxies of older versions.
    *'"open_connections":0,'*'"checkpoint_calls":0,'*) ;;
    *) return 1 ;;
  esac
  between '"version":"' '"' "$said" || true
  older "$found"
}

# A healthy proxy: the one that runs, else a new one. Of any number of callers one starts it. Sets $said to what its
# health is, and $started where it was we who started it.
ensure_running() {
  started=''
  read_ports
  if healthy && ! replaceable; then return 0; fi
  choose_engine || return 1
  take_lock start
  case $? in
    2)
      healthy
      return 0
      ;;
    1) return 1 ;;
  esac
  # Whoever had the lock before may have done it.
  read_ports
  if healthy && ! replaceable; then
    give_lock_back
    return 0
  fi
  started=1
  start_locked
  start_status=$?
  if [ "$start_status" -eq 0 ]; then
    healthy
    write_record true
  fi
  give_lock_back
  return "$start_status"
}

# Stops it and says so in $stopped.
stop_running() {
  read_ports
  choose_engine || return 1
  take_lock || return 1
  stopped=''
  if [ -n "$(look_at_container)" ]; then
    stopped=1
    if ! remove_container 12; then
      give_lock_back
      return 1
    fi
    write_record false
  fi
  give_lock_back
}
