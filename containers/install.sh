#!/bin/sh
# Install locked requirements into the image's environment, without what no job loads.
set -eu
environment=/opt/model-monitor

tools/bin/pip --python $environment/bin/python install --no-compile --require-hashes --only-binary :all: \
    --requirement "$1"
sh slim.sh $environment
# LightGBM asks the system for an OpenMP library; scikit-learn brings one, under a name of its own.
cd $environment/lib
for library in python3.*/site-packages/scikit_learn.libs/libgomp*; do
    if [ -f "$library" ]; then ln -s "$library" libgomp.so.1; fi
done
