#!/bin/bash
#
# fuzz.sh BUILD SECONDS - random instructions against the host's own CPU, and noise at every device,
# with a new seed each round; stops at the first difference and names its seed.
set -euo pipefail
build=$1 seconds=$2
end=$((SECONDS + seconds))
while [ $SECONDS -lt $end ]; do
    left=$((end - SECONDS))
    seed=$((RANDOM * 32768 + RANDOM))
    echo "seed $seed"
    "$build/tests/cpu/test-native" --seconds $((left < 60 ? left : 60)) --seed $seed
    "$build/tests/device/test-noise" --seed "R02S$(printf '%08x%08x%08x%08x' $seed $RANDOM $RANDOM $RANDOM)" >/dev/null
done
