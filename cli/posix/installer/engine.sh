# shellcheck shell=sh
# Container engines: which one works here, and the image. Sourced by main.sh.

# Why no engine can be used, one line for each that was looked at.
engine_faults=''
no_engine() { engine_faults=${engine_faults:+$engine_faults$newline}"$1: $2"; }

# engine_answers ENGINE: whether it is there and its daemon, if it has one, answers.
engine_answers() {
  if ! have "$1"; then
    no_engine "$1" 'not installed'
    return 1
  fi
  if ! bounded 10 "$1" info >"$work/log" 2>&1 </dev/null; then
    no_engine "$1" "does not answer ($(grep -v '^ *$' "$work/log" | tail -n 1))"
    return 1
  fi
}

# The network that containers of ours can have: their own, with published ports, or this machine's.
# DBPROXY_CONTAINER_NETWORK=host is for machines whose engine cannot publish ports.
engine_network() {
  case ${DBPROXY_CONTAINER_NETWORK-} in
    host | bridge) printf '%s\n' "$DBPROXY_CONTAINER_NETWORK" ;;
    '') printf 'bridge\n' ;;
    *) fail "DBPROXY_CONTAINER_NETWORK=$DBPROXY_CONTAINER_NETWORK cannot be used: bridge or host" ;;
  esac
}

image_name() { printf 'localhost/claude-db-proxy:%s\n' "$1"; }

image_id() { "$1" image inspect --format '{{.Id}}' "$2" 2>/dev/null </dev/null || true; }

# build_image ENGINE TREE NAME
build_image() {
  set -- "$1" "$2" "$3" "$(version_of "$2")"
  build_options="--build-arg VERSION=$4"
  [ -z "${DBPROXY_NODE_IMAGE-}" ] || build_options="$build_options --build-arg NODE_IMAGE=$DBPROXY_NODE_IMAGE"
  [ "$network" = bridge ] || build_options="$build_options --network=host"
  # Podman: an OCI image has no HEALTHCHECK, and the layers of the build are not to stay behind.
  [ "$1" != podman ] || build_options="$build_options --format docker --layers=false"
  # shellcheck disable=SC2086 # words, none of which has a space in it
  "$1" build $build_options -t "$3" "$2"
}

# The image that the Dockerfile begins with.
base_image() {
  printf '%s\n' "${DBPROXY_NODE_IMAGE:-$(sed -n 's/^ARG NODE_IMAGE=//p' "$1/Dockerfile" | head -n 1)}"
}

# make_image ENGINE TREE VERSION: builds the image, or gets the one that DBPROXY_IMAGE names, and really runs it once.
# The image that had the name before keeps the name …:previous until the new one has proved itself.
make_image() {
  image=$(image_name "$3")
  image_made=1
  images_before=$images
  image_before=$(image_id "$1" "$image")
  [ -z "$image_before" ] || "$1" tag "$image" "$(image_name previous)" </dev/null
  if [ -n "${DBPROXY_IMAGE-}" ]; then
    if [ -z "$(image_id "$1" "$DBPROXY_IMAGE")" ]; then
      quietly "Getting the image $DBPROXY_IMAGE" "$1" pull "$DBPROXY_IMAGE" || return 1
      images=${images:+$images$newline}$DBPROXY_IMAGE
    fi
    "$1" tag "$DBPROXY_IMAGE" "$image" </dev/null || return 1
  else
    image_base=$(base_image "$2")
    image_base_before=$(image_id "$1" "$image_base")
    quietly "Building the container image with $1 (a minute or two)" build_image "$1" "$2" "$image" || return 1
    # Our build fetched it: it goes when we go.
    [ -n "$image_base_before" ] || images=${images:+$images$newline}$image_base
  fi
  images=${images:+$images$newline}$image
  said=$("$1" run --rm --network "$(probe_network "$1")" "$image" proxy-version 2>"$work/log" </dev/null) || said=''
  if [ -z "$said" ]; then
    tail -n 3 "$work/log" | sed 's/^/    /' >&2
    return 1
  fi
}

# put_image_back ENGINE: undoes make_image, if that was called.
put_image_back() {
  [ -n "$image_made" ] || return 0
  if [ -n "$image_before" ]; then
    "$1" tag "$image_before" "$image" </dev/null || true
  else
    "$1" image rm "$image" >/dev/null 2>&1 </dev/null || true
  fi
  "$1" image rm "$(image_name previous)" >/dev/null 2>&1 </dev/null || true
  images=$images_before
}

# As containers of ours will have it (cli/posix/launcher/container.sh).
probe_network() {
  case $network/$1 in
    host/*) echo host ;;
    */podman) echo private ;;
    *) echo bridge ;;
  esac
}

# What is written down, of all images that we made or fetched.
remove_images() {
  printf '%s\n' "$1" | while IFS= read -r image_line; do
    [ -n "$image_line" ] || continue
    "$2" image rm "$image_line" >/dev/null 2>&1 </dev/null || true
  done
  "$2" image rm "$(image_name previous)" >/dev/null 2>&1 </dev/null || true
  "$2" image prune --force --filter label=claude-db-proxy.stage=build >/dev/null 2>&1 </dev/null || true
}
