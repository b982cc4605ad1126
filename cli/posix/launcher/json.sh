# shellcheck shell=sh
# Reads our own JSON, which has one key a line (cli/installation.ts), and the little there is of the proxy's. With built-in
# commands only: a launch and the status line have no time for programs. Sourced by whoever needs it.

# value_of KEY FILE [NUMBER]: sets $found to the value on the first (or NUMBERth) line with that key, as JSON; fails where
# there is none.
value_of() {
  found=''
  [ -r "$2" ] || return 1
  value_number=${3:-1}
  while IFS= read -r value_line; do
    case $value_line in
      *"\"$1\": "*)
        value_number=$((value_number - 1))
        [ "$value_number" -eq 0 ] || continue
        found=${value_line#*"\"$1\": "}
        found=${found%,}
        return 0
        ;;
    esac
  done <"$2"
  return 1
}

# text_of KEY FILE [NUMBER]: sets $found to such a value as text; fails for null too.
text_of() {
  value_of "$@" || return 1
  [ "$found" != null ] || return 1
  found=${found#'"'}
  found=${found%'"'}
  case $found in
    *\\*) found=$(printf '%s\n' "$found" | sed 's/\\t/	/g; s/\\n/\
/g; s/\\"/"/g; s/\\\\/\\/g') ;;
  esac
}

# between AFTER BEFORE TEXT: sets $found to what stands between the two, the first of each; fails where there is nothing.
between() {
  found=''
  case $3 in
    *"$1"*"$2"*) ;;
    *) return 1 ;;
  esac
  found=${3#*"$1"}
  found=${found%%"$2"*}
}
