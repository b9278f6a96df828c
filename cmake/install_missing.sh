#!/bin/sh
# Installs the Debian packages that are named and missing, and says which. Those after `--` are welcome but not needed.
#
#   cmake/install_missing.sh gcc cmake -- clang
#
# Touches neither network nor package lists where nothing is missing. Uses sudo unless it runs as root. On a system
# without apt-get it trusts that the same things are there.
set -eu

if ! command -v apt-get >/dev/null 2>&1; then
    echo "No apt-get here; the build needs what these Debian packages hold: $*" >&2
    exit 0
fi

is_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

required=
optional=
kind=required
for package in "$@"; do
    if [ "$package" = -- ]; then
        kind=optional
    elif ! is_installed "$package"; then
        if [ $kind = required ]; then required="$required $package"; else optional="$optional $package"; fi
    fi
done
if [ -z "$required$optional" ]; then
    exit 0
fi

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null 2>&1; then
        sudo "$@"
    else
        echo "Neither root nor sudo: cannot run $*" >&2
        return 1
    fi
}
install_packages() {
    # What apt-get says goes to the screen only where it fails.
    if ! log=$(as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" 2>&1 </dev/null)
    then
        printf '%s\n' "$log" | tail -n 15 >&2
        return 1
    fi
}

echo "Updating the package lists"
as_root apt-get update -qq >/dev/null || echo "apt-get update failed; going on with the lists that are here" >&2
if [ -n "$required" ]; then
    echo "Installing:$required"
    # shellcheck disable=SC2086
    install_packages $required || {
        echo "These packages are needed and could not be installed:$required" >&2
        exit 1
    }
fi
for package in $optional; do
    echo "Installing: $package (optional)"
    install_packages "$package" || echo "Going on without $package" >&2
done
