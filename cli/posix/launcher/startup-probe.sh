# shellcheck shell=sh
# Asks the proxy how it is while Node starts: that takes curl 30 ms beside us, and Node 60 ms of its own work after its
# start. cli/launch/startup-probe.ts reads what was said. The question of cli/health-check.ts: the tunnel that claude will
# take, the certificate that it will be shown. Sourced by claude-db-proxy.sh, after json.sh.

startup_probe() {
  early_dir=${DBPROXY_DATA_DIR:-$HOME/.local/share/claude-db-proxy}
  command -v curl >/dev/null 2>&1 && value_of proxy "$early_dir/runtime.json" || return 0
  early_port=$found
  early_answer=$early_dir/state/early-$$
  case ${DBPROXY_HOST-} in
    '' | localhost | 127.0.0.1 | 0.0.0.0 | :: | '[::]') early_host=127.0.0.1 ;;
    *) return 0 ;;
  esac
  true >"$early_answer" || return 0
  (
    exec </dev/null >/dev/null 2>&1
    curl --disable --silent --fail --max-time 2 --noproxy '' --proxy "http://$early_host:$early_port" --output "$early_answer" \
      --cacert "$early_dir/certs/ca.pem" --header 'Host: localhost' https://api.anthropic.com/health || echo no >"$early_answer"
  ) &
  export DBPROXY_EARLY_ANSWER="$early_answer"
} 2>/dev/null
