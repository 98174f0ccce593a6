#!/bin/sh
# Run a command, and gather below /added what it adds to the image's environment: one layer's worth, so that
# images share the layers below it.
set -eu
environment=/opt/model-monitor

touch before
sleep 1
"$@"
added() { find $environment ! -type d -cnewer before "$@"; }
added -name '*.py' | $environment/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -i -
mkdir /added
added -print0 | tar --create --null --files-from=- --absolute-names | tar --extract --directory=/added
