# shellcheck shell=sh
# `claude-db-proxy statusline`: Claude Code's JSON on stdin, one line on stdout, behind what the user's own status line
# says. Asked all the time, so it has to be quick: Node takes longer to start than there is time, and each program that a
# shell starts takes its part. One is started here, curl. Says what cli/status-line says; test/launcher holds the two
# together. Never an error. Sourced by claude-db-proxy.sh, after json.sh.

# What this cannot do is left to Node, where there is one: without curl, or with a proxy on an address of its own.
status_line_can() {
  command -v curl >/dev/null 2>&1 || return 1
  case ${DBPROXY_HOST-} in
    '' | localhost | 127.0.0.1 | 0.0.0.0 | :: | '[::]') ;;
    *) return 1 ;;
  esac
}

# Sets $before to the command that the user had; empty for none.
users_command() {
  text_of statusLineBefore "$status_dir/install.json" ||
    text_of statusLineBefore "$HOME/.local/share/claude-db-proxy/install.json" || true
  before=$found
}

# Sets $session, and $spoken where the API has answered in it.
read_input() {
  input='' line=''
  while IFS= read -r line; do
    input=$input$line'
'
  done
  # What comes after the last line break.
  input=$input$line
  session='' spoken=''
  between '"session_id"' ',' "$input," && between '"' '"' "$found" && session=$found
  case $session in
    *[!A-Za-z0-9_-]*) session='' ;;
  esac
  if between '"total_api_duration_ms"' ',' "$input,"; then
    case ${found%%\}*} in
      *[1-9]*) spoken=1 ;;
    esac
  fi
}

# Sets $answer to what the proxy says of the session, and $status to how; fails where nobody says anything.
ask_for_session() {
  value_of dashboard "$status_dir/runtime.json" || found=${DBPROXY_DASHBOARD_PORT:-8443}
  status_port=$found
  value_of proxy "$status_dir/runtime.json" || found=${DBPROXY_PROXY_PORT:-8080}
  status_proxy_port=$found
  token=''
  IFS= read -r token <"$status_dir/token" || [ -n "$token" ] || return 1
  # The token is not among the arguments, which others can read.
  answer=$(
    curl --disable --silent --noproxy '*' --max-time 0.25 --cacert "$status_dir/certs/ca.pem" --config - \
      --write-out '\n%{http_code}' --connect-to "localhost:$status_port:127.0.0.1:$status_port" \
      "https://localhost:$status_port/api/statusline?session=$session" 2>/dev/null <<CONFIG
header = "Authorization: Bearer $token"
CONFIG
  ) || return 1
  status=${answer##*'
'}
}

# Sets $ours.
our_line() {
  ours=''
  [ -n "$session" ] && ask_for_session || return 0
  if [ "$status" != 200 ]; then
    # Before the first request there is nothing to know yet. After it, who is unknown goes another way.
    [ -n "$spoken" ] || [ "${HTTPS_PROXY-}" != "http://127.0.0.1:$status_proxy_port" ] || ours='◈ DB_PROXY_ON'
    return 0
  fi
  case $answer in
    *'"passthrough":true'*)
      ours='◈ DB_PROXY_ON passthrough'
      return 0
      ;;
  esac
  between '"utilisation":' ',' "$answer," || return 0
  ours="◈ DB_PROXY_ON $(percent "${found%%\}*}")%"
  case $answer in
    *'"CHECKPOINTING"'*) ours="$ours checkpointing…" ;;
    *'"WAL_ACTIVE"'* | *'"SWAP_READY"'*) ours="$ours ready" ;;
  esac
}

# percent SHARE: 0.634 is 63. No awk: that would be one program more.
percent() {
  case $1 in
    '' | *[!0-9.]*) # 5e-7
      echo 0
      return
      ;;
    *.*) percent_rest=${1#*.}000 ;;
    *) percent_rest=000 ;;
  esac
  percent_beyond=${percent_rest#???}
  # 1 in front: with a zero there it would be octal.
  echo $(((${1%%.*} * 1000 + 1${percent_rest%"$percent_beyond"} - 1000 + 5) / 10))
}

status_line() {
  status_dir=${DBPROXY_DATA_DIR:-$HOME/.local/share/claude-db-proxy}
  read_input
  users_command
  if [ -n "$before" ]; then before=$(printf '%s' "$input" | sh -c "$before" 2>/dev/null); fi
  our_line
  [ -z "$before" ] || [ -z "$ours" ] || before="$before  "
  [ -z "$before$ours" ] || printf '%s\n' "$before$ours"
} 2>/dev/null
