#!/bin/sh
# Runs a script as root in a copy of this machine that is thrown away: an overlay of the root directory
# in memory, in a mount namespace of its own, so that packages may be installed and users made.
#
#   isolated.sh run  DIR SCRIPT   DIR/SCRIPT in the copy; what was written is in DIR/changed then
#   isolated.sh boot DIR SCRIPT   in a copy that systemd has booted, with a network of its own: DIR/log
#                                 is what it printed, and DIR/status its exit code
#
# DIR is /shared there. Exit code 77: this machine does not allow that, and the last line says what.
set -eu

cannot() {
    echo "isolated.sh: $1" >&2
    exit 77
}

# ---- in the mount namespace: the copy, at $root

make_copy() {
    mount -t tmpfs -o mode=0755 tmpfs "$1" || cannot "mounting is not allowed"
    mkdir "$1/upper" "$1/work" "$1/root"
    mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" overlay "$1/root" ||
        cannot "there are no overlays here"
    root=$1/root
    for place in run tmp; do mount -t tmpfs -o mode=1777 tmpfs "$root/$place"; done
    chmod 0755 "$root/run"
    mkdir "$root/shared"
    mount --bind "$2" "$root/shared"
    rm -f "$root/usr/sbin/policy-rc.d" # services are started, where systemd runs
    rm -f "$root"/etc/dpkg/dpkg.cfg.d/* # small images leave documents out
    ln -sf /bin/true "$root/usr/bin/mandb" # its index of all pages takes longer than all the rest
}

run_in_copy() {
    make_copy "$1" "$2"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    code=0
    chroot "$root" /bin/bash "/shared/$3" || code=$?
    rm -rf "$2/changed"
    cp -a "$1/upper" "$2/changed"
    exit "$code"
}

# ---- in namespaces of processes, network, cgroups and names besides

# What a container has of /dev; and kernel settings that cannot be written.
make_system_places() {
    mount -t proc proc "$root/proc"
    mount --bind "$root/proc/sys" "$root/proc/sys"
    mount -o remount,bind,ro "$root/proc/sys"
    mount -t sysfs sysfs "$root/sys" || cannot "a sysfs cannot be mounted"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" || cannot "there is no cgroup2"
    mount -o remount,bind,ro "$root/sys"
    mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
    for device in null zero full random urandom tty; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    mkdir "$root/dev/shm" "$root/dev/pts"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
}

# Nothing of this machine's own services is started: only what the script asks for.
make_target() {
    rm -rf "$root"/etc/systemd/system/*.wants "$root"/etc/systemd/system/*.service
    ln -s /dev/null "$root/etc/systemd/system/systemd-modules-load.service" # the kernel is not a copy
    : >"$root/etc/fstab"
    cat >"$root/etc/systemd/system/isolated.target" <<END
[Unit]
Wants=isolated.service
AllowIsolate=yes
END
    cat >"$root/etc/systemd/system/isolated.service" <<END
[Unit]
After=sysinit.target
[Service]
Type=oneshot
ExecStart=/bin/bash -c '/bin/bash /shared/$1; echo \$? >/shared/status; systemctl poweroff --force --force'
StandardOutput=file:/shared/log
StandardError=file:/shared/log
END
}

boot_copy() {
    make_copy "$1" "$2"
    make_system_places
    make_target "$3"
    cd "$root"
    mkdir old
    pivot_root . old
    umount -l /old
    exec env -i PATH="$PATH" container=other /lib/systemd/systemd --system --unit=isolated.target \
        --log-target=journal
}

# A control group of its own, which goes with all below it, is the root of the copy's.
boot() {
    base=$1
    mkdir "$base/cgroup" "$base/copy"
    mount -t cgroup2 cgroup2 "$base/cgroup" || cannot "there is no cgroup2"
    cgroup=$base/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/isolated-$$
    mkdir "$cgroup" || cannot "control groups cannot be made"
    trap 'find "$cgroup" -depth -type d -exec rmdir {} +' EXIT
    # systemd ends as a machine does that is switched off: how that shows is of no interest
    sh -c 'echo $$ >"$0/cgroup.procs"; exec unshare --pid --fork --kill-child --cgroup --ipc --uts --net --mount \
        --propagation private "$@"' "$cgroup" "$self" in-booted "$base/copy" "$2" "$3" </dev/null || code=$?
    [ "${code:-0}" -ne 77 ] || exit 77
    [ -f "$2/status" ] || { echo "isolated.sh: systemd did not come to the script" >&2; exit 1; }
    exit "$(cat "$2/status")"
}

self=$(realpath "$0")
case "$1" in
run | boot)
    [ "$(id -u)" -eq 0 ] || cannot "this takes root"
    unshare --mount --propagation private true 2>/dev/null || cannot "namespaces are not allowed"
    base=$(mktemp -d)
    code=0
    unshare --mount --propagation private "$self" "in-$1" "$base" "$(realpath "$2")" "$3" || code=$?
    rm -rf "$base"
    exit "$code"
    ;;
in-run) run_in_copy "$2" "$3" "$4" ;;
in-boot) boot "$2" "$3" "$4" ;;
in-booted) boot_copy "$2" "$3" "$4" ;;
*)
    echo "isolated.sh: run or boot, a directory, and a script in it" >&2
    exit 2
    ;;
esac
