#!/bin/sh
# Remove from a virtual environment what no job ever loads: headers, static libraries, the packages'
# own tests, second copies of a library, and Arrow's network service. (Arrow's core is linked to its
# query plans: those stay, and so do the licences.)
set -eu
cd "$1"/lib/python3.*/site-packages

rm -rf pyarrow/include pyarrow/src pyarrow/tests pyarrow/includes
find pyarrow \( -name '*.pyx' -o -name '*.pxi' -o -name '*.pxd' \) -delete
rm -f pyarrow/libarrow_flight* pyarrow/libarrow_python_flight* pyarrow/_flight* pyarrow/flight.py

find . -type d -name tests -prune -exec rm -rf {} +
rm -rf tornado/test
# A wheel has no links, so it holds this library three times; programs load the one with the short version.
for copy in pyarrow/libarrow_python.so.*.*.*; do
    loaded=$(basename "${copy%.*.*}")
    ln -sf "$loaded" "$copy"
    ln -sf "$loaded" pyarrow/libarrow_python.so
done
rm -rf numpy/_core/include
find . -name '*.a' -delete
