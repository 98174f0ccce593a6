#!/bin/sh
# Remove from a virtual environment what no job ever loads: headers, static libraries, the packages'
# own tests, and Arrow's network service. (Arrow's core is linked to its query plans: those stay, and so
# do the licences.)
set -eu
cd "$1"/lib/python3.*/site-packages

rm -rf pyarrow/include pyarrow/src pyarrow/tests pyarrow/includes
find pyarrow \( -name '*.pyx' -o -name '*.pxi' -o -name '*.pxd' \) -delete
rm -f pyarrow/libarrow_flight* pyarrow/libarrow_python_flight* pyarrow/_flight* pyarrow/flight.py

find . -type d -name tests -prune -exec rm -rf {} +
rm -rf numpy/_core/include
find . -name '*.a' -delete
