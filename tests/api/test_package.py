"""What `make install` and `make deb` make. The package is installed, upgraded, removed and purged for real, in a copy
of this machine that is thrown away (tests/support/isolated.sh): once with dpkg alone, once under a systemd that
has booted there."""

import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest
from conftest import BUILT_IN, ROOT

PREDICT = """curl -sS -m 20 --json '{"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46],
    "architectures": ["444244"]}' http://127.0.0.1:8080/v1/predict"""


def made(command, **keywords):
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, **keywords)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(path):
    return {str(f.relative_to(path)): hashlib.sha256(f.read_bytes()).hexdigest() for f in path.rglob("*") if f.is_file()}


def isolated(how, path, script):
    """Runs a script in a copy of the machine and returns its output."""
    (path / "script").write_text("set -eux\nexec 2>&1\n" + script)
    done = subprocess.run([ROOT / "tests/support/isolated.sh", how, path, "script"], capture_output=True, text=True, timeout=180)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    log = (path / "log").read_text() if (path / "log").exists() else done.stdout
    assert done.returncode == 0, log + done.stderr
    return log


# ---- make install -------------------------------------------------------------------------------


def install(path, *variables, verb="install"):
    return made(["make", verb, f"DESTDIR={path}", *variables])


def test_installed_files_are_where_systems_look_for_them(tmp_path):
    install(tmp_path)
    installed = files(tmp_path)
    assert {"usr/local/bin/dgld", "etc/dgld/dgld.json", "usr/local/lib/systemd/system/dgld.service",
            "usr/local/lib/systemd/system/dgld.socket", "usr/local/lib/sysusers.d/dgld.conf",
            "usr/local/share/man/man1/dgld.1", "usr/local/share/doc/dgld/README.md"} <= set(installed)
    shared = {name for name in installed if name.startswith("usr/local/share/dgld/")}
    shipped = {"config/dgld.json"} | {f"data/devices/{sheet.name}" for sheet in (ROOT / "data/devices").glob("*.json")}
    for space in BUILT_IN:
        shipped |= {f"result/{space}/{name}.safetensors" for name in ("pretrainmodel", "pretrainmodel-mlp", "accuracymodel")}
    assert shared == {f"usr/local/share/dgld/{name}" for name in shipped}
    unit = (tmp_path / "usr/local/lib/systemd/system/dgld.service").read_text()
    assert "ExecStart=/usr/local/bin/dgld serve --root /var/lib/dgld --config /etc/dgld/dgld.json\n" in unit
    assert "/usr/bin" not in unit and "/usr/share" not in unit


def test_an_own_prefix_has_its_own_settings(tmp_path):
    install(tmp_path, "PREFIX=/opt/dgld")
    assert (tmp_path / "opt/dgld/etc/dgld/dgld.json").is_file() and not (tmp_path / "etc").exists()
    unit = (tmp_path / "opt/dgld/lib/systemd/system/dgld.service").read_text()
    assert "--config /opt/dgld/etc/dgld/dgld.json\n" in unit


def test_settings_survive_another_install_and_uninstall_alone(tmp_path):
    install(tmp_path)
    (tmp_path / "etc/dgld/dgld.json").write_text('{"port": 1}')
    assert "stays as it is" in install(tmp_path)
    install(tmp_path, verb="uninstall")
    assert files(tmp_path) == {"etc/dgld/dgld.json": hashlib.sha256(b'{"port": 1}').hexdigest()}


def test_the_manual_page_tells_every_command_and_renders():
    page = (ROOT / "deploy/dgld.1").read_text()
    listed = re.findall(r"^dgld (\w+) +(?:[A-Z\[].*?)? +([a-z].*)$", made([ROOT / "build/dgld", "--help"]), re.M)
    told = re.findall(r"^\.TP\n\.B (\w+)\n(.*)$", page.split("\n.SH COMMANDS\n")[1].split("\n.SH ")[0], re.M)
    assert told == listed and len(told) > 10
    if shutil.which("man"):
        assert "warning" not in subprocess.run(
            ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "deploy/dgld.1"], cwd=ROOT, capture_output=True, text=True).stderr


# ---- make deb -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A directory with 1.deb, as it is built, and 2.deb, a higher version whose settings file is another one."""
    if not shutil.which("dpkg-shlibdeps"):
        pytest.skip("dpkg-dev is not installed")
    path = tmp_path_factory.mktemp("packages")
    os.rename(made(["deploy/build-deb.sh", "1.0", path]).strip(), path / "1.deb")
    made(["dpkg-deb", "-R", path / "1.deb", path / "tree"])
    for name, old, new in (("DEBIAN/control", "Version: 1.0\n", "Version: 2.0\n"),
                           ("etc/dgld/dgld.json", '"port": 8080', '"port": 8081')):
        text = (path / "tree" / name).read_text()
        assert text.count(old) == 1
        (path / "tree" / name).write_text(text.replace(old, new))
    made(["dpkg-deb", "--root-owner-group", "-Znone", "-b", path / "tree", path / "2.deb"])
    shutil.rmtree(path / "tree")
    return path


@pytest.fixture
def machine(packages, tmp_path):
    """A directory for isolated(), with both packages in it."""
    for file in packages.glob("*.deb"):
        shutil.copy(file, tmp_path)
    return tmp_path


def test_the_same_commit_gives_the_same_package(packages, tmp_path):
    again = made(["deploy/build-deb.sh", "1.0", tmp_path]).strip()
    assert open(again, "rb").read() == (packages / "1.deb").read_bytes()


def test_a_package_says_what_it_is_and_needs(packages):
    fields = made(["dpkg-deb", "-f", packages / "1.deb", "Package", "Version", "Architecture", "Depends"])
    assert "Package: dgld\nVersion: 1.0\n" in fields
    needed = {part.split()[0] for part in re.search(r"Depends: (.*)", fields)[1].split(",")}
    assert {"libc6", "libmicrohttpd12", "libjansson4", "libsqlite3-0", "libuv1", "systemd"} <= needed
    # those that are loaded late, as the program calls them where one is missing
    late = {name for file in ROOT.glob("*/lib*.c") for name in re.findall(r'^    \.package = "(.*)",$', file.read_text(), re.M)}
    assert late == {"libcurl3-gnutls", "libpq5", "libzip4"} and late <= needed
    listed = made(["dpkg-deb", "-c", packages / "1.deb"])
    assert all(line.split()[1] == "root/root" for line in listed.splitlines())
    assert not re.search(r"^[-d]......w|^-..s", listed, re.M)


def test_versions_of_later_commits_are_higher():
    version = made(["deploy/version.sh"]).strip()
    release = re.search(r'DGLD_VERSION "(.*)"', (ROOT / "core/version.h").read_text())[1]
    assert re.fullmatch(re.escape(release) + r"(\+git\d{14}\.[0-9a-f]{10,})?", version)
    assert version in made([ROOT / "build/dgld", "--version"]) or version.startswith(release + "+git")
    if "+git" in version:
        made(["dpkg", "--compare-versions", version, "gt", release])
        made(["dpkg", "--compare-versions", version, "lt", release + "+git99991231235959.0"])


# What dpkg, useradd and the library cache keep for themselves.
BOOKKEEPING = re.compile(
    r"(var/lib/dpkg|var/log|var/cache|shared|usr/sbin/policy-rc.d|usr/bin/mandb|etc/dpkg/dpkg.cfg.d|var/lib/systemd|etc/ld.so.cache)(/|$)"
    r"|etc/(passwd|group|shadow|gshadow|subuid|subgid)(-|$)|etc/\.pwd\.lock$")


def test_a_package_is_installed_upgraded_removed_and_purged(machine):
    log = isolated("run", machine, f"""
cd /
dpkg=\"dpkg --force-unsafe-io --force-confold\"
cp /etc/passwd /etc/group /etc/shadow /etc/gshadow /shared/
$dpkg -i /shared/1.deb
test "$(dgld --version | cut -c1-5)" = "dgld "
getent passwd dgld | grep -q ':/var/lib/dgld:/usr/sbin/nologin$'
test -L /etc/systemd/system/sockets.target.wants/dgld.socket
test -L /etc/systemd/system/multi-user.target.wants/dgld.service
dpkg -V dgld

: the command line of the unit, as its user
install -d -o dgld -g dgld -m 0700 /var/lib/dgld
command=$(sed -n 's/^ExecStart=//p' /lib/systemd/system/dgld.service)
run() {{ setpriv --reuid dgld --regid dgld --clear-groups --no-new-privs --bounding-set=-all $command --port 0 2>/tmp/log & }}
started() {{ for i in $(seq 200); do grep -o 'http://127.0.0.1:[0-9]*' /tmp/log && return; sleep 0.05; done; cat /tmp/log; return 1; }}
run
url=$(started)
curl -sS -m 20 --json '{{"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]}}' $url/v1/predict
dgld jobs list --url $url
dgld export 444244 --search_space nasbench201 --file /tmp/444244.pt
kill $!; wait $!
test -O /usr/bin/dgld -a -f /var/lib/dgld/result/.jobs.sqlite

: what somebody changed survives an upgrade
sed -i 's/"log_level": "info"/"log_level": "debug"/' /etc/dgld/dgld.json
echo '{{"tokens": []}}' >/etc/dgld/tokens.json
systemctl disable dgld.socket
cp /etc/dgld/dgld.json /tmp/own.json
$dpkg -i /shared/2.deb
test "$(dpkg-query -W -f '${{Version}}' dgld)" = 2.0
cmp /etc/dgld/dgld.json /tmp/own.json
grep -q 8081 /etc/dgld/dgld.json.dpkg-dist
test -f /var/lib/dgld/result/.jobs.sqlite -a -f /etc/dgld/tokens.json
test ! -e /etc/systemd/system/sockets.target.wants/dgld.socket
test -L /etc/systemd/system/multi-user.target.wants/dgld.service
run
started
kill $!; wait $!

: a removal keeps settings and state, a purge nothing
$dpkg -r dgld
test ! -e /usr/bin/dgld -a ! -e /usr/share/dgld -a ! -e /lib/systemd/system/dgld.service
cmp /etc/dgld/dgld.json /tmp/own.json
test -f /var/lib/dgld/result/.jobs.sqlite
$dpkg -P dgld
for file in passwd group shadow gshadow; do cmp /etc/$file /shared/$file; done
! dpkg-query -W dgld
""")
    assert json.loads(re.search(r'^\{"search_space".*\}', log, re.M)[0])["latency_ms"] == [4610.75151]
    changed = machine / "changed"
    left = {str(f.relative_to(changed)) for f in changed.rglob("*") if not f.is_dir()}
    assert {name for name in left if not BOOKKEEPING.match(name)} == set()
    assert not any("dgld" in name for name in left if not name.startswith(("var/lib/dpkg/", "shared")))


LOAD = """
import http.client, json, sys, threading, time
body = json.dumps({"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46], "architectures": ["444244"]})
counts = {}
def ask():
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
            connection.request("POST", "/v1/predict", body, {"Content-Type": "application/json"})
            said = str(connection.getresponse().status)
            connection.close()
        except Exception as error:
            said = repr(error)
        counts[said] = counts.get(said, 0) + 1
        time.sleep(0.01)
for _ in range(4):
    threading.Thread(target=ask, daemon=True).start()
sys.stdin.readline()
print("load", json.dumps(counts))
"""


def test_a_package_runs_under_systemd_and_is_upgraded_under_load(machine):
    """With all that the unit forbids in force: predictions of both kinds, a search, a reload, a restart and an
    upgrade that fail no request, a watchdog that ends what hangs, and a purge."""
    (machine / "load.py").write_text(LOAD)
    log = isolated("boot", machine, f"""
dpkg=\"dpkg --force-unsafe-io --force-confold\"
mkdir -p /etc/systemd/system/dgld.service.d
printf '[Service]\\nWatchdogSec=4s\\n' >/etc/systemd/system/dgld.service.d/own.conf
$dpkg -i /shared/1.deb
systemctl is-active dgld.socket dgld.service
pid() {{ systemctl show -p MainPID --value dgld.service; }}
echo "status $(systemctl show -p StatusText --value dgld.service)"
grep -E '^(Uid|CapBnd|NoNewPrivs|Seccomp):' /proc/$(pid)/status
{PREDICT}
echo
curl -sS -m 60 --json '{{"search_space": "fbnetv3", "device": "Oppo A5", "model": "mlp",
    "architectures": ["3 5 5 3 5 5 5 4 2 5 3 5 3 6 16 16 24 40 72 120 184 224 2 4 5 5 6 6"]}}' http://127.0.0.1:8080/v1/predict
echo
curl -sS -m 60 --json '{{"kind": "nas", "search_space": "nasbench201", "params": {{"device": "Oppo A5", "latency_constraint_ms": 4000}}}}' \
    -H 'Prefer: wait=50' http://127.0.0.1:8080/v1/jobs | grep -o '"state":"[a-z]*"'
curl -sS http://127.0.0.1:8080/metrics | grep ^process_start_time_seconds
test "$(stat -c '%U %a' /var/lib/dgld)" = 'dgld 700'

mkfifo /tmp/end
python3 /shared/load.py </tmp/end >/tmp/counts &
load=$!
exec 9>/tmp/end
sleep 0.3
systemctl reload dgld.service
first=$(pid)
systemctl restart dgld.service
second=$(pid)
systemctl kill --signal SIGUSR2 --kill-whom main dgld.service
for i in $(seq 100); do test "$(pid)" != $second && break; sleep 0.05; done
third=$(pid)
sleep 0.3
$dpkg -i /shared/2.deb
fourth=$(pid)
sleep 0.3
echo "pids $first $second $third $fourth"
echo >&9
wait $load
cat /tmp/counts
test "$(systemctl show -p NRestarts --value dgld.service)" = 0

kill -STOP $fourth
for i in $(seq 200); do test "$(systemctl show -p NRestarts --value dgld.service)" != 0 && break; sleep 0.1; done
{PREDICT}
echo
systemctl is-active dgld.service
journalctl -o cat -u dgld.service | grep -i watchdog
$dpkg -P dgld
! systemctl is-active dgld.service dgld.socket
! systemctl cat dgld.service
test ! -e /var/lib/dgld -a ! -e /etc/dgld -a ! -e /etc/systemd/system/dgld.service.d
! getent passwd dgld
""")
    assert "\nstatus listening on http://127.0.0.1:8080\n" in log
    uid = int(re.search(r"^Uid:\s+(\d+)", log, re.M)[1])
    assert 0 < uid < 1000
    assert re.search(r"^CapBnd:\s+0+$", log, re.M) and "NoNewPrivs:\t1" in log and "Seccomp:\t2" in log
    assert log.count("[4610.75151]") == 2 and '"predictor":"mlp"' in log and log.count('"state":"succeeded"') == 1
    assert float(re.search(r"^process_start_time_seconds (\S+)", log, re.M)[1]) > 1e9
    assert len(set(re.search(r"^pids (.*)$", log, re.M)[1].split())) == 4
    counts = json.loads(re.search(r"^load (.*)$", log, re.M)[1])
    assert set(counts) == {"200"} and counts["200"] > 20
    assert "Watchdog timeout" in log
