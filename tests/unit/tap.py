"""tap.py - one result a line, as meson reads it."""

_count = _failed = 0


def ok(good, name, note=""):
    global _count, _failed
    _count += 1
    _failed += not good
    print("%sok %d - %s" % ("" if good else "not ", _count, name), flush=True)
    if not good and note:
        print("# " + str(note)[:3000].replace("\n", "\n# "), flush=True)


def finish():
    """The plan; the exit status."""
    print("1..%d" % _count)
    return _failed > 0
