#!/bin/sh
# Installs the system packages that the virtual sound card, PortAudio and the people who speak in tests need (Debian and
# its relatives), and a browser for the review page. pocketsphinx-testdata is recordings of people: nothing but the tests
# hears them. Packages given as arguments are installed with them.
# Quiet when everything is there; says what to do and goes on where nothing can be installed.
set -eu

packages="pulseaudio pulseaudio-utils libasound2-plugins libportaudio2 flite pocketsphinx-testdata chromium $*"

missing=""
if command -v dpkg-query >/dev/null 2>&1; then
    for package in $packages; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || missing="$missing $package"
    done
else
    missing=" $packages"
fi
[ -n "$missing" ] || exit 0

by_hand() {
    echo "system packages: $1; the live audio tests will be skipped. Needed:$missing" >&2
    exit 0
}

command -v apt-get >/dev/null 2>&1 || by_hand "there is no apt-get here, install PulseAudio and PortAudio your system's way"

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || by_hand "neither root nor password-free sudo, run: sudo apt-get install$missing"
    as_root="sudo -n"
fi

echo "system packages: installing$missing" >&2
install() {
    # shellcheck disable=SC2086  # the lists are words on purpose
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >/dev/null
}
# A fresh container has no package lists; a machine that has them needs no update.
if ! install 2>/dev/null; then
    $as_root apt-get update -q >/dev/null || by_hand "apt-get update failed"
    install || by_hand "apt-get install failed"
fi
