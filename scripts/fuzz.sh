#!/bin/bash
#
# fuzz.sh BUILD SECONDS - random instructions against the host's own CPU, noise at every device, and
# whole machines whose firmware or kernel is damaged, with a new seed each round; stops at the first difference and names its seed.
set -euo pipefail
build=$1 seconds=$2
end=$((SECONDS + seconds))
while [ $SECONDS -lt $end ]; do
    left=$((end - SECONDS))
    seed=$((RANDOM * 32768 + RANDOM))
    echo "seed $seed"
    "$build/tests/cpu/test-native" --seconds $((left < 60 ? left : 60)) --seed $seed
    "$build/tests/device/test-noise" --seed "R02S$(printf '%08x%08x%08x%08x' $seed $RANDOM $RANDOM $RANDOM)" >/dev/null
    python3 tests/fuzz/wild.py "$build/viv" --seed $seed --seconds $((left < 60 ? left : 60))
done
