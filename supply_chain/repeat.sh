#!/bin/sh
# Build images twice, each time from nothing, and compare their digests: repeat.sh BASE_IMAGE IMAGE...
# Podman sets every time in an image to SOURCE_DATE_EPOCH; in two storages that know nothing of each other it
# has no cache to answer from. DOCKER is the engine that has the base; BUILD_FLAGS are more words for
# `podman build`.
set -eu
base=$1
shift
storages=$(mktemp -d "${TMPDIR:-/var/tmp}/repeat.XXXXXX")

in_storage() {
    storage=$storages/$1
    shift
    podman --root "$storage" --runroot "$storage-run" "$@"
}

finish() {
    for number in 1 2; do
        in_storage $number rmi --all --force >/dev/null 2>&1 || true
        # The storage keeps a mount of its own while it is in use.
        umount "$storages/$number/overlay" 2>/dev/null || true
    done
    rm -rf "$storages"
}
trap finish EXIT

"${DOCKER:-docker}" save --output "$storages/base.tar" "$base"
for number in 1 2; do
    in_storage $number load --quiet --input "$storages/base.tar" >/dev/null
    for image in "$@"; do
        # shellcheck disable=SC2086 # several words
        in_storage $number build --quiet --timestamp "$SOURCE_DATE_EPOCH" ${BUILD_FLAGS:-} \
            --build-arg "BASE_IMAGE=$base" --file containers/Dockerfile --target "$image" --tag "$image" . >/dev/null
        in_storage $number image inspect --format "$image {{.Digest}}" "$image" | tee -a "$storages/digests.$number"
    done
done
if ! diff "$storages/digests.1" "$storages/digests.2"; then
    echo "two builds of one source differ" >&2
    exit 1
fi
echo "the same digests both times"
