# Rust and a C compiler. Sourced, never run; bash. Needs say.sh.

# The installer of rustup, pinned; rust-toolchain.toml says which Rust it then brings.
RUSTUP_VERSION=1.28.2
rustup_sum() {
  case "$1" in
    x86_64) echo 20a06e644b0d9bd2fbdbfd52d42540bdde820ea7df86e92e533c073da0cdd43c ;;
    aarch64) echo e3853c5a252fca15252d07cb23a1bdd9377a8c6f3efa01531109281ae47f841c ;;
  esac
}

rust_wanted() { sed -n 's/^channel = "\(.*\)"$/\1/p' "$repo/rust-toolchain.toml"; }

rust_works() {
  local version
  version=$(cd "$repo" && cargo --version 2>/dev/null) || return 1
  at_least "$(first_version "$version")" "$(rust_wanted)"
}

install_rustup() {
  local arch folder file
  arch=$(machine)
  say "there is no Rust $(rust_wanted) here: installing it with rustup into ${CARGO_HOME:-$HOME/.cargo} (no root needed)"
  command -v curl >/dev/null || command -v wget >/dev/null || command -v python3 >/dev/null ||
    apt_install "nothing here can download" curl ca-certificates
  # It looks at its own name.
  folder=$(mktemp -d)
  file=$folder/rustup-init
  fetch "https://static.rust-lang.org/rustup/archive/$RUSTUP_VERSION/$arch-unknown-linux-gnu/rustup-init" \
    "$(rustup_sum "$arch")" "$file" ||
    die "static.rust-lang.org cannot be reached: install Rust $(rust_wanted) by hand (https://rustup.rs) and run this again"
  chmod +x "$file"
  (cd / && "$file" -y --quiet --no-modify-path --profile minimal --default-toolchain none >/dev/null) ||
    die "rustup could not be installed (see above)"
  rm -rf "$folder"
  PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"
}

ensure_rust() {
  export PATH
  command -v cargo >/dev/null || PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
  if ! rust_works; then
    command -v rustup >/dev/null || install_rustup
    say "installing Rust $(rust_wanted) (rust-toolchain.toml)"
    (cd "$repo" && rustup toolchain install "$(rust_wanted)" --profile minimal -c clippy -c rustfmt --no-self-update) ||
      die "rustup could not install Rust $(rust_wanted) (see above)"
    rust_works || die "cargo is still older than $(rust_wanted): \"$(command -v cargo)\" comes before rustup's in PATH; remove it or reorder PATH"
  fi
  # Some crates have parts in C.
  command -v cc >/dev/null || apt_install "there is no C compiler (cc)" gcc libc6-dev
}
