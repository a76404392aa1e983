#!/bin/bash
# Install what the project needs on Debian 12: its servers (packages) and .venv (from the lock).
# Root gets the packages installed; an ordinary user is told the one line that is missing.
# `setup.sh tests` adds the clients and tools that only the tests use, `setup.sh clients` the large ones.
set -euo pipefail
cd "$(dirname "$0")/../.."
purpose=${1:-run}

say() { printf '==> %s\n' "$*"; }

find_python() {
  local name
  if [ -x .venv/bin/python ]; then
    echo .venv/bin/python
    return
  fi
  for name in python3.11 python3.12 python3.13 python3; do
    if command -v "$name" >/dev/null &&
      "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
      command -v "$name"
      return
    fi
  done
}

missing_packages() {
  [ -n "$(find_python)" ] || echo python3
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || echo rabbitmq-server
  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || echo postgresql
  command -v setpriv >/dev/null || echo util-linux
  can_make_environment || echo python3-venv
  if [ "$purpose" = tests ]; then
    local pair
    for pair in curl:curl swaks:swaks msmtp:msmtp s-nail:s-nail openssl:openssl /usr/sbin/clamd:clamav-daemon /usr/sbin/spamd:spamd spamassassin:spamassassin rspamd:rspamd node:nodejs npm:npm mutt:mutt mbsync:isync fetchmail:fetchmail \
      getmail:getmail6 /usr/sbin/smtp-sink:postfix promtool:prometheus \
      /usr/sbin/slapd:slapd /usr/sbin/opendkim:opendkim gsasl:gsasl doveadm:dovecot-core /usr/lib/dovecot/lmtp:dovecot-lmtpd \
      /usr/lib/dovecot/imap:dovecot-imapd /usr/lib/dovecot/pop3:dovecot-pop3d alpine:alpine offlineimap:offlineimap3 interimap:interimap; do
      command -v "${pair%%:*}" >/dev/null || echo "${pair##*:}"
    done
    # What Debian only recommends: TLS for swaks, and the odd messages of Python's own tests.
    perl -MNet::SSLeay -e1 2>/dev/null || echo libnet-ssleay-perl
    "$(find_python)" -c 'import test.test_email' 2>/dev/null || echo libpython3-testsuite
    # What the mail servers that are only unpacked need (see unpack_peers).
    for pair in libdb-5.3.so:libdb5.3 libevent-2.1.so.7:libevent-2.1-7 libnsl.so.2:libnsl2 \
      libidn.so.12:libidn12 libgnutls-dane.so.0:libgnutls-dane0; do
      compgen -G "/usr/lib/*/${pair%%:*}" >/dev/null || echo "${pair##*:}"
    done
  fi
  if [ "$purpose" = clients ]; then
    command -v thunderbird >/dev/null || echo thunderbird
  fi
}

can_make_environment() {
  local python
  python=$(find_python)
  [ -n "$python" ] || return 0 # python3 itself is missing: said already, venv comes next
  [ -x .venv/bin/python ] || command -v uv >/dev/null || "$python" -c 'import ensurepip' 2>/dev/null
}

# Debian starts the servers it installs; ours are private ones, so it is told not to, this once.
install_packages() {
  local policy=/usr/sbin/policy-rc.d own=
  if [ ! -e "$policy" ]; then
    own=$policy
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
  fi
  say "apt-get install $*"
  export DEBIAN_FRONTEND=noninteractive
  if ! apt-get install -y --no-install-recommends "$@"; then
    apt-get update
    apt-get install -y --no-install-recommends "$@"
  fi
  if [ -n "$own" ]; then
    rm -f "$own"
    trap - EXIT
  fi
}

# Of pip's 300 lines a counter is left; its errors come by another way.
counted() {
  local count=0 what rest
  while read -r what rest; do
    case $what in
      Collecting) count=$((count + 1)) && printf '\r    %d packages found ...' "$count" ;;
      Installing) printf '\n    installing them ...\n' ;;
    esac
  done
}

make_environment() {
  local python
  python=$(find_python)
  if [ ! -x .venv/bin/python ]; then
    say "making .venv with $("$python" --version)"
    if command -v uv >/dev/null; then
      uv venv --quiet --seed --python "$python" .venv
    else
      "$python" -m venv .venv
    fi
  fi
  say "installing what requirements-dev.lock names"
  if command -v uv >/dev/null; then
    uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements-dev.lock
    uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
  else
    .venv/bin/python -m pip install --disable-pip-version-check --require-hashes \
      -r requirements-dev.lock | counted
    .venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps \
      --no-build-isolation -e .
  fi
}

# Exim and OpenSMTPD cannot be installed beside Postfix: they are only unpacked, for tests to run.
unpack_peers() {
  local folder package
  if [ -x .venv/peers/usr/sbin/exim4 ] && [ -x .venv/peers/usr/sbin/smtpd ]; then
    return
  fi
  say "unpacking exim4-daemon-light and opensmtpd into .venv/peers"
  folder=$(mktemp -d)
  chmod 755 "$folder" # apt's own user writes there
  (
    cd "$folder"
    apt-get download -qq exim4-daemon-light opensmtpd 2>/dev/null || {
      apt-get update -qq
      apt-get download -qq exim4-daemon-light opensmtpd
    }
  )
  for package in "$folder"/*.deb; do
    dpkg-deb --extract "$package" .venv/peers
  done
  rm -r "$folder"
}

mapfile -t missing < <(missing_packages)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" -ne 0 ]; then
    say "Some of Debian's packages are missing. Please run this line, then try again:"
    echo "    sudo apt-get install --no-install-recommends ${missing[*]}"
    exit 1
  fi
  install_packages "${missing[@]}"
fi
make_environment
if [ "$purpose" = tests ]; then
  unpack_peers
  for client in nodemailer imapflow; do
    npm ci --prefix "tests/journeys/$client" --silent --no-audit --no-fund
  done
fi
say "set up"
