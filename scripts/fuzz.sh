#!/bin/bash
#
# fuzz.sh BUILD SECONDS - random instructions against the host's own CPU, noise at every device, and
# whole machines whose firmware or kernel is damaged, damaged disk images, with a new seed each round; stops at the first difference
# and names its seed. The last thing are 200 kills of processes that write a qcow2 image.
set -euo pipefail
build=$1 seconds=$2
end=$((SECONDS + seconds))
while [ $SECONDS -lt $end ]; do
    left=$((end - SECONDS))
    seed=$((RANDOM * 32768 + RANDOM))
    echo "seed $seed"
    "$build/tests/cpu/test-native" --seconds $((left < 60 ? left : 60)) --seed $seed
    for mode in "--jit --length 24" "--jit --code32 --length 12"; do
        # shellcheck disable=SC2086
        "$build/tests/cpu/test-native" $mode --seconds $((left < 60 ? left : 60)) --seed $seed
    done
    "$build/tests/cpu/test-segments" --seconds $((left < 60 ? left : 60)) --seed $seed
    glib_seed="R02S$(printf '%08x%08x%08x%08x' $seed $RANDOM $RANDOM $RANDOM)"
    "$build/tests/device/test-noise" --seed "$glib_seed" >/dev/null
    "$build/tests/device/fuzz-ide" --seconds 20 --seed $seed
    "$build/tests/device/fuzz-scsi" --seconds 20 --seed $seed
    "$build/tests/device/fuzz-virtio" --seconds 20 --seed $seed
    "$build/tests/device/fuzz-sdhci" --seconds 20 --seed $seed
    for name in test-qcow2-damage test-formats-damage; do
        DAMAGE_ROUNDS=1000 "$build/tests/block/$name" --seed "$glib_seed"
    done
    python3 tests/fuzz/names.py "$build" --seed $seed --seconds 20
    python3 tests/fuzz/wild.py "$build/viv" --seed $seed --seconds $((left < 60 ? left : 60))
done
python3 tests/block/test-qcow2-kill.py "$build/tests/block/imgtool" "$build/viv-io" --kills 200 --seed $seed
