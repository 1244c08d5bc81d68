"""Runs a program in the tree of the image as an engine would: an unprivileged user, the tree as its root and, where
this may mount, read-only; a directory as its one volume. Nothing of the machine's environment is handed on.

    run_in_image.py TREE VOLUME UID [NAME=VALUE ...] -- PROGRAM [ARGUMENT ...]

VOLUME "-" is the tree's own directory: for machines that may not mount. The program takes this process's place, so
that signals reach it. Needs root; to be run with `unshare --mount` where there is a volume to mount."""

import os
import subprocess
import sys

MOUNT_POINT = "var/lib/dgld"


def mount(*arguments):
    subprocess.run(["mount", *map(str, arguments)], check=True)


def mount_tree(tree, volume):
    """In a namespace of mounts of one's own."""
    mount("--bind", tree, tree)
    mount("--bind", volume, f"{tree}/{MOUNT_POINT}")
    mount("--rbind", "/proc", f"{tree}/proc")
    mount("-o", "remount,bind,ro", tree)


def main():
    at = sys.argv.index("--")
    tree, volume, user, *environment = sys.argv[1:at]
    command = sys.argv[at + 1 :]
    if volume != "-":
        mount_tree(tree, volume)
    os.chroot(tree)
    os.chdir(f"/{MOUNT_POINT}")
    os.setgroups([])
    os.setresgid(int(user), int(user), int(user))
    os.setresuid(int(user), int(user), int(user))
    os.execve(command[0], command, dict(entry.split("=", 1) for entry in environment))


main()
