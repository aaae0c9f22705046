# What only the tests need: kubectl, Python and Node packages, cargo-deny. Sourced, never run; bash. Needs tools.sh and ensure_home.

KUBECTL_LEAST=1.22
KUBECTL_DEB=1.32.3+ds-2
kubectl_sum() {
  case "$1" in
    amd64) echo 9825aaf4c14913027aae04af8688e580459f781c829bd5de00cc4dc2cc5a867f ;;
    arm64) echo b85800b5e2d2ecc958e2b9dfa7d4ce13b14e1175242de1f71acb4fa4b0b63212 ;;
  esac
}

kubectl_version() { first_version "$("$1" version --client 2>/dev/null | grep -i client)"; }
kubectl_good() {
  local version
  [ -x "$1" ] && version=$(kubectl_version "$1") && [ -n "$version" ] && at_least "$version" "$KUBECTL_LEAST"
}

# The archive that this machine gets its Debian packages from, then Debian's own.
debian_mirrors() {
  local sources=(/etc/apt/sources.list /etc/apt/sources.list.d/*)
  { sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+) .*/\2/p' "${sources[@]}" 2>/dev/null |
    grep -E '^https?://[^/]*debian[^/]*/.*debian/?$|^https?://.*/debian/?$' || true; } | sed 's|/$||' | sort -u
  echo https://deb.debian.org/debian
}

ensure_kubectl() {
  local program arch draft mirror found
  found=$(command -v kubectl || true)
  for program in "$bin/kubectl" $found; do
    if kubectl_good "$program"; then
      say "kubectl $(kubectl_version "$program") ($program)"
      return
    fi
  done
  case "$(machine)" in x86_64) arch=amd64 ;; *) arch=arm64 ;; esac
  say "no kubectl $KUBECTL_LEAST or newer here: fetching Debian's kubectl $KUBECTL_DEB (16 MB) into $bin"
  command -v dpkg-deb >/dev/null || die "dpkg-deb is missing, so Debian's package cannot be unpacked: install kubectl $KUBECTL_LEAST or newer yourself"
  draft=$(mktemp -d "$bin/draft.XXXXXX")
  for mirror in $(debian_mirrors); do
    if fetch "$mirror/pool/main/k/kubernetes/kubectl_${KUBECTL_DEB}_$arch.deb" "$(kubectl_sum "$arch")" "$draft/kubectl.deb"; then
      dpkg-deb -x "$draft/kubectl.deb" "$draft/root"
      mv -f "$draft/root/usr/bin/kubectl" "$bin/kubectl"
      break
    fi
  done
  rm -rf "$draft"
  kubectl_good "$bin/kubectl" ||
    die "kubectl $KUBECTL_DEB could not be fetched from a Debian archive or does not run here: install kubectl $KUBECTL_LEAST or newer yourself and put it into PATH"
  say "kubectl $(kubectl_version "$bin/kubectl") ($bin/kubectl)"
}

# The shared limits are tested on a Redis that each test starts for itself.
ensure_redis() {
  [ -x "$bin/redis-server" ] || command -v redis-server >/dev/null ||
    apt_install "the limits that a fleet shares are tested on Redis" redis-server
  say "redis-server $(first_version "$("$(command -v "$bin/redis-server" || command -v redis-server)" --version)")"
}

# The packages of python.txt in $bin/python, and $bin/python3 which sees them.
ensure_python_packages() {
  local stamp wanted
  command -v python3 >/dev/null && python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    apt_install "the interop tests need Python 3.10 or newer" python3 python3-pip ca-certificates
  stamp=$bin/python/.complete
  wanted="$(sha256sum <"$lib/python.txt") $(python3 -c 'import sys; print(sys.executable, sys.version_info[:2])')"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    python3 -m pip --version >/dev/null 2>&1 || python3 -m ensurepip --user >/dev/null 2>&1 ||
      apt_install "Python's pip is missing" python3-pip ca-certificates
    say "installing the tests' Python packages into $bin/python (pinned)"
    rm -rf "$bin/python" "$bin/python.draft"
    python3 -m pip -q --disable-pip-version-check --no-cache-dir install --no-deps --only-binary :all: --require-hashes \
      --target "$bin/python.draft" -r "$lib/python.txt" 2>"$bin/pip.log" ||
      die "pip could not install the tests' Python packages: $(tail -n 3 "$bin/pip.log")"
    rm -f "$bin/pip.log"
    mv "$bin/python.draft" "$bin/python"
    printf '%s\n' "$wanted" >"$stamp"
  fi
  printf '#!/bin/sh\nPYTHONPATH=%s exec %s "$@"\n' "'$bin/python'" "'$(python3 -c 'import sys; print(sys.executable)')'" >"$bin/python3"
  chmod +x "$bin/python3"
  "$bin/python3" -c 'import kubernetes_validate, standardwebhooks, nats, grpc, grpc_tools' ||
    die "the tests' Python packages do not load: remove $bin/python and run this again"
  say "Python packages for the tests ($bin/python3)"
}

ensure_cargo_deny() {
  export PATH
  PATH="$PATH:$bin/cargo/bin"
  command -v cargo-deny >/dev/null && return
  say "no cargo-deny here: building it into $bin/cargo (some minutes, once)"
  cargo install --locked --quiet --root "$bin/cargo" cargo-deny || die "cargo-deny could not be installed (see above)"
}

NODE_LEAST=18

# The lines that `eventus dev` prints are run as they are.
ensure_curl() {
  command -v curl >/dev/null || apt_install "the printed curl lines are tested" curl ca-certificates
}

# The packages of node/package.json, by the sums of its lock file, in $bin/node.
ensure_node_packages() {
  local stamp wanted
  if ! { command -v node && command -v npm; } >/dev/null || ! at_least "$(first_version "$(node --version)")" "$NODE_LEAST"; then
    apt_install "the test of the official JavaScript SDK needs Node.js $NODE_LEAST or newer" nodejs npm ca-certificates
  fi
  stamp=$bin/node/.complete
  wanted="$(cat "$lib/node/package.json" "$lib/node/package-lock.json" | sha256sum) $(node --version)"
  if [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
    say "installing the tests' Node packages into $bin/node (pinned)"
    rm -rf "$bin/node" "$bin/node.draft"
    mkdir "$bin/node.draft"
    cp "$lib/node/package.json" "$lib/node/package-lock.json" "$bin/node.draft"
    (cd "$bin/node.draft" && npm ci --ignore-scripts --no-audit --no-fund >"$bin/npm.log" 2>&1) ||
      die "npm could not install the tests' Node packages: $(tail -n 3 "$bin/npm.log")"
    rm -f "$bin/npm.log"
    mv "$bin/node.draft" "$bin/node"
    printf '%s\n' "$wanted" >"$stamp"
  fi
  (cd "$bin/node" && node -e "require('@directus/sdk').createDirectus('http://localhost').with") ||
    die "the official JavaScript SDK does not load: remove $bin/node and run this again"
  say "Node packages for the tests ($bin/node, Node.js $(node --version))"
}
