#!/bin/sh
# Makes a Debian package of what is built: build-deb.sh VERSION OUTPUT_DIR. The same commit gives the
# same bytes. Needs no root.
set -eu
cd "$(dirname "$0")/.."
version=$1
output=$2
maintainer=${DEB_MAINTAINER:-dgld maintainers <maintainers@dgld.invalid>}
SOURCE_DATE_EPOCH=$(deploy/version.sh date)
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/dgld
architecture=$(dpkg --print-architecture)
chmod 0755 "$work"
umask 022

make --no-print-directory install DESTDIR="$tree" PREFIX=/usr SYSCONFDIR=/etc UNITDIR=/lib/systemd/system >/dev/null
strip --strip-unneeded --remove-section=.comment --remove-section=.note "$tree/usr/bin/dgld"
gzip -9n "$tree/usr/share/man/man1/dgld.1"
install -m 0644 deploy/debian/copyright "$tree/usr/share/doc/dgld/copyright"
printf 'dgld (%s) stable; urgency=medium\n\n  * As of this commit; the history is in the source.\n\n -- %s  %s\n' \
    "$version" "$maintainer" "$(date -Ru -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$tree/usr/share/doc/dgld/changelog.gz"

# Which packages bring the libraries, by what those say of themselves; but libopenblas0 names any of its
# variants, and is not there itself where one was chosen. What the program loads late stands for itself.
mkdir -p "$work/debian" "$tree/DEBIAN"
printf 'Source: dgld\n\nPackage: dgld\nArchitecture: any\n' >"$work/debian/control"
cp deploy/debian/shlibs.local "$work/debian/"
cp -r build/generated/late "$work/late"
mkdir "$work/late/DEBIAN"
libraries=$(cd "$work" && dpkg-shlibdeps -O -e"$tree/usr/bin/dgld" $(printf ' -e%s' late/*/*.so) |
    sed -n 's/^shlibs:Depends=//p')
[ -n "$libraries" ] || { echo "build-deb.sh: dpkg-shlibdeps found no libraries" >&2; exit 1; }
sed -e "s|@VERSION@|$version|" -e "s|@ARCHITECTURE@|$architecture|" -e "s|@MAINTAINER@|$maintainer|" \
    -e "s#@LIBRARIES@#$libraries#" -e "s|@SIZE_KB@|$(du -sk --apparent-size --exclude=DEBIAN "$tree" | cut -f1)|" \
    deploy/debian/control >"$tree/DEBIAN/control"
install -m 0644 deploy/debian/conffiles "$tree/DEBIAN/conffiles"
install -m 0755 deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm "$tree/DEBIAN/"
(cd "$tree" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\0' | LC_ALL=C sort -z |
    xargs -0 md5sum >DEBIAN/md5sums)

mkdir -p "$output"
dpkg-deb --root-owner-group --build "$tree" "$output/dgld_${version}_$architecture.deb" >/dev/null
echo "$output/dgld_${version}_$architecture.deb"
