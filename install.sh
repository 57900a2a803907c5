#!/bin/sh
# Builds refpost and installs it; `./install.sh --help` says how.
#
# Backticks quote a value in what is said here; they never stand for a command.
# shellcheck disable=SC2016

set -eu
umask 022

usage() {
    cat <<'END'
Build refpost and install it.

usage: ./install.sh [OPTION…]

  --prefix DIR   where to install (default: $PREFIX, or else /usr/local)
  --repo PATH    then enable this repository; can be repeated
  --cron         also install /etc/cron.d/refpost, which delivers each minute
  --systemd      the same as systemd units, in /etc/systemd/system
  --service      also install a service account `refpost`, a socket to which
                 all accounts submit messages, and a service that delivers them
  --no-build     install the binary that was built before
  --dry-run      show what would be done, and do nothing
  --uninstall    remove what was installed, after disabling each --repo
  --help         show this

Environment: PREFIX; DESTDIR, a folder put before every path, for packagers;
CARGO_TARGET_DIR. Installing again replaces only what differs.
END
}

# Subcommands that have a page of their own.
pages='announce check completions demo disable emit enable flush hook key keygen listen log man metrics page
ping preview queue queue-drop queue-list queue-move queue-retry queue-show status verify work'

# Everything that is ever installed, a line each: the option that asks for it,
# its mode, what makes it, where it goes. Installing, --dry-run and --uninstall
# read this; the Debian package has a list of its own, in Cargo.toml.
files() {
    cat <<END
always 755 binary $prefix/bin/refpost
always 644 man $prefix/share/man/man1/refpost.1
always 644 refpost.toml.5 $prefix/share/man/man5/refpost.toml.5
always 644 refpost.schema.json $prefix/share/refpost/refpost.schema.json
always 644 rabbitmq-definitions.json $prefix/share/refpost/rabbitmq-definitions.json
always 755 from-pagure $prefix/share/refpost/from-pagure
always 644 completions-bash $prefix/share/bash-completion/completions/refpost
always 644 completions-zsh $prefix/share/zsh/site-functions/_refpost
always 644 completions-fish $prefix/share/fish/vendor_completions.d/refpost.fish
always 644 prometheus/alerts.yml $prefix/share/refpost/prometheus/alerts.yml
always 644 prometheus/alerts.test.yml $prefix/share/refpost/prometheus/alerts.test.yml
always 644 prometheus/dashboard.json $prefix/share/refpost/prometheus/dashboard.json
always 644 templates/discord.j2 $prefix/share/refpost/templates/discord.j2
always 644 templates/matrix.j2 $prefix/share/refpost/templates/matrix.j2
always 644 templates/msteams.j2 $prefix/share/refpost/templates/msteams.j2
always 644 templates/ntfy.j2 $prefix/share/refpost/templates/ntfy.j2
always 644 templates/zulip.j2 $prefix/share/refpost/templates/zulip.j2
cron 644 refpost.cron /etc/cron.d/refpost
systemd 644 refpost-flush.service /etc/systemd/system/refpost-flush.service
systemd 644 refpost-flush.timer /etc/systemd/system/refpost-flush.timer
systemd 644 refpost-flush@.service /etc/systemd/system/refpost-flush@.service
systemd 644 refpost-flush@.timer /etc/systemd/system/refpost-flush@.timer
systemd 644 refpost-flush@.path /etc/systemd/system/refpost-flush@.path
service 644 refpost.sysusers /etc/sysusers.d/refpost.conf
service 644 refpost.socket /etc/systemd/system/refpost.socket
service 644 refpost-work.service /etc/systemd/system/refpost-work.service
END
    for page in $pages; do
        echo "always 644 man-$page $prefix/share/man/man1/refpost-$page.1"
    done
}

wanted() {
    case $1 in
    always) true ;;
    cron) [ "$cron" = yes ] ;;
    systemd) [ "$systemd" = yes ] ;;
    service) [ "$service" = yes ] ;;
    esac
}

# Writes the page of the subcommand whose words are joined in $1.
man_page() {
    # shellcheck disable=SC2046 # Each word is one of its own.
    "$built" man $(echo "$1" | tr - ' ')
}

# Writes what `files` calls $1 to stdout.
make() {
    case $1 in
    binary) cat "$built" ;;
    man) "$built" man ;;
    man-*) man_page "${1#man-}" ;;
    completions-*) "$built" completions "${1#completions-}" ;;
    *) sed "s|/usr/bin/refpost|$prefix/bin/refpost|" "$source/contrib/$1" ;;
    esac
}

# Says why it cannot go on, then hints.
fail() {
    printf 'install.sh: %s\n' "$1" >&2
    shift
    for hint; do
        printf 'hint: %s\n' "$hint" >&2
    done
    exit 1
}

misused() {
    printf 'install.sh: %s\nhint: ./install.sh --help\n' "$1" >&2
    exit 2
}

# Runs a command, or shows it.
run() {
    if [ "$dry_run" = yes ]; then
        printf 'would run `%s`\n' "$*"
    else
        "$@"
    fi
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# Whether version $1 is $2 or later; two numbers count.
at_least() {
    major=${1%%.*}
    minor=${1#*.}
    minor=${minor%%.*}
    [ "$major" -gt "${2%%.*}" ] ||
        { [ "$major" -eq "${2%%.*}" ] && [ "$minor" -ge "${2#*.}" ]; }
}

# How to install a package: its name for apt, for dnf, for apk.
how_to_get() {
    if has apt-get; then
        echo "apt-get install $1"
    elif has dnf; then
        echo "dnf install $2"
    elif has apk; then
        echo "apk add $3"
    else
        echo 'your system has a package of it'
    fi
}

check_git() {
    has git || fail 'cannot find `git`' "$(how_to_get git git git)"
    version=$(git --version)
    version=${version#git version }
    at_least "$version" 2.20 ||
        fail "cannot work with git $version: refpost needs 2.20 or later"
}

check_builders() {
    rustup="curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh"
    if ! has cargo || ! has rustc; then
        fail 'cannot find `cargo`, which builds refpost' "$rustup" \
            'or run `cargo build --release --locked` in an account that has it, then here `./install.sh --no-build`'
    fi
    needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' "$source/Cargo.toml")
    version=$(cd "$source" && rustc --version)
    version=${version#rustc }
    version=${version%% *}
    at_least "$version" "$needed" ||
        fail "cannot build with Rust $version: refpost needs $needed or later" \
            'rustup update stable' "without rustup: $rustup"
    # rustc links with `cc`, whatever else is there.
    has "${CC:-cc}" || has cc ||
        fail 'cannot find `cc`, the C compiler that builds libgit2' \
            "$(how_to_get 'gcc libc6-dev' 'gcc glibc-devel' 'gcc musl-dev')"
}

# Fails before the build rather than after it.
check_writable() {
    files | while read -r when _ _ path; do
        wanted "$when" || continue
        folder=$(dirname "$DESTDIR$path")
        while [ ! -e "$folder" ]; do
            folder=$(dirname "$folder")
        done
        if [ ! -d "$folder" ] || [ ! -w "$folder" ]; then
            fail "cannot write to \`$folder\`" \
                'run it as root, or install for yourself: ./install.sh --prefix "$HOME/.local"'
        fi
    done
}

# Puts the file $1 at $3 with mode $2, whole or not at all; a refpost that is
# running is not written into.
put() {
    [ ! -d "$3" ] || fail "cannot write \`$3\`: it is a folder"
    folder=$(dirname "$3")
    error=$(mkdir -p "$folder" 2>&1) ||
        fail "cannot create \`$folder\`: ${error##*: }"
    error=$({ cp "$1" "$3.new" && chmod "$2" "$3.new" && mv -f "$3.new" "$3"; } 2>&1) || {
        rm -f "$3.new"
        fail "cannot write \`$3\`: ${error##*: }"
    }
}

install_files() {
    files | while read -r when mode what path; do
        wanted "$when" || continue
        path=$DESTDIR$path
        if [ "$dry_run" = yes ]; then
            echo "would install \`$path\`"
            continue
        fi
        make "$what" >"$stage/made" </dev/null ||
            fail "cannot make \`$path\` with \`$built\`"
        if cmp -s "$stage/made" "$path" 2>/dev/null; then
            echo "unchanged \`$path\`"
        elif [ "$when" = cron ] && [ -e "$path" ]; then
            # The account and MAILTO in it are the admin's.
            echo "kept \`$path\`, which differs from contrib/refpost.cron"
        else
            put "$stage/made" "$mode" "$path"
            echo "installed \`$path\`"
        fi
    done
}

remove_files() {
    files | while read -r when _ _ path; do
        wanted "$when" || continue
        path=$DESTDIR$path
        [ -e "$path" ] || [ -L "$path" ] || continue
        if [ "$dry_run" = yes ]; then
            echo "would remove \`$path\`"
            continue
        fi
        error=$(rm -f "$path" 2>&1) ||
            fail "cannot remove \`$path\`: ${error##*: }"
        echo "removed \`$path\`"
    done
}

systemd_runs() {
    [ -z "$DESTDIR" ] && [ -d /run/systemd/system ] && has systemctl
}

start_units() {
    if systemd_runs; then
        run systemctl daemon-reload
        run systemctl enable --now refpost-flush.timer
    else
        echo 'then run `systemctl daemon-reload` and `systemctl enable --now refpost-flush.timer`'
    fi
    echo 'if one account owns all repositories, docs/guides/running.md has a timer with fewer rights'
}

# The account first, then what runs as it, which wants a configuration.
start_service() {
    if systemd_runs; then
        run systemd-sysusers /etc/sysusers.d/refpost.conf
        run systemctl daemon-reload
    else
        echo 'then run `systemd-sysusers` and `systemctl daemon-reload`'
    fi
    echo 'then set `root`, `socket = "/run/refpost/submit"` and `spool = "/var/lib/refpost/spool"` in /etc/refpost/config.toml'
    echo 'then run `systemctl enable --now refpost.socket refpost-work.service`; docs/guides/accounts.md has the rest'
}

install() {
    if [ "$build" = yes ]; then
        check_git
        check_builders
    fi
    if [ "$dry_run" = no ]; then
        check_writable
    fi
    if [ "$build" = yes ]; then
        (cd "$source" && run cargo build --release --locked --target-dir "$target") ||
            fail 'cannot build refpost: `cargo build` failed'
    fi
    if [ "$dry_run" = no ]; then
        [ -x "$built" ] || fail "cannot find \`$built\`" 'cargo build --release --locked'
        stage=$(mktemp -d)
        trap 'rm -rf "$stage"' EXIT
        trap 'exit 1' HUP INT TERM
    fi
    install_files
    if [ "$systemd" = yes ]; then
        start_units
    fi
    if [ "$service" = yes ]; then
        start_service
    fi
    for repo; do
        run "$prefix/bin/refpost" enable "$repo" ||
            fail "cannot enable \`$repo\`: \`refpost enable\` failed"
    done
}

uninstall() {
    # Only what runs the refpost of this prefix: there can be another.
    if grep -qsF " $prefix/bin/refpost " "$DESTDIR/etc/cron.d/refpost"; then
        cron=yes
    fi
    if grep -qsF "=$prefix/bin/refpost " "$DESTDIR/etc/systemd/system/refpost-flush.service"; then
        systemd=yes
    fi
    if grep -qsF "=$prefix/bin/refpost " "$DESTDIR/etc/systemd/system/refpost-work.service"; then
        service=yes
    fi
    # While the binary is there; a repository whose hook stays is worse than
    # a binary that stays.
    for repo; do
        [ -x "$prefix/bin/refpost" ] ||
            fail "cannot disable \`$repo\`: \`$prefix/bin/refpost\` is not there"
        run "$prefix/bin/refpost" disable "$repo" ||
            fail "cannot disable \`$repo\`: \`refpost disable\` failed, and nothing was removed"
    done
    if [ "$systemd" = yes ] && systemd_runs; then
        run systemctl disable --now refpost-flush.timer
        # A template stands for all of its instances, but for their being stopped.
        run systemctl disable refpost-flush@.timer refpost-flush@.path
        run systemctl stop 'refpost-flush@*.timer' 'refpost-flush@*.path'
    fi
    if [ "$service" = yes ] && systemd_runs; then
        run systemctl disable --now refpost.socket refpost-work.service
    fi
    remove_files
    if [ "$systemd$service" != nono ] && systemd_runs; then
        run systemctl daemon-reload
    fi
    echo 'left alone: spools, configs, keys and accounts (in /etc/refpost, /var/lib/refpost, /var/spool/refpost and the repositories)'
}

prefix=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR-}
DESTDIR=${DESTDIR%/}
action=install
build=yes
cron=no
systemd=no
service=no
dry_run=no

# Takes the options from the front and puts each repository at the back.
left=$#
while [ "$left" -gt 0 ]; do
    option=$1
    shift
    left=$((left - 1))
    case $option in
    --prefix=* | --repo=*)
        value=${option#*=}
        option=${option%%=*}
        ;;
    --prefix | --repo)
        [ "$left" -gt 0 ] || misused "\`$option\` needs a value"
        value=$1
        shift
        left=$((left - 1))
        ;;
    esac
    case $option in
    --prefix) prefix=$value ;;
    --repo) set -- "$@" "$value" ;;
    --cron) cron=yes ;;
    --systemd) systemd=yes ;;
    --service) service=yes ;;
    --no-build) build=no ;;
    --dry-run) dry_run=yes ;;
    --uninstall) action=uninstall ;;
    --help | -h)
        usage
        exit
        ;;
    *) misused "unknown option \`$option\`" ;;
    esac
done

case $prefix in
/*) prefix=${prefix%/} ;;
*) misused "cannot install to \`$prefix\`: not an absolute path" ;;
esac
if [ "$cron$systemd$service" != nonono ]; then
    # It stands unquoted in the cron line and the unit.
    case $prefix in
    *[!A-Za-z0-9._+/-]*) misused "cannot run flush from \`$prefix\`: only letters, digits and \`._+-/\` can be in it" ;;
    esac
fi
if [ -n "$DESTDIR" ] && [ $# -gt 0 ]; then
    misused 'cannot enable or disable repositories under DESTDIR: the hooks would point into it'
fi

source=$(cd "$(dirname "$0")" && pwd)
target=${CARGO_TARGET_DIR:-target}
case $target in
/*) ;;
*) target=$source/$target ;;
esac
built=$target/release/refpost

"$action" "$@"
